"""Scenarios of the tenant that the key belongs to."""

from fastapi import APIRouter, status

from lemo.api.dependencies import Api, RawBody, TenantId, model_of
from lemo.api.problems import DOCUMENTED
from lemo.api.schemas import NewScenario, ScenarioList
from lemo.domain.scenario import Scenario, scenario_from_template

router = APIRouter(prefix="/v1/scenarios", tags=["scenarios"])

_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": NewScenario.model_json_schema()}},
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
