"""User profiles: what a user's recent touches say about categories, tags and authors."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel

from lemo.domain.item import Item
from lemo.domain.scenario import ActionRule
from lemo.domain.touch import Touch


class Taste(BaseModel):
    """A label and its share of the user's taste, 0 to 1 (all labels of one kind sum to at most 1)."""

    label: str
    weight: float


class UserProfile(BaseModel):
    """What is known of a user."""

    user_id: str
    categories: list[Taste]
    tags: list[Taste]
    authors: list[Taste]
    touches: int
    """Acts in the remembered history."""
    actions: dict[str, int]
    """Acts by kind."""
    last_event_at: datetime | None


class Profiler:
    """Makes the profiles of many users at once from the labels of a catalogue."""

    def __init__(
        self, items: Sequence[Item], rules: Mapping[str, ActionRule], half_life_ms: float | None = None
    ) -> None:
        raise NotImplementedError

    def profiles(
        self, user_ids: Sequence[str], histories: Sequence[Sequence[Touch]], top: int = 10
    ) -> list[UserProfile]:
        """One profile per user, in order; a user without touches has an empty one."""
        raise NotImplementedError
