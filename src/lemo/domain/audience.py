"""Audiences: the users who most likely want an item, or an item that matches a filter."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lemo.domain.item import Id
from lemo.domain.request import FilterText


class AudienceRequest(BaseModel):
    """Whose audience is wanted: of some items, or of all that match a filter."""

    model_config = ConfigDict(extra="forbid")

    item_ids: Annotated[list[Id], Field(max_length=20)] = []
    filter: FilterText | None = None
    """CEL; of the items that match, the 200 most popular count."""
    variables: Annotated[dict[str, Any], Field(max_length=50)] = {}
    n: Annotated[int, Field(ge=1, le=1_000)] = 100
    seen: bool = False
    """Whether users who have had the item already are among them."""

    @model_validator(mode="after")
    def _check(self) -> "AudienceRequest":
        if bool(self.item_ids) == bool(self.filter):
            raise ValueError("needs either item_ids or filter")
        return self


class AudienceMember(BaseModel):
    """One user of an audience."""

    user_id: str
    item_id: str
    """Of the items, the one that the user wants most."""
    score: float
    """In standard deviations of the scores of all items for this user; comparable between users."""
    because: list[str]
    """The items of the user's history that speak most for it."""


class Audience(BaseModel):
    """The users, the likeliest first."""

    model_version: str | None
    looked_at: int
    """How many users were compared: those who acted on the items or on similar ones, the most such acts first."""
    users: list[AudienceMember]
