"""Scenarios: one place where items are recommended, and the rules that hold there."""

import math
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from lemo.domain.errors import InvalidInput
from lemo.domain.event import Action
from lemo.domain.file_mapping import FileMapping
from lemo.domain.merge_patch import merged
from lemo.domain.newness import Newness
from lemo.domain.rating import Scale, disliked_to, liked_from
from lemo.domain.reasons import reason
from lemo.domain.scope import checked_name
from lemo.domain.zone import checked_zone

Catalogue = Literal["auto", "required", "none"]
AttributeType = Literal["number", "text", "boolean", "list", "timestamp"]
Template = Literal["vlog", "news", "ecommerce", "music", "education", "custom"]


MappingName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class Weighing(NamedTuple):
    """A rule as four numbers, read by `interaction_weight`."""

    weight: float
    liked_from: float
    """From this value on the event has the weight `weight`."""
    disliked_to: float
    """Otherwise, up to this value, it has the weight `-weight`; between the two it has 0."""
    without_value: float
    """The weight of an event without a value."""


class ActionRule(BaseModel):
    """How interactions of one action are weighed."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    weight: Annotated[float, Field(ge=-100, le=100)]
    """Weight of one such event: 0 for neutral ones (an impression), below 0 for dislikes."""
    min_value: float | None = None
    """Below this `value` the event has no positive weight (a play under 30 s), but the item counts as seen."""
    dislike_value: float | None = None
    """At or below this `value` the event has the negative of the weight."""
    scale: Scale | Literal["auto"] | None = None
    """For ratings: the least and the greatest `value` there is, or `auto` to learn them from the scenario's ratings.
    The upper part of the scale is positive, the lower part negative; the middle and a missing value are neutral.
    `min_value` and `dislike_value`, where given, take the place of the scale's own limits."""
    learnt: Scale | None = None
    """What `auto` stands for; set by the jobs, and absent before the first ratings, which are neutral then."""
    seen: bool = True
    """Whether the item counts as seen, and so is not recommended to the user again."""

    @field_validator("scale", mode="before")
    @classmethod
    def _check_scale(cls, scale: Any) -> Any:
        if scale is None or scale == "auto":
            return scale
        numbers = isinstance(scale, list | tuple) and len(scale) == 2
        if not numbers or not all(isinstance(end, int | float) and math.isfinite(end) for end in scale):
            raise ValueError('is none of [least, greatest], such as [1, 5], "auto" and null')
        if scale[0] >= scale[1]:
            raise ValueError("ends before it begins; the least rating comes first, such as [1, 5]")
        return scale

    @model_validator(mode="after")
    def _check_values(self) -> "ActionRule":
        if self.weight <= 0 and (self.scale is not None or self.dislike_value is not None):
            raise ValueError("scale and dislike_value need a weight above 0: they turn it round for what is disliked")
        if None not in (self.min_value, self.dislike_value) and self.dislike_value >= self.min_value:  # type: ignore[operator]
            raise ValueError("dislike_value must be below min_value")
        return self

    @property
    def weighing(self) -> Weighing:
        """The rule as numbers; every path weighs events by these."""
        scale = self.learnt if self.scale == "auto" else self.scale
        graded = self.scale is not None
        liked = -math.inf if not graded else math.inf if scale is None else liked_from(scale)
        disliked = -math.inf if scale is None else disliked_to(scale)
        return Weighing(
            self.weight,
            liked if self.min_value is None else self.min_value,
            disliked if self.dislike_value is None else self.dislike_value,
            0.0 if graded else self.weight,
        )

    @property
    def weights(self) -> set[float]:
        """The weights other than 0 that such an event can have."""
        turned = {-self.weight} if self.weighing.disliked_to > -math.inf else set()
        return ({self.weight} | turned) - {0.0}

    @property
    def in_history(self) -> bool:
        """Whether such an event belongs into the user's recent history; impressions would only crowd out the rest."""
        return self.seen or self.weight != 0


SOURCES = ("item-knn", "ridge", "popularity")
"""The sources of a new scenario."""


class Scenario(BaseModel):
    """One scenario of a tenant: its name, its template and its rules."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    scenario_id: str
    template: Template
    actions: Annotated[dict[Action, ActionRule], Field(min_length=1, max_length=200)]
    active_days: Annotated[int, Field(ge=1, le=3650)] = 365
    """Users with an event this close to the end of the scenario's activity get precomputed recommendations."""
    catalogue: Catalogue = "auto"
    """Whether only items of the catalogue are answered: `auto`, as soon as it holds one; `none`: also ids that only
    events know; `required`: never those."""
    new_days: Annotated[float, Field(gt=0, le=3650)] = 30
    """How long an item is new, from its publication (else its arrival) to where the scenario's activity is."""
    exploration: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Part of the places that show new items to users of whom nothing is known; batch exports show none. Both hold from
    the next training on."""
    sources: Annotated[tuple[str, ...], Field(min_length=1, max_length=20)] = SOURCES
    """Names of the sources among which training chooses; `lemo sources list` shows those that are installed."""
    timezone: Annotated[str, AfterValidator(checked_zone)] = "UTC"
    """The zone of hours and days in statistics, as the IANA names it, such as Asia/Shanghai."""
    attribution_hours: Annotated[int, Field(ge=1, le=720)] = 24
    """An event follows from the answer that it names, else from the last one that showed the item to the user, for so
    many hours after the answer."""
    attribute_types: Annotated[dict[str, AttributeType], Field(max_length=200)] = {}
    """Types of items' attributes, where filters shall not go by what most values are."""
    mappings: Annotated[dict[MappingName, FileMapping], Field(max_length=50)] = {}
    """Named mappings of files, as `lemo import --mapping NAME` keeps them."""
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))

    @field_validator("sources")
    @classmethod
    def _check_sources(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(sources)) < len(sources):
            raise ValueError("names a source twice")
        return sources

    def needs_catalogue(self, there_is_one: bool) -> bool:
        """Whether ids that the catalogue does not hold are kept out of answers."""
        return self.catalogue == "required" or (self.catalogue == "auto" and there_is_one)

    @model_validator(mode="before")
    @classmethod
    def _grade_ratings(cls, data: Any) -> Any:
        """Gives ratings their scale in a scenario that was stored before there were scales."""
        if not isinstance(data, dict) or not isinstance(data.get("actions"), dict):
            return data
        rate = data["actions"].get("rate")
        if not isinstance(rate, dict) or "scale" in rate or rate.get("min_value") is not None:
            return data
        return {**data, "actions": {**data["actions"], "rate": {**rate, "scale": "auto"}}}

    @property
    def newness(self) -> Newness:
        """What is new here."""
        return Newness(days=self.new_days, share=self.exploration)


def _rules(**weights: float) -> dict[str, ActionRule]:
    unseen = {"impression"}
    graded = {"rate"}
    return {
        name: ActionRule(weight=weight, seen=name not in unseen, scale="auto" if name in graded else None)
        for name, weight in weights.items()
    }


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
NEW_DAYS: dict[Template, float] = {"news": 2, "vlog": 7}
"""How long items of a template are new, where it is not a month."""


WITH_CONTENT: frozenset[Template] = frozenset({"vlog", "news", "ecommerce", "music", "education"})
"""Templates whose items are described, so that content is tried too."""


def scenario_from_template(scenario_id: str, template: Template) -> Scenario:
    """A new scenario with its template's rules; raises InvalidInput for a bad name."""
    return Scenario(
        scenario_id=checked_name("scenario", scenario_id),
        template=template,
        actions=dict(TEMPLATES[template]),
        new_days=NEW_DAYS.get(template, 30),
        sources=(*SOURCES, "content") if template in WITH_CONTENT else SOURCES,
    )


EDITABLE = (
    "actions",
    "active_days",
    "catalogue",
    "new_days",
    "exploration",
    "sources",
    "timezone",
    "attribution_hours",
    "attribute_types",
    "mappings",
)
"""The fields of a scenario that may be changed."""
RULE_FIELDS = tuple(name for name in ActionRule.model_fields if name != "learnt")
"""The fields of an action's rule that may be changed."""


def edited(scenario: Scenario, changes: Any) -> Scenario:
    """The scenario with changes merged into it as by RFC 7396: what is given replaces, null removes.

    Raises InvalidInput, which names the field and what it may be.
    """
    hint = f"A scenario's {', '.join(EDITABLE)} can be changed; an action has {', '.join(RULE_FIELDS)}."
    if not isinstance(changes, dict):
        raise InvalidInput("The changes must be an object.", hint)
    for name in changes:
        if name not in EDITABLE:
            raise InvalidInput(f"{str(name)[:80]}: cannot be changed.", hint)
    for action, rule in changes["actions"].items() if isinstance(changes.get("actions"), dict) else ():
        if isinstance(rule, dict) and "learnt" in rule:
            raise InvalidInput(
                f"actions.{str(action)[:80]}.learnt: is learnt from the ratings.", "Set `scale` to fix it."
            )
    body = merged(scenario.model_dump(), changes)
    for rule in body["actions"].values() if isinstance(body.get("actions"), dict) else ():
        if isinstance(rule, dict):
            rule.setdefault("scale", None)  # removed is not the same as never given
            if rule["scale"] != "auto":
                rule.pop("learnt", None)
    try:
        return Scenario.model_validate(body)
    except ValidationError as error:
        raise InvalidInput(f"{reason(error)}.", hint) from error
