"""Experiments: arms that serve other pipelines or models, their plans, results, and what people do with them."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, status
from pydantic import BaseModel, ConfigDict, Field

from lemo.api.dependencies import Api, Here, Operator, RawBody, json_of, model_of
from lemo.api.problems import DOCUMENTED
from lemo.domain.errors import InvalidInput
from lemo.domain.experiment import AnswerKind, Experiment, ExperimentDraft, State
from lemo.domain.pipeline import Pipeline
from lemo.experiments import service
from lemo.experiments.plan import Plan, plan_of
from lemo.experiments.preference import PreferenceResults, preference_of
from lemo.experiments.results import Results, results_of
from lemo.serving.pipeline.check import check_fits
from lemo.stores.documents.experiments import ExperimentChange

router = APIRouter(prefix="/v1/scenarios/{scenario}/experiments", tags=["experiments"], responses=DOCUMENTED)

NameQuery = Annotated[
    str, Query(min_length=1, max_length=100, description="Name of the experiment.", examples=["fresher"])
]
_DRAFT = {
    "name": "fresher",
    "why": "Do newer items get more clicks?",
    "arms": [{"name": "control"}, {"name": "fresh", "pipeline": {"freshness": {"weight": 0.5}}}],
    "metric": "requests_clicked_share",
    "effect": 0.05,
    "guardrails": [{"metric": "empty_share", "most_worse": 0.1}, {"metric": "action.dislike", "most_worse": 0.2}],
}


class ExperimentList(BaseModel):
    """The experiments of a scenario, the newest first."""

    experiments: list[Experiment]


class ExperimentDetails(BaseModel):
    """An experiment with its plan or its results, and what was done with it."""

    experiment: Experiment
    plan: Plan | None
    """Of a draft: how many units and days it needs; null where the last two weeks tell nothing."""
    results: Results | None
    """Of one that was started and splits its units."""
    preference: PreferenceResults | None = None
    """Of an interleaving that was started: which arm users prefer."""
    changes: list[ExperimentChange]
    """Newest first."""


class ExperimentOrder(BaseModel):
    """What to do with an experiment: a new state, or changes of what it says."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100)]
    state: Literal["running", "stopped", "shipped"] | None = None
    """`running` starts a draft, `stopped` ends it (with `arm` that arm alone; a shipped one is taken back), `shipped`
    puts `arm` in service for everybody."""
    arm: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    why: Annotated[str, Field(max_length=1_000)] = ""
    """Of `stopped`: the reason."""
    changes: dict[str, Any] | None = None
    """RFC 7396. Of a draft everything but name, arms and salt; of one that runs `ramp`, `guardrails` and `why`."""


def _takes(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    content = {"schema": schema, "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


@router.get("")
def list_experiments(
    services: Api,
    here: Here,
    state: Annotated[State | None, Query(description="Only those in this state.", examples=["running"])] = None,
) -> ExperimentList:
    """The experiments of the scenario, the newest first."""
    found = services.stores.experiments.list(here.scope)
    return ExperimentList(experiments=[each for each in found if state in (None, each.state)])


@router.get("/show")
def show_experiment(
    services: Api,
    here: Here,
    name: NameQuery,
    kind: Annotated[
        AnswerKind | None, Query(description="Results by answers of this kind alone.", examples=["similar"])
    ] = None,
    placement: Annotated[
        str | None,
        Query(min_length=1, max_length=100, description="Results by answers at this place alone.", examples=["home"]),
    ] = None,
) -> ExperimentDetails:
    """One experiment: its plan before the start, its results afterwards, and who did what with it.

    Of results by `kind` or `placement` exposure is the first such answer.

    Intervals and p-values stay valid however often they are looked at.
    """
    stores = services.stores
    experiment = stores.experiments.get(here.scope, name)
    return ExperimentDetails(
        experiment=experiment,
        plan=plan_of(stores, here.scope, experiment) if experiment.state == "draft" else None,
        results=results_of(stores, here.scope, experiment, kind=kind, placement=placement),
        preference=preference_of(stores, here.scope, experiment),
        changes=stores.experiments.changes(here.scope, name),
    )


@router.post("", status_code=status.HTTP_201_CREATED, openapi_extra=_takes(ExperimentDraft, _DRAFT))
def create_experiment(services: Api, here: Here, operator: Operator, body: RawBody) -> Experiment:
    """Makes an experiment, as a draft: nobody gets an arm before it is started. The first arm is the control.

    An arm gives `pipeline_version` or a whole `pipeline` (kept as a version on trial), `model_version`, both or
    neither. 409 where the name is taken.
    """

    def check(pipeline: Pipeline) -> None:
        if pipeline.filters or pipeline.attributes:
            types = here.scenario.attribute_types
            check_fits(pipeline, services.served.choices.columns(here.scope, types))

    return service.create(services.stores, here.scope, service.draft(json_of(body)), operator, check)


@router.patch("", openapi_extra=_takes(ExperimentOrder, {"name": "fresher", "state": "running"}))
def change_experiment(services: Api, here: Here, operator: Operator, body: RawBody) -> Experiment:
    """Starts, stops or ships an experiment, or changes what it says; every process serves it within a second.

    Shipping puts the arm's pipeline in service as a new version, and its model as the champion. 409 for what its state
    does not allow, and where its group has no room for it.
    """
    order, stores, scope = model_of(body, ExperimentOrder), services.stores, here.scope
    if (order.state is None) == (order.changes is None):
        raise InvalidInput("Give `state` or `changes`.", 'Such as {"name": "fresher", "state": "running"}.')
    if order.changes is not None:
        return service.edit(stores, scope, order.name, order.changes, operator)
    if order.state == "running":
        return service.start(stores, scope, order.name, operator)
    if order.state == "shipped":
        if order.arm is None:
            raise InvalidInput("Name the `arm` that is to be put in service.", "`arm` is the winner's name.")
        return service.ship(stores, scope, order.name, order.arm, operator)
    if stores.experiments.get(scope, order.name).state == "shipped":
        return service.take_back(stores, scope, order.name, operator)
    return service.stop(stores, scope, order.name, operator, order.why, order.arm)
