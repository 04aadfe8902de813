"""Recommendations: the answer to a request, the same from API, batch export and console."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

_BECAUSE = re.compile(r'because of "(.*)"$', re.DOTALL)

ReasonKind = Literal["similar", "popular", "latest", "content", "pinned", "promoted", "repeat", "hot", "other"]


class RecommendedItem(BaseModel):
    """One item of an answer: its score and why it is there."""

    item_id: str
    score: float
    """Higher is better, comparable within the answer only; 0 where no model scored the item: it is shown as new,
    or to fill up the answer."""
    reason: str
    """In plain words: `because of "ITEM"`, `popular now`, `new`, `from the catalogue`."""
    explored: bool = Field(default=False, exclude_if=lambda value: not value)
    """True where chance put a new item here, to learn of it (the scenario's `exploration`); absent elsewhere."""
    propensity: float | None = Field(default=None, exclude_if=lambda value: value is None, examples=[0.05])
    """Of an explored item the probability with which it was put into the answer; absent where a cap decided too."""
    team: str | None = Field(default=None, exclude_if=lambda value: value is None, examples=["fresh"])
    """In the answer of an interleaving experiment the arm that the item came from; absent elsewhere."""

    @property
    def because(self) -> str | None:
        """The id of the item of the history in the reason, where it names one."""
        found = _BECAUSE.match(self.reason)
        return found[1] if found else None

    def reason_by_title(self, titles: Mapping[str, str]) -> str:
        """The reason with the title in place of the id, where the item has one."""
        title = titles.get(self.because, "") if self.because else ""
        return f'because of "{title}"' if title else self.reason


class ChosenItem(BaseModel):
    """One item of an answer to a request with wishes: also where it comes from, and the fields that were asked for."""

    model_config = ConfigDict(extra="allow")

    item_id: str
    score: float
    source: ReasonKind
    """`similar` to what the user chose, `popular`, `latest` (new), `hot` now, `pinned`,
    `promoted`, or `other`: it fills up."""
    because: list[str]
    """The ids of the items that speak most for it."""
    reason: str
    """The same in plain words."""
    explored: bool = Field(default=False, exclude_if=lambda value: not value)
    """True where chance put a new item here, to learn of it (the scenario's `exploration`); absent elsewhere."""
    propensity: float | None = Field(default=None, exclude_if=lambda value: value is None, examples=[0.05])
    """Of an explored item the probability with which it was put into the answer; absent where a cap decided too."""
    team: str | None = Field(default=None, exclude_if=lambda value: value is None, examples=["fresh"])
    """In the answer of an interleaving experiment the arm that the item came from; absent elsewhere."""


class ExplainedStep(BaseModel):
    """What one stage of the pipeline did with an item."""

    stage: str
    meaning: str
    place: int | None
    """From 1; null where the stage left the item out."""
    of: int
    """How many items the stage left."""
    score: float | None


class ExplainedItem(BaseModel):
    """Why an item is in an answer, or is not."""

    item_id: str
    position: int | None
    """From 1; null where the item is not answered."""
    verdict: str
    steps: list[ExplainedStep]
    """The stages that changed its place or its score."""


class ChosenAnswer(BaseModel):
    """The answer to a request with wishes, best item first."""

    request_id: str
    model_version: str | None
    """The snapshot that answered; null while the scenario has none."""
    degraded: bool
    """True when something was missing and the answer is the best without it."""
    pipeline_version: int = 0
    """The version of the pipeline that answered; 0 is the default."""
    experiment: str | None = Field(default=None, exclude_if=lambda value: value is None, examples=["fresher"])
    """The experiment that the user or session takes part in; absent without one."""
    arm: str | None = Field(default=None, exclude_if=lambda value: value is None, examples=["control"])
    """Its arm, which answered; absent where the experiment interleaves, and each item tells its `team`."""
    hot_until: datetime | None = Field(default=None, exclude_if=lambda value: value is None)
    """Where the pipeline has the stage `hot`: events that came in before this moment are counted in what is hot. Absent
    while nothing is known of it."""
    items: list[ChosenItem]
    explained: list[ExplainedItem] | None = Field(default=None, exclude_if=lambda value: value is None)
    """What the stages did with each item that the request names in `explain`."""


class UserAnswer(ChosenAnswer):
    """The answer for one user of a batch."""

    user_id: str


class BatchAnswer(BaseModel):
    """The answers for many users, in the order in which they were named."""

    answers: list[UserAnswer]


class Answer(BaseModel):
    """The answer to one request, best item first."""

    request_id: str
    model_version: str | None
    """The snapshot that answered; null while the scenario has none."""
    degraded: bool
    """True when something was missing (no model yet, history out of reach) and the answer is the best without it."""
    experiment: str | None = Field(default=None, exclude_if=lambda value: value is None, examples=["fresher"])
    """The experiment that the user or session takes part in; absent without one."""
    arm: str | None = Field(default=None, exclude_if=lambda value: value is None, examples=["control"])
    """Its arm, which answered; absent where the experiment interleaves, and each item tells its `team`."""
    pipeline_version: int | None = Field(default=None, exclude_if=lambda value: value is None, examples=[3])
    """The version of the pipeline that answered; told with an arm."""
    items: list[RecommendedItem]
