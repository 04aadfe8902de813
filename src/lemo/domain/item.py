"""Items: what is recommended."""

import math
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from lemo.domain.availability import visible
from lemo.domain.ids import canonical_id
from lemo.domain.time import DatedMoment, Timestamp

LONGEST_ID = 256
Id = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_ID), BeforeValidator(canonical_id)]
"""An id of a user, item, event or request: 1 to 256 characters, any script, slashes and spaces included.

Spaces around it go, and Unicode is in NFC (`canonical_id`).
"""

ShortText = Annotated[str, StringConstraints(max_length=1_000)]


def _listed(value: Any) -> Any:
    """`a|b` (the CSV form) and None become lists."""
    if value is None:
        return []
    if isinstance(value, str):
        return [part for part in (p.strip() for p in value.split("|")) if part]
    return value


Labels = Annotated[
    list[Annotated[str, StringConstraints(max_length=200)]], BeforeValidator(_listed), Field(max_length=200)
]


def refuse_nan(fields: dict[str, Any], names: tuple[str, ...]) -> None:
    """Raises ValueError for a text that is NaN or infinite: numbers become text, and `nan` would be a fine id.

    An id that data frames made a float, as they do with integers beside gaps, is an integer again: 17850.0 is 17850.
    """
    for name in names:
        value = fields.get(name)
        if type(value) is float:
            if not math.isfinite(value):
                raise ValueError(f"{name} is NaN or infinite; leave it out where there is none")
            if name.endswith("_id") and value.is_integer() and abs(value) < 2**53:
                fields[name] = int(value)


class Item(BaseModel):
    """One item of a scenario. Fields that are not listed here become `attributes`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, coerce_numbers_to_str=True)

    item_id: Id
    title: ShortText = ""
    description: Annotated[str, StringConstraints(max_length=50_000)] = ""
    categories: Labels = []
    tags: Labels = []
    author: ShortText = ""
    published_at: DatedMoment | None = None
    """Of any year. Before this moment the item is in no answer; None: published."""
    expires_at: Timestamp | None = None
    """From this moment on the item is in no answer; None: never."""
    is_active: bool = True
    url: Annotated[str, StringConstraints(max_length=4_000)] = ""
    image_url: Annotated[str, StringConstraints(max_length=4_000)] = ""
    updated_at: Timestamp | None = None
    """The item's version: a write with an older one never replaces a newer one. Without it, arrival counts."""
    deleted: bool = False
    """A tombstone: the item is gone, and stays gone for older writes."""
    attributes: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _gather_attributes(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        fields = cls.model_fields  # once: pydantic computes it at each access
        known = {key: value for key, value in data.items() if key in fields}
        extra = {key: value for key, value in data.items() if key not in fields}
        for field in ("title", "description", "author", "url", "image_url"):
            if known.get(field, "") is None:
                known[field] = ""
        for field in ("is_active", "deleted"):  # null in a database's column says nothing
            if known.get(field, True) is None:
                del known[field]
        refuse_nan(known, ("item_id", "title", "description", "author", "url", "image_url"))
        given = {} if known.get("attributes") is None else known["attributes"]
        if extra and isinstance(given, dict):  # what is no object is refused below
            known["attributes"] = {**given, **extra}
        return known

    def then(self, later: "Item") -> "Item":
        """The item after a later write: what that says replaces, what it leaves out stays (RFC 7396, one level deep).

        An attribute of null goes. A deletion keeps nothing of the item, and a write to a deleted item begins it anew:
        so a replay, which applies the newest writes again, changes nothing.
        """
        if (self.deleted or later.deleted) and self is not NOTHING:
            return NOTHING.then(later)
        changes: dict[str, Any] = {name: getattr(later, name) for name in later.model_fields_set}
        if later.attributes:
            attributes = self.attributes | later.attributes
            changes["attributes"] = {name: value for name, value in attributes.items() if value is not None}
        else:
            changes.pop("attributes", None)
        return self.model_copy(update=changes | {"updated_at": later.updated_at})

    @property
    def recommendable(self) -> bool:
        """Whether the item is switched on: active and not deleted. `visible_at` also asks the clock."""
        return self.is_active and not self.deleted

    def visible_at(self, moment: datetime) -> bool:
        """Whether the item may appear in an answer at a moment."""
        return visible(self.recommendable, self.published_at, self.expires_at, moment)

    def text(self) -> str:
        """All of the item's words, for content models: title (twice, it weighs more), labels, author, description."""
        parts = [self.title, self.title, *self.categories, *self.tags, self.author, self.description]
        return " ".join(part for part in parts if part)


NOTHING = Item(item_id="-")
"""What an item is before its first write."""
