"""An experiment as people write it and as it runs: arms, shares, metric, guardrails, states."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from lemo.domain.assignment import Allocation, Arm, Assignment, Holdout, Share, Slice, assign
from lemo.domain.errors import InvalidInput
from lemo.domain.experiment_metrics import PRIMARY, metric_of
from lemo.domain.reasons import did_you_mean, reason

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
State = Literal["draft", "running", "stopped", "shipped"]
Kind = Literal["split", "interleaving"]
AnswerKind = Literal["recommendations", "similar", "popular"]
MOST_ARMS = 10
_INTERLEAVING_METRIC = "requests_clicked_share"
HELD_OUT_SALT = "lemo"
"""Of the holdout, one for all experiments: whom the smallest of their holdouts keeps out is in none of them."""


def _known_metric(name: str) -> str:
    try:
        return metric_of(name).name
    except InvalidInput as error:
        raise ValueError(str(error)) from None


MetricName = Annotated[str, AfterValidator(_known_metric)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Guardrail(_Frozen):
    """A metric that no arm may make worse: an arm that does is stopped by itself."""

    metric: MetricName
    most_worse: Annotated[float, Field(ge=0, le=10)] = 0.0
    """By which share of the control's metric an arm may be worse: .1 lets a latency of 100 ms become 110 ms."""
    most_worse_by: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    """By how much, in the metric's own unit, an arm may be worse in any case; the larger of the two counts."""


class ArmDraft(_Frozen):
    """What the units of an arm get in place of what the scenario has in service."""

    name: Name
    weight: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """Arms get units in proportion to their weights."""
    pipeline_version: Annotated[int, Field(ge=0)] | None = None
    """A version of the pipeline; 0 is the default, and without one the pipeline in service serves."""
    pipeline: dict[str, Any] | None = None
    """In its place a whole pipeline, which is kept as a version that is on trial."""
    model_version: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    """A version of the model; without one the champion serves."""

    @model_validator(mode="after")
    def _one_pipeline(self) -> "ArmDraft":
        if self.pipeline is not None and self.pipeline_version is not None:
            raise ValueError(f"arm {self.name} names a pipeline and a version of one: give one of them")
        return self


class ExperimentArm(ArmDraft):
    """An arm of an experiment; its pipeline is a version."""

    pipeline: None = Field(default=None, exclude=True)
    stopped_at: datetime | None = None
    """When it was stopped, by a guardrail or a person: its units get what is in service since."""
    stopped_why: str = ""


def _default_guardrails() -> tuple[Guardrail, ...]:
    # An arm that orders anew is computed, where the control's answers are ready: milliseconds are no harm.
    return (
        Guardrail(metric="empty_share", most_worse=0.1, most_worse_by=0.01),
        Guardrail(metric="latency_ms", most_worse=0.5, most_worse_by=50),
    )


class _Settings(_Frozen):
    """What a person decides of an experiment."""

    name: Name
    why: Annotated[str, StringConstraints(max_length=1_000)] = ""
    """What it is to find out."""
    kind: Kind = "split"
    """`split` gives each unit one arm. `interleaving` mixes the lists of its two arms in each answer: what is clicked
    tells which of them users prefer, with far fewer users."""
    answers: Annotated[tuple[AnswerKind, ...], Field(min_length=1, max_length=3)] = ("recommendations",)
    """The answers that have arms. Similar and popular items have one where the request says the user or session."""
    unit: Literal["user", "session"] = "user"
    """Who has an arm: the `user_id` or the `session_id` of requests. Requests without one have none."""
    ramp: Share = 1.0
    """Share of the experiment's units that takes part. It may grow while the experiment runs."""
    group: Name = "default"
    """Experiments of one group share no unit."""
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The part of the group that the experiment takes for itself while it runs."""
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of units that is in no experiment, the same for all: to see what experiments bring together."""
    metric: MetricName = "requests_clicked_share"
    """What decides."""
    effect: Annotated[float, Field(gt=0, le=10)] = 0.05
    """The smallest lift that is worth finding, as a share of the metric: .05 finds 5 %. The plan is made for it. Of an
    interleaving by how much more one arm's share of the answers must be: .05 finds 52.5 against 47.5 %."""
    guardrails: Annotated[tuple[Guardrail, ...], Field(max_length=10)] = Field(default_factory=_default_guardrails)

    @model_validator(mode="before")
    @classmethod
    def _without_guardrails(cls, content: Any) -> Any:
        """An interleaving has none by default: an answer is of both arms."""
        if isinstance(content, Mapping) and content.get("kind") == "interleaving":
            return {"guardrails": (), **content}
        return content

    @model_validator(mode="after")
    def _check_kind(self) -> "_Settings":
        if self.kind == "interleaving":
            if self.guardrails:
                raise ValueError("guardrails: an interleaved answer is of both arms, so none can be blamed")
            if self.metric != _INTERLEAVING_METRIC:
                raise ValueError("metric: an interleaving is decided by the clicks on the items of each arm alone")
            if self.answers != ("recommendations",):
                raise ValueError("answers: only recommendations are interleaved")
        if len(set(self.answers)) < len(self.answers):
            raise ValueError("answers: name a kind twice")
        return self

    @model_validator(mode="after")
    def _check_metrics(self) -> "_Settings":
        if self.metric not in PRIMARY:
            raise ValueError(f"metric: an experiment is decided by one of {', '.join(PRIMARY)}")
        names = [each.metric for each in self.guardrails]
        if len(set(names)) < len(names):
            raise ValueError("guardrails: name a metric twice")
        return self


Arms = Annotated[tuple[ArmDraft, ...], Field(min_length=2, max_length=MOST_ARMS)]


class ExperimentDraft(_Settings):
    """An experiment that is to be made. The first arm is the control."""

    arms: Arms
    salt: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """Decides who gets which arm; a new one by default, so that an experiment is independent of all before it."""

    @model_validator(mode="after")
    def _check_arms(self) -> "ExperimentDraft":
        _check_arms(self.kind, self.arms)
        return self


class Experiment(_Settings):
    """An experiment. The first arm is the control."""

    arms: Annotated[tuple[ExperimentArm, ...], Field(min_length=2, max_length=MOST_ARMS)]
    salt: str
    state: State = "draft"
    slice: Slice | None = None
    """The part of the group that it has, while it runs and afterwards."""
    planned_units: int | None = None
    """Units of all arms that the plan asked for at the start; null where there was nothing to plan with."""
    tightest_at: int | None = None
    """Units of an arm and the control at which intervals are narrowest; fixed at the start."""
    created_at: datetime
    created_by: str
    started_at: datetime | None = None
    ended_at: datetime | None = None
    ended_why: str = ""
    shipped_arm: str | None = None
    shipped_pipeline_version: int | None = None
    """The version of the pipeline that shipping put in service."""
    shipped_model_version: str | None = None

    @model_validator(mode="after")
    def _check_arms(self) -> "Experiment":
        _check_arms(self.kind, self.arms)
        return self

    @property
    def control(self) -> ExperimentArm:
        """The arm that the others are compared with."""
        return self.arms[0]

    @property
    def active(self) -> tuple[ExperimentArm, ...]:
        """The arms that were not stopped."""
        return tuple(arm for arm in self.arms if arm.stopped_at is None)

    @property
    def allocation(self) -> Allocation:
        """How its units are divided."""
        return Allocation(
            salt=self.salt,
            arms=tuple(Arm(name=arm.name, weight=arm.weight) for arm in self.arms),
            unit=self.unit,
            ramp=self.ramp,
            slice=self.slice,
        )

    def arm(self, name: str) -> ExperimentArm:
        """The arm of a name; raises InvalidInput."""
        for arm in self.arms:
            if arm.name == name:
                return arm
        names = [arm.name for arm in self.arms]
        raise InvalidInput(
            f"The experiment {self.name} has no arm {name[:100]!r}.",
            f"{did_you_mean(name, names)}It has {', '.join(names)}.",
        )

    def assign(self, user_id: str | None, session_id: str | None = None) -> Assignment:
        """The arm of a user or a session, whether it was stopped or not."""
        return _assign(self.allocation, self.holdout, user_id, session_id)


class Assigner:
    """Assigns units to an experiment's arms many times."""

    def __init__(self, experiment: Experiment) -> None:
        self._allocation, self._holdout = experiment.allocation, experiment.holdout

    def __call__(self, user_id: str | None, session_id: str | None = None) -> str | None:
        """The arm of a user or a session; None for one that takes no part."""
        return _assign(self._allocation, self._holdout, user_id, session_id).arm


def _assign(allocation: Allocation, holdout: float, user_id: str | None, session_id: str | None) -> Assignment:
    return assign(allocation, user_id, session_id, Holdout(salt=HELD_OUT_SALT, share=holdout) if holdout else None)


def draft_of(content: Any) -> ExperimentDraft:
    """An experiment from JSON values; raises InvalidInput, which names the fields there are."""
    if not isinstance(content, Mapping):
        raise InvalidInput("An experiment must be an object.", f"It takes {', '.join(ExperimentDraft.model_fields)}.")
    try:
        return ExperimentDraft.model_validate(content)
    except ValidationError as error:
        fields = ArmDraft.model_fields if "arms" in error.errors()[0]["loc"][:1] else ExperimentDraft.model_fields
        what = "An arm" if fields is ArmDraft.model_fields else "An experiment"
        raise InvalidInput(f"{reason(error)}.", f"{what} takes {', '.join(fields)}.") from error


def answer_kind(name: str) -> AnswerKind:
    """A kind of answers by its name; raises InvalidInput."""
    for each in get_args(AnswerKind):
        if each == name:
            return cast(AnswerKind, each)
    kinds = ", ".join(get_args(AnswerKind))
    raise InvalidInput(f"There are no answers of the kind {name[:100]!r}.", f"Kinds with arms are {kinds}.")


def free_slice(group: str, share: float, taken: Mapping[str, Slice]) -> Slice:
    """The first free part of a group that is large enough; `taken` are those of running experiments, by name.

    Raises InvalidInput where there is none.
    """
    start = 0.0
    others = sorted((part for part in taken.values() if part.group == group), key=lambda part: part.start)
    for part in others:
        if part.start - start >= share - 1e-9:
            break
        start = max(start, part.end)
    # Tenths added up may be a little more than 1.
    end = min(start + share, 1.0)
    if end - start < share - 1e-9:
        owners = ", ".join(f"{name} has {part.end - part.start:.0%}" for name, part in taken.items() if part in others)
        raise InvalidInput(
            f"The group {group} has no room for {share:.0%} more in one piece: {owners}.",
            "Stop one of them, take a smaller `share`, or another `group` if both may have the same units.",
        )
    return Slice(group=group, start=start, end=end)


def _check_arms(kind: Kind, arms: tuple[ArmDraft, ...]) -> None:
    names = [arm.name for arm in arms]
    if len(set(names)) < len(names):
        raise ValueError(f"arms: two have one name: {', '.join(names)}")
    if kind == "interleaving" and len(arms) != 2:
        raise ValueError(f"arms: an interleaving mixes two lists, not {len(arms)}")
    if kind == "interleaving" and arms[0].weight != arms[1].weight:
        raise ValueError("arms: an interleaving takes as many items of each, so weights must be equal")
