"""Runs of jobs: what they did, how far one is, and starting one."""

from typing import Annotated

from fastapi import APIRouter, Query, status
from pydantic import BaseModel, ConfigDict

from lemo.api.dependencies import Api, Operator, RawBody, TenantId, model_of
from lemo.api.problems import DOCUMENTED
from lemo.domain.run import Outcome, Run
from lemo.scheduling.jobs import job_of
from lemo.scheduling.service import run_now

router = APIRouter(prefix="/v1", tags=["schedules and runs"], responses=DOCUMENTED)

MOST_RUNS = 1000


class ShownRun(Run):
    """One run, with how long it took."""

    took_seconds: float | None = None
    """Null until it has ended."""

    @classmethod
    def of(cls, run: Run) -> "ShownRun":
        """The run as it is shown."""
        return cls(**run.model_dump(), took_seconds=run.seconds)


class RunList(BaseModel):
    """Runs of the tenant."""

    runs: list[ShownRun]

    @classmethod
    def of(cls, runs: list[Run]) -> "RunList":
        """The runs as they are shown."""
        return cls(runs=[ShownRun.of(run) for run in runs])


class JobOrder(BaseModel):
    """A job to start now."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"entry": "train-model-daily", "scenario": "shop"}}
    )

    entry: str
    scenario: str = ""
    """Only this scenario; all of the tenant's without it."""
    full: bool = False
    """Start from nothing, where the job goes by what changed since its last run."""


@router.get("/runs")
def list_runs(
    services: Api,
    tenant_id: TenantId,
    entry: Annotated[str, Query(description="Only runs of this job.")] = "",
    scenario: Annotated[str, Query(description="Only runs for this scenario.")] = "",
    outcome: Annotated[Outcome | None, Query(description="Only runs that ended so, or have not ended.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_RUNS, description="How many, newest first.")] = 100,
) -> RunList:
    """The tenant's runs, newest first: when, how long, how many rows, and why one failed."""
    if entry:
        job_of(entry)
    if scenario:
        services.access.scenario(tenant_id, scenario)
    found = services.stores.runs.list(tenant_id, entry or None, scenario or None, outcome, limit)
    return RunList.of(found)


@router.get("/runs/show")
def show_run(
    services: Api,
    tenant_id: TenantId,
    run_id: Annotated[str, Query(description="As in GET /v1/runs.", min_length=1, max_length=200)],
) -> ShownRun:
    """One run. While it is at work, `progress` says how far: ask again to watch it."""
    return ShownRun.of(services.stores.runs.get(tenant_id, run_id))


@router.post(
    "/jobs/run",
    status_code=status.HTTP_202_ACCEPTED,
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": JobOrder.model_json_schema()}}}
    },
)
def run_job(services: Api, tenant_id: TenantId, operator: Operator, body: RawBody) -> RunList:
    """Queues a job for one scenario or all of the tenant's, and answers with the runs, to be watched one by one."""
    wanted = model_of(body, JobOrder)
    return RunList.of(run_now(services.stores, tenant_id, wanted.entry, wanted.scenario, operator, wanted.full))
