"""Scenarios of the tenant that the key belongs to."""

from contextlib import closing
from typing import Annotated

from fastapi import APIRouter, Path, status

from lemo.api.dependencies import Api, Here, Operator, RawBody, TenantId, json_of, model_of
from lemo.api.problems import DOCUMENTED, MEDIA_TYPE, Problem
from lemo.api.schemas import ChangedScenario, DeletedScenario, NewScenario, ScenarioList
from lemo.domain.scenario import Scenario, scenario_from_template
from lemo.domain.scope import Scope, checked_name
from lemo.scheduling.scenario_changes import change_scenario
from lemo.scheduling.scenario_deletion import delete_scenario
from lemo.stores.connect import Stores

router = APIRouter(prefix="/v1/scenarios", tags=["scenarios"])

_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": NewScenario.model_json_schema()}},
    }
}

_EXAMPLE = {"actions": {"rate": {"min_value": 4}, "wishlist": {"weight": 2}, "share": None}, "active_days": 90}
_CHANGES = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}, "example": _EXAMPLE}},
    }
}


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    responses={code: DOCUMENTED[code] for code in (401, 422, 503)},
    openapi_extra=_BODY,
)
def create_scenario(services: Api, tenant_id: TenantId, body: RawBody) -> Scenario:
    """Creates a scenario from a template, which brings the actions it knows and their weights.

    Templates: vlog, news, ecommerce, music, education, custom. 409 when the tenant has one of this name.
    """
    wanted = model_of(body, NewScenario)
    scenario = scenario_from_template(wanted.scenario_id, wanted.template)
    services.stores.scenarios.create(tenant_id, scenario)
    return scenario


@router.get("", responses={code: DOCUMENTED[code] for code in (401, 503)})
def list_scenarios(services: Api, tenant_id: TenantId) -> ScenarioList:
    """The tenant's scenarios, with the actions that each knows."""
    return ScenarioList(scenarios=list(services.stores.scenarios.list(tenant_id)))


@router.get("/{scenario}", responses=DOCUMENTED)
def show_scenario(services: Api, here: Here) -> Scenario:
    """The scenario's rules: what each action weighs, and by which value. `learnt` is the scale found in the ratings."""
    return services.stores.scenarios.get(here.scope)


@router.patch("/{scenario}", responses=DOCUMENTED, openapi_extra=_CHANGES)
def change(services: Api, here: Here, body: RawBody) -> ChangedScenario:
    """Changes the rules (RFC 7396): fields given replace, null removes, what is not named stays.

    A new name below `actions` becomes a new action. `takes_effect` says when the changes hold where.
    """
    scenario, effects = change_scenario(services.stores, here.scope, json_of(body))
    return ChangedScenario(**scenario.model_dump(), takes_effect=effects)


_BUSY = {"model": Problem, "description": "A job is at work on the scenario.", "content": {MEDIA_TYPE: {}}}


@router.delete("/{scenario}", responses={**DOCUMENTED, 409: _BUSY})
def delete(
    services: Api,
    tenant_id: TenantId,
    operator: Operator,
    scenario: Annotated[str, Path(description="Name of the scenario.", examples=["shop"])],
) -> DeletedScenario:
    """Deletes the scenario and all its data from every store: items, events, users, models, runs, schedules, keys in
    Redis. It cannot be undone.

    Messages that come later are dead letters. Repeat it where the answer is an error: it goes on where it stopped.
    """
    scope = Scope(tenant_id, checked_name("scenario", scenario))
    with closing(Stores(services.stores.settings)) as stores:  # it waits for minutes: tables are rewritten
        return DeletedScenario(scenario_id=scenario, removed=delete_scenario(stores, scope, operator))
