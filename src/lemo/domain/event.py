"""Events: what users did with items."""

import hashlib
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from lemo.domain.ids import canonical_id
from lemo.domain.item import LONGEST_ID, Id, refuse_nan
from lemo.domain.time import PastTimestamp, milliseconds

LONGEST_ACTION = 64
ACTION_PATTERN = r"^[a-z0-9_.:-]+$"
LONGEST_DEVICE = 100
LAST_POSITION = 100_000
OTHER_CONTENTS = "is that of an earlier event with other contents; an event_id names one event"

Action = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_ACTION, pattern=ACTION_PATTERN)]


class Event(BaseModel):
    """One thing one user did with one item. Fields that are not listed here become `attributes`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, coerce_numbers_to_str=True)

    user_id: Id
    item_id: Id
    action: Action
    timestamp: PastTimestamp
    event_id: Id = ""
    """Names one event, which counts once however often it is sent, as it came first.

    Where it lacks it is derived from `contents`, so that the same row counts once too. A number that several events
    share, such as an order's, is an attribute and no event_id.
    """
    value: float | None = None
    """A rating, a price, seconds watched: what the action's rule in the scenario makes of it."""
    request_id: Annotated[str, StringConstraints(max_length=LONGEST_ID), BeforeValidator(canonical_id)] = ""
    """The recommendation request that showed the item, for attribution."""
    position: Annotated[int, Field(ge=0, le=LAST_POSITION)] | None = None
    device: Annotated[str, StringConstraints(max_length=LONGEST_DEVICE)] = ""
    attributes: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _gather_attributes(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        fields = cls.model_fields  # once: pydantic computes it at each access
        known = {key: value for key, value in data.items() if key in fields and value is not None}
        extra = {key: value for key, value in data.items() if key not in fields}
        if isinstance(given_id := known.get("event_id"), str) and not given_id.strip():
            del known["event_id"]
        refuse_nan(known, ("user_id", "item_id", "event_id", "request_id", "device"))
        given = {} if known.get("attributes") is None else known["attributes"]
        if extra and isinstance(given, dict):  # what is no object is refused below
            known["attributes"] = {**given, **extra}
        return known

    @model_validator(mode="after")
    def _derive_event_id(self) -> "Event":
        if not self.event_id:
            self.event_id = derived_event_id(*self.contents())
        return self

    def contents(self) -> tuple[str, str, str, int, float | None, str, int | None]:
        """What makes it this event and no other: user, item, action, Unix ms, value, request and position."""
        moment = milliseconds(self.timestamp)
        return self.user_id, self.item_id, self.action, moment, self.value, self.request_id, self.position


def derived_event_id(
    user_id: str,
    item_id: str,
    action: str,
    timestamp_ms: int,
    value: float | None,
    request_id: str,
    position: int | None,
) -> str:
    """The id of an event that came without one: 32 hexadecimal digits, the same for the same event."""
    parts: tuple[str, ...] = (user_id, item_id, action, str(timestamp_ms), repr(value), request_id, str(position))
    if any("\x1f" in part for part in parts):  # the separator: lengths tell the parts apart
        parts = (*parts, *(str(len(part)) for part in parts))
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()
