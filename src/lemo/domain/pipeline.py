"""A scenario's pipeline: the rules by which candidates become an answer, whoever asks."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from lemo.domain.errors import InvalidInput
from lemo.domain.merge_patch import merged
from lemo.domain.reasons import did_you_mean, reason
from lemo.domain.request import Boost, FilterText, Pin, check_pins

MOST_CANDIDATES = 1_000
Attribute = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""A field of items, such as `categories`, or one of their attributes."""


class Stage(BaseModel):
    """One stage of a pipeline."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Recall(Stage):
    """Where candidates come from, and how many from each source."""

    candidates: Annotated[int, Field(ge=10, le=MOST_CANDIDATES)] = 200
    """Of the model: the best for the user. Stages that order anew see no others."""
    popular: Annotated[int, Field(ge=0, le=200)] = 0
    """Popular items that are candidates besides."""
    newest: Annotated[int, Field(ge=0, le=200)] = 0
    """Newest items that are candidates besides. An item without a score has that of an average item."""


class Freshness(Stage):
    """Lifts items that were published lately."""

    weight: Annotated[float, Field(ge=-100, le=100)]
    """Added to the score of an item published now, in standard deviations of the candidates' scores."""
    half_life_days: Annotated[float, Field(gt=0, le=3650)] = 7
    """After so long half of the weight is added. An item without `published_at` gets none."""


class HotRealtime(Stage):
    """Lifts items that are hot at this moment, and takes the hottest as candidates: the source `hot-realtime`."""

    half_life: Literal["10m", "1h", "4h"] = "1h"
    """How soon an interaction counts half: the shorter, the sooner what is hot changes."""
    candidates: Annotated[int, Field(ge=0, le=200)] = 20
    """The hottest items that are candidates besides."""
    weight: Annotated[float, Field(ge=-100, le=100)] = 0.5
    """Added to the score of the hottest item, in standard deviations of the candidates' scores; to others the less,
    the less hot they are."""


class Diversity(Stage):
    """Takes items that are unlike those before them: maximal marginal relevance (Carbonell and Goldstein 1998)."""

    strength: Annotated[float, Field(ge=0, le=1)]
    """0 leaves the order as it is; 1 regards nothing but how unlike the items are."""
    by: Annotated[list[Attribute], Field(min_length=1, max_length=5)] = ["categories"]
    """Items are alike by the values that they share of these (Jaccard)."""


class Cap(Stage):
    """At most so many items of an answer share a value, such as an author."""

    by: Attribute
    most: Annotated[int, Field(ge=1, le=200)]


class Promotion(Stage):
    """Gives a share of the places to items that match a filter, the best scored ones first."""

    filter: FilterText
    share: Annotated[float, Field(gt=0, le=1)]
    """Of the places, evenly spread. Fewer are taken where fewer match."""


class Pipeline(Stage):
    """The stages, in the order in which they are done. A request's own wishes are added to them.

    `filter` holds for similar, popular and newest items too; the other stages make recommendations.
    """

    recall: Recall = Recall()
    filter: FilterText | None = None
    """CEL: only items that match are answered."""
    variables: Annotated[dict[str, Any], Field(max_length=50)] = {}
    """What filters call `request.NAME` or `user.NAME` where a request does not say it."""
    boost: Annotated[list[Boost], Field(max_length=20)] = []
    freshness: Freshness | None = None
    hot: HotRealtime | None = None
    diversity: Diversity | None = None
    cap: Annotated[list[Cap], Field(max_length=5)] = []
    promote: Annotated[list[Promotion], Field(max_length=5)] = []
    pin: Annotated[list[Pin], Field(max_length=200)] = []

    @model_validator(mode="after")
    def _check(self) -> "Pipeline":
        check_pins(self.pin)
        if sum(each.share for each in self.promote) > 1 + 1e-9:
            raise ValueError("promote: the shares are more than 1 together")
        if len({each.by for each in self.cap}) < len(self.cap):
            raise ValueError("cap: names an attribute twice")
        return self

    @property
    def reorders(self) -> bool:
        """Whether the order of candidates changes, so that more of them are needed than an answer holds."""
        lists = self.boost or self.cap or self.promote or self.recall.popular or self.recall.newest
        lifts = self.freshness is not None or self.hot is not None
        return bool(lists) or lifts or bool(self.diversity and self.diversity.strength)

    @property
    def plain(self) -> bool:
        """Whether answers are what the model says, but for a filter."""
        return not self.reorders and not self.pin

    def for_lists(self) -> "Pipeline":
        """What of it holds for similar, popular and newest items."""
        return Pipeline(filter=self.filter, variables=self.variables)

    @property
    def filters(self) -> dict[str, str]:
        """Every filter by the place where it stands."""
        found = {"filter": self.filter} if self.filter else {}
        found |= {f"boost.{place}.filter": each.filter for place, each in enumerate(self.boost)}
        return found | {f"promote.{place}.filter": each.filter for place, each in enumerate(self.promote)}

    @property
    def attributes(self) -> dict[str, str]:
        """Every attribute that a stage goes by, by the place where it stands."""
        found = {f"cap.{place}.by": each.by for place, each in enumerate(self.cap)}
        by = self.diversity.by if self.diversity else []
        return found | {f"diversity.by.{place}": name for place, name in enumerate(by)}


class PipelineVersion(BaseModel):
    """A pipeline as it was put in service."""

    version: int = 0
    """Counted from 1; 0: the scenario has none, and the default serves."""
    pipeline: Pipeline = Pipeline()
    changed_at: datetime | None = None
    changed_by: str = ""
    why: str = ""
    trial: bool = False
    """Kept for an arm of an experiment, and not put in service."""
    in_service_then: int | None = None
    """Of a version on trial: the version that was in service when it was kept."""


class WrongPipeline(InvalidInput):
    """A fault of a pipeline, and the place where it stands."""

    def __init__(self, message: str, hint: str, place: tuple[str | int, ...] = ()) -> None:
        super().__init__(message, hint)
        self.place = place
        """Steps from the whole to the fault: names of fields, and numbers (from 0) within lists."""


def pipeline_of(content: Any) -> Pipeline:
    """A pipeline from JSON values; raises WrongPipeline, which names the place and what is allowed there."""
    if not isinstance(content, Mapping):
        raise WrongPipeline("A pipeline must be an object.", f"It takes {', '.join(Pipeline.model_fields)}.")
    try:
        return Pipeline.model_validate(content)
    except ValidationError as error:
        raise WrongPipeline(f"{reason(error)}.", _allowed(error), error.errors()[0]["loc"]) from error


def edited_pipeline(pipeline: Pipeline, changes: Any) -> Pipeline:
    """The pipeline with changes merged into it as by RFC 7396; raises WrongPipeline."""
    if not isinstance(changes, Mapping):
        raise WrongPipeline("The changes must be an object.", f"It takes {', '.join(Pipeline.model_fields)}.")
    return pipeline_of(merged(pipeline.model_dump(exclude_defaults=True), changes))


def _allowed(error: ValidationError) -> str:
    """What the first fault's place takes."""
    faults = error.errors(include_url=False, include_context=False)
    fault = next((each for each in faults if each["type"] == "extra_forbidden"), faults[0])
    model: Any = Pipeline
    for step in fault["loc"]:
        field = getattr(model, "model_fields", {}).get(step)
        if field is not None:
            model = next(iter(_models(field.annotation)), None)
    if model is None:
        return ""
    names = list(model.model_fields)
    unknown = str(fault["loc"][-1]) if fault["type"] == "extra_forbidden" else ""
    here = "A pipeline" if model is Pipeline else f"`{'.'.join(str(step) for step in fault['loc'][:-1])}`"
    return f"{did_you_mean(unknown, names) if unknown else ''}{here} takes {', '.join(names)}."


def _models(annotation: Any) -> list[Any]:
    """The models within a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [each for part in getattr(annotation, "__args__", ()) for each in _models(part)]
