"""Events: what users did with items."""

import hashlib
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from lemo.domain.item import Id, refuse_nan
from lemo.domain.time import PastTimestamp, milliseconds

Action = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-z0-9_.:-]+$")]


class Event(BaseModel):
    """One thing one user did with one item. Fields that are not listed here become `attributes`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, coerce_numbers_to_str=True)

    user_id: Id
    item_id: Id
    action: Action
    timestamp: PastTimestamp
    event_id: Id = ""
    """Counts once however often it is sent, as it came first; derived from the rest of the event where it lacks."""
    value: float | None = None
    """A rating, a price, seconds watched: what the action's rule in the scenario makes of it."""
    request_id: Annotated[str, StringConstraints(max_length=256)] = ""
    """The recommendation request that showed the item, for attribution."""
    position: Annotated[int, Field(ge=0, le=100_000)] | None = None
    device: Annotated[str, StringConstraints(max_length=100)] = ""
    attributes: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _gather_attributes(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        fields = cls.model_fields  # once: pydantic computes it at each access
        known = {key: value for key, value in data.items() if key in fields and value is not None}
        extra = {key: value for key, value in data.items() if key not in fields}
        if known.get("event_id") == "":
            del known["event_id"]
        refuse_nan(known, ("user_id", "item_id", "event_id", "request_id", "device"))
        given = {} if known.get("attributes") is None else known["attributes"]
        if extra and isinstance(given, dict):  # what is no object is refused below
            known["attributes"] = {**given, **extra}
        return known

    @model_validator(mode="after")
    def _derive_event_id(self) -> "Event":
        if not self.event_id:
            parts = (
                self.user_id,
                self.item_id,
                self.action,
                str(milliseconds(self.timestamp)),
                repr(self.value),
                self.request_id,
                str(self.position),
            )
            self.event_id = hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()
        return self
