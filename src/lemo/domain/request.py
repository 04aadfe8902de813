"""Requests for recommendations: for whom, which items, in which order, and what of each item."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from lemo.domain.item import Id, Item

MOST_ITEMS = 200
"""Items of one answer, and of a session."""
RESERVED = frozenset({"item_id", "score", "source", "because", "reason", "explored", "propensity"})
"""What an answer says of each item by itself."""

FilterText = Annotated[str, StringConstraints(min_length=1, max_length=2_000)]


class SessionItem(BaseModel):
    """One item of a session, with what was done with it."""

    model_config = ConfigDict(extra="forbid")

    item_id: Id
    action: str | None = None
    """None: the weakest action that speaks for an item, such as a view."""


class Boost(BaseModel):
    """Lifts items that match a filter, or lowers them by a negative weight."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    filter: FilterText
    weight: Annotated[float, Field(ge=-100, le=100)]
    """Added to the score, which is counted in standard deviations of the candidates' scores."""


class Pin(BaseModel):
    """Puts an item at a position, whoever asks; an item that may not be shown stays out."""

    model_config = ConfigDict(extra="forbid")

    item_id: Id
    position: Annotated[int, Field(ge=1, le=MOST_ITEMS)]


def check_pins(pins: Sequence[Pin]) -> None:
    """Raises ValueError for pins that cannot hold together."""
    if len({pin.position for pin in pins}) < len(pins) or len({pin.item_id for pin in pins}) < len(pins):
        raise ValueError("pin: names a position or an item twice")


class Choice(BaseModel):
    """Which items are answered, in which order, and what of each."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    n: Annotated[int, Field(ge=1, le=MOST_ITEMS)] = 10
    filter: FilterText | None = None
    """CEL: only items that match are answered."""
    variables: Annotated[dict[str, Any], Field(max_length=50)] = {}
    """What filters call `request.NAME` or `user.NAME`."""
    exclude: Annotated[list[Id], Field(max_length=1_000)] = []
    boost: Annotated[list[Boost], Field(max_length=20)] = []
    pin: Annotated[list[Pin], Field(max_length=MOST_ITEMS)] = []
    diversity: Annotated[float, Field(ge=0, le=1)] | None = None
    """In place of the pipeline's strength of diversity; 0 turns it off."""
    placement: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """The place on a page that asks, such as `home/top`, for analytics."""
    explain: Annotated[bool, Field(strict=True)] | Annotated[list[Id], Field(max_length=20)] = False
    """true: why each item is in the answer; ids: why each of these items is or is not."""
    fields: Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=200)]], Field(max_length=50)] = []
    """Fields and attributes of each item that the answer shall hold."""

    @model_validator(mode="after")
    def _check(self) -> "Choice":
        for name in self.fields:
            if name in RESERVED - {"item_id"}:
                raise ValueError(f"fields: {name} is what the answer says of each item by itself")
        check_pins(self.pin)
        return self

    @property
    def filters(self) -> list[str]:
        """Every filter that must be evaluated."""
        return [*([self.filter] if self.filter else []), *(boost.filter for boost in self.boost)]


Repeat = Annotated[
    Literal["never", "allow", "only"], BeforeValidator(lambda given: {True: "allow", False: "never"}.get(given, given))
]
"""Whether items that the user has had are answered: never, beside others, or they alone, those that are due first. The
true and false of earlier versions are `allow` and `never`."""


class RecommendationRequest(Choice):
    """Recommendations for a user, or for the items of a session."""

    user_id: Id | None = None
    session: Annotated[list[Id | SessionItem], Field(max_length=MOST_ITEMS)] = []
    """Items just seen, oldest first: alone, or after the history of the user."""
    session_id: Id | None = None
    """The visit that asks, for experiments that give an arm to sessions."""
    repeat: Repeat = "never"

    @model_validator(mode="after")
    def _check_asker(self) -> "RecommendationRequest":
        if self.user_id is None and not self.session:
            raise ValueError("needs user_id, or session with the items just seen")
        return self


class BatchRequest(Choice):
    """Recommendations for many users, by the same wishes."""

    users: Annotated[list[Id], Field(min_length=1, max_length=1_000)]
    repeat: Repeat = "never"

    def of(self, user_id: str) -> RecommendationRequest:
        """The request for one of the users."""
        shared = {name: getattr(self, name) for name in self.model_fields_set - {"users"}}
        return RecommendationRequest.model_construct(user_id=user_id, **shared)


class SimilarRequest(Choice):
    """Items similar to one item, or to several together."""

    item_ids: Annotated[list[Id], Field(min_length=1, max_length=20)]
    user_id: Id | None = None
    """Who asks, for experiments on similar items; the answer is the same for all otherwise."""
    session_id: Id | None = None
    """The visit that asks, for experiments that give an arm to sessions."""


def shown_fields(item: Item, names: list[str]) -> dict[str, Any]:
    """The fields and attributes of these names that the item has."""
    found: dict[str, Any] = {}
    for name in names:
        if name in RESERVED:
            continue
        if name in Item.model_fields and name != "attributes":
            value = item.model_dump(mode="json", include={name})[name]
        else:
            value = item.attributes.get(name)
        if value is not None:
            found[name] = value
    return found
