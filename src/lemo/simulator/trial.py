"""An experiment of the small world whose effect is known: how its users react to the lists of each arm."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from lemo.domain.assignment import Allocation, Arm, assign
from lemo.domain.experiment import ArmDraft, ExperimentDraft, Guardrail
from lemo.simulator.behaviour import Treatment


@dataclass(frozen=True, slots=True)
class TrialArm:
    """An arm: its pipeline, and what the world does in its place."""

    draft: ArmDraft
    clicks: float = 1.0
    """Clicks per impression as a multiple of the control's."""
    taste: float = 1.0
    """How much the lists go by the user's taste, as a multiple of the control's."""
    newness: float = 0.0
    """How much the lists prefer items of the last week, beyond the control's."""


@dataclass(frozen=True, slots=True)
class Trial:
    """An experiment that ran in one scenario during the last days of the world. The first arm is the control."""

    scenario_id: str
    name: str
    why: str
    salt: str
    days: int
    metric: str
    effect: float
    guardrails: tuple[Guardrail, ...]
    arms: tuple[TrialArm, ...]

    @property
    def draft(self) -> ExperimentDraft:
        """The experiment as people would make it."""
        return ExperimentDraft(
            name=self.name,
            why=self.why,
            salt=self.salt,
            metric=self.metric,
            effect=self.effect,
            guardrails=self.guardrails,
            arms=tuple(arm.draft for arm in self.arms),
        )

    def start(self, end: datetime) -> datetime:
        """When it starts in a world that ends at `end`."""
        return end - timedelta(days=self.days)

    def arms_of(self, user_ids: Sequence[str]) -> list[str]:
        """The arm of each user, which is the one that the API gives him."""
        allocation = Allocation(
            salt=self.salt, arms=tuple(Arm(name=arm.draft.name, weight=arm.draft.weight) for arm in self.arms)
        )
        return [assign(allocation, user_id).arm or "" for user_id in user_ids]

    def treatment(self, user_ids: Sequence[str], since_ms: int) -> Treatment:
        """What becomes of these users."""
        names = [arm.draft.name for arm in self.arms]
        return Treatment(
            since_ms=since_ms,
            arms=np.array([names.index(name) for name in self.arms_of(user_ids)]),
            clicks=np.array([arm.clicks for arm in self.arms]),
            taste=np.array([arm.taste for arm in self.arms]),
            newness=np.array([arm.newness for arm in self.arms]),
        )


NEWER_OR_VARIED = Trial(
    scenario_id="ecommerce",
    name="newer-or-varied",
    why="Do newer or more varied products on the home page bring more clicks?",
    salt="newer-or-varied",
    days=14,
    metric="ctr",
    effect=0.1,
    guardrails=(
        Guardrail(metric="requests_clicked_share", most_worse=0.05),
        Guardrail(metric="latency_ms", most_worse=0.5, most_worse_by=50),
    ),
    arms=(
        TrialArm(ArmDraft(name="control")),
        TrialArm(
            ArmDraft(name="newer", pipeline={"freshness": {"weight": 1.0, "half_life_days": 7}}),
            clicks=1.25,
            newness=1.5,
        ),
        TrialArm(
            ArmDraft(name="varied", pipeline={"diversity": {"strength": 0.9, "by": ["categories"]}}),
            clicks=0.5,
            taste=0.3,
        ),
    ),
)
"""The experiment of the demo: one arm is better by a fourth, the other so much worse that a guardrail stops it."""
