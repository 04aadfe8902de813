"""The doctor: probes every dependency in parallel, within five seconds, and reports the findings per service."""

import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from datetime import UTC, datetime
from functools import partial

import structlog

from lemo.diagnostics import embedding_probe as embedding
from lemo.diagnostics import engine_probes as engines
from lemo.diagnostics import identity_probe as identity
from lemo.diagnostics import job_probes as jobs
from lemo.diagnostics import log_probes as logs
from lemo.diagnostics import redis_probes as redis
from lemo.diagnostics import service_probes as services
from lemo.diagnostics.dependencies import NEEDS, Dependency, Need, Service
from lemo.diagnostics.report import Finding, Report, Row
from lemo.diagnostics.worker_probe import probe_worker
from lemo.settings import Settings
from lemo.telemetry.secrets import mask
from lemo.threads import run_in_thread

PROBE_SECONDS = 4.8
"""Longest wait for a probe. The rest of the five seconds is for the report."""

log = structlog.get_logger()

_D = Dependency
_PROBES: dict[Dependency, Callable[[Settings], Finding]] = {
    _D.home: engines.probe_home,
    _D.cache: lambda settings: redis.probe_redis(settings, 0),
    _D.broker: lambda settings: redis.probe_redis(settings, 1),
    _D.results: lambda settings: redis.probe_redis(settings, 2),
    _D.durability: redis.probe_durability,
    _D.documents: engines.probe_documents,
    _D.log: logs.probe_log,
    _D.events: engines.probe_events,
    _D.vectors: engines.probe_vectors,
    _D.embedding: embedding.probe_embedding,
    _D.identity: identity.probe_identity,
    _D.snapshots: engines.probe_snapshots,
    _D.api: lambda settings: services.probe_http(Service.api, settings),
    _D.console: lambda settings: services.probe_http(Service.console, settings),
    _D.worker: probe_worker,
    _D.beat: services.probe_beat,
    _D.consumer: logs.probe_consumer,
    _D.flink: services.probe_flink,
    _D.overdue: jobs.probe_overdue,
    _D.failing: jobs.probe_failing,
    _D.dead_letters: logs.probe_dead_letters,
    _D.unknown_items: jobs.probe_unknown_items,
    _D.clocks: jobs.probe_clocks,
}


def examine(settings: Settings, service: Service | None = None, leave_out: Collection[Dependency] = ()) -> Report:
    """Probes the dependencies of all services, or of one, within five seconds.

    With one service its own process is not required: the report then says whether the service could do its work.
    """
    started = time.monotonic()
    needs = [need for need in NEEDS if service in (None, need.service) and need.dependency not in leave_out]
    probes: dict[tuple[Dependency, Service | None], Future[Finding]] = {}
    for need in needs:
        if _probe_key(need) not in probes:
            probes[_probe_key(need)] = run_in_thread(partial(_probe(need), settings), "doctor")
    deadline = started + PROBE_SECONDS
    found = {key: _answer(key[0], future, deadline) for key, future in probes.items()}
    return Report(
        checked_at=datetime.now(UTC),
        seconds=round(time.monotonic() - started, 3),
        rows=[_row(need, found[_probe_key(need)], service) for need in needs],
    )


def states(report: Report, dependencies: Iterable[Dependency]) -> dict[Dependency, Finding]:
    """The findings of the report, once for each dependency."""
    wanted = set(dependencies)
    return {row.dependency: row for row in reversed(report.rows) if row.dependency in wanted}


def _probe_key(need: Need) -> tuple[Dependency, Service | None]:
    """One probe serves all services, except for packages, which differ by service."""
    return need.dependency, need.service if need.dependency is _D.packages else None


def _probe(need: Need) -> Callable[[Settings], Finding]:
    if need.dependency is _D.packages:
        return lambda settings: services.probe_packages(need.service, settings)
    return _PROBES[need.dependency]


def _answer(dependency: Dependency, future: "Future[Finding]", deadline: float) -> Finding:
    try:
        finding = future.result(timeout=max(0.0, deadline - time.monotonic()))
    except Late:
        return Finding(
            state="missing",
            detail=f"{dependency.value}: no answer within {PROBE_SECONDS:g} s.",
            hint="Look for an overloaded machine, slow DNS or a firewall, then again: lemo doctor",
        )
    except Exception as error:
        log.debug("probe failed", dependency=dependency.value, exc_info=error)
        return Finding(
            state="missing",
            detail=mask(f"{dependency.value}: {type(error).__name__}: {error}"),
            hint="Look at the settings: lemo settings",
        )
    return finding.model_copy(update={"detail": mask(finding.detail), "hint": mask(finding.hint)})


def _row(need: Need, finding: Finding, service: Service | None) -> Row:
    return Row(
        **finding.model_dump(),
        service=need.service,
        dependency=need.dependency,
        required=need.required and not (need.itself and service is not None),
        without=need.without,
    )
