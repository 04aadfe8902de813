"""Scenarios: one place where items are recommended, and the rules that hold there."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from lemo.domain.scope import checked_name

Template = Literal["vlog", "news", "ecommerce", "music", "education", "custom"]


class ActionRule(BaseModel):
    """What an action says about a user's taste."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    weight: Annotated[float, Field(ge=-100, le=100)]
    """How much one such event says: 0 nothing (an impression), below 0 dislike."""
    min_value: float | None = None
    """Below this `value` the event says nothing (a rating under 7, a play under 30 s), but the item counts as seen."""
    seen: bool = True
    """Whether the item counts as seen, and so is not recommended to the user again."""

    @property
    def remembered(self) -> bool:
        """Whether such an event belongs into the user's recent history; impressions would only crowd out the rest."""
        return self.seen or self.weight != 0


class Scenario(BaseModel):
    """One scenario of a tenant: its name, its template and its rules."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    scenario_id: str
    template: Template
    actions: dict[str, ActionRule]
    active_days: Annotated[int, Field(ge=1, le=3650)] = 365
    """Users with an event this close to the scenario's newest one get precomputed recommendations."""
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))


def _rules(**weights: float) -> dict[str, ActionRule]:
    unseen = {"impression"}
    return {name: ActionRule(weight=weight, seen=name not in unseen) for name, weight in weights.items()}


COMMON = {
    "impression": 0.0,
    "view": 1.0,
    "click": 1.0,
    "like": 3.0,
    "share": 3.0,
    "dislike": -3.0,
    "not_interested": -3.0,
}

TEMPLATES: dict[Template, dict[str, ActionRule]] = {
    "vlog": _rules(**COMMON, play=2.0, finish=3.0, favorite=3.0, comment=2.0, follow=3.0, rate=3.0),
    "news": _rules(**COMMON, read=2.0, comment=2.0, favorite=3.0),
    "ecommerce": _rules(**COMMON, cart=3.0, favorite=2.0, order=5.0, purchase=5.0, rate=3.0, refund=-3.0),
    "music": _rules(**COMMON, play=2.0, finish=3.0, skip=-1.0, favorite=3.0, rate=3.0),
    "education": _rules(**COMMON, enroll=4.0, play=2.0, finish=4.0, rate=3.0),
    "custom": _rules(**COMMON, play=2.0, purchase=5.0, favorite=3.0, rate=3.0),
}
"""The actions that each template knows, with their weights. Other actions are refused as unknown."""


def scenario_from_template(scenario_id: str, template: Template) -> Scenario:
    """A new scenario with its template's rules; raises InvalidInput for a bad name."""
    return Scenario(
        scenario_id=checked_name("scenario", scenario_id), template=template, actions=dict(TEMPLATES[template])
    )
