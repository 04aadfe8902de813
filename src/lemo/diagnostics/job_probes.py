"""Probes of the jobs: overdue and failing jobs, ids unknown to the catalogue, and the clocks of the machines."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial

from lemo.diagnostics.probing import timed_probe
from lemo.diagnostics.redis_probes import brief_redis
from lemo.diagnostics.report import Finding
from lemo.diagnostics.worker_probe import worker_states
from lemo.domain.errors import LemoError
from lemo.domain.scope import Scope
from lemo.scheduling.health import JobState, job_states
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.threads import run_in_thread

NAMED = 5
"""Jobs named in one finding; the others are counted."""
SKEW_SECONDS = 2.0
"""Difference of clocks from which it counts as a fault: leases live six times as long."""
_CLOCK_SECONDS = 3.0


def probe_overdue(settings: Settings) -> Finding:
    """Finds jobs without a success for twice their period."""

    def describe(state: JobState) -> str:
        since = f"since {_moment(state.last_success)}" if state.last_success else "ever"
        return f"{state.title} has not succeeded {since}"

    return _of_jobs(settings, "overdue", lambda state: state.overdue, describe)


def probe_failing(settings: Settings) -> Finding:
    """Finds jobs whose last run failed."""

    def describe(state: JobState) -> str:
        run = state.last_ended
        return f"{state.title}: {run.error[:200].rstrip('.') if run else ''}"

    return _of_jobs(settings, "failing", lambda state: state.failing, describe)


def probe_unknown_items(settings: Settings) -> Finding:
    """Finds ids in events that are not in the catalogue."""

    def probe() -> Finding:
        if not settings.mongo_url and not (settings.state / "documents.sqlite").exists():
            return Finding(state="absent", detail="Nothing has been started yet.")
        stores = Stores(settings)
        try:
            scopes = [
                Scope(tenant_id, scenario.scenario_id)
                for tenant_id in stores.tenants.list()
                for scenario in stores.scenarios.list(tenant_id)
            ]
            counts = {scope: stores.availability.unknown(scope) for scope in scopes}
        finally:
            stores.close()
        found = {scope: count for scope, count in counts.items() if count}
        if not found:
            return Finding(state="ok", version="none", detail=f"{len(scopes):,} scenarios looked at")
        worst = max(found, key=lambda scope: found[scope])
        return Finding(
            state="warning",
            version=f"{sum(found.values()):,}",
            detail=f"unknown items: {_listed([f'{count:,} in {scope}' for scope, count in found.items()])}; events name"
            " them and the catalogue does not hold them, so they are in no answer.",
            hint="lemo import items FILE, or without a catalogue:"
            f" lemo scenarios edit {worst.scenario_id} --set catalogue=none",
        )

    return timed_probe(probe, partial(_unknown, "unknown items"))


def _of_jobs(
    settings: Settings, word: str, concerned: Callable[[JobState], bool], describe: Callable[[JobState], str]
) -> Finding:
    def probe() -> Finding:
        if not settings.mongo_url and not (settings.state / "documents.sqlite").exists():
            return Finding(state="absent", detail="Nothing has been started yet.")
        stores = Stores(settings, interactive=True)
        try:
            states = job_states(stores)
        finally:
            stores.close()
        found = [state for state in states if concerned(state)]
        if not found:
            return Finding(state="ok", version="none", detail=f"{len(states):,} jobs of scenarios looked at")
        return Finding(
            state="warning",
            version=f"{len(found):,} of {len(states):,}",
            detail=f"{word} jobs: {_listed([describe(state) for state in found])}.",
            hint=f"Run it and see: {found[0].hint}",
        )

    return timed_probe(probe, partial(_unknown, f"{word} jobs"))


def _unknown(what: str, error: Exception) -> Finding:
    """The finding when the engine that holds the data does not answer. That engine has a row of its own."""
    message = error.message if isinstance(error, LemoError) else f"{type(error).__name__}: {error}"
    hint = error.hint if isinstance(error, LemoError) else ""
    return Finding(state="warning", version="unknown", detail=f"{what} are not known: {message}", hint=hint)


def _listed(lines: Sequence[str]) -> str:
    more = len(lines) - NAMED
    return "; ".join(lines[:NAMED]) + (f"; and {more:,} more" if more > 0 else "")


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def probe_clocks(settings: Settings) -> Finding:
    """Compares the clocks of Redis, ClickHouse, MongoDB and the workers with this machine's clock."""
    started = time.perf_counter()
    futures = {name: run_in_thread(probe, "clock") for name, probe in _clocks(settings).items()}
    skews: dict[str, float] = {}
    for name, future in futures.items():
        try:
            for whose, skew in future.result(max(0.0, _CLOCK_SECONDS + started - time.perf_counter())).items():
                skews[name + whose] = skew
        except Exception:  # noqa: BLE001, S112 - an engine that does not answer has a row of its own
            continue
    shown = ", ".join(f"{name} {skew:+.2f} s" for name, skew in skews.items())
    if not skews:
        return Finding(state="absent", detail="No engine with a clock answered.")
    worst = max(skews, key=lambda name: abs(skews[name]))
    version = f"within {max(abs(skews[worst]), 0.01):.2f} s"
    if abs(skews[worst]) <= SKEW_SECONDS:
        return Finding(state="ok", version=version, detail=shown)
    return Finding(
        state="warning",
        version=version,
        detail=f"clocks: they differ from this machine's: {shown}.",
        hint=f"Let both machines follow a time server (chrony). Look, here and at {worst}: timedatectl",
    )


def _clocks(settings: Settings) -> dict[str, Callable[[], dict[str, float]]]:
    """Seconds that each clock is ahead of ours, by its owner."""
    clocks: dict[str, Callable[[], dict[str, float]]] = {
        "Redis": lambda: {"": _skew(lambda: _redis_time(settings))},
        "ClickHouse": lambda: {"": _skew(lambda: _clickhouse_time(settings))},
        "worker ": lambda: _worker_skews(settings),
    }
    if settings.mongo_url:
        clocks["MongoDB"] = lambda: {"": _skew(lambda: _mongo_time(settings))}
    return clocks


def _skew(clock: Callable[[], float]) -> float:
    before = time.time()
    theirs = clock()
    return theirs - (before + time.time()) / 2


def _redis_time(settings: Settings) -> float:
    with brief_redis(settings, 0) as client:
        client.ping()  # the time to connect is no skew
        seconds, microseconds = client.time()
        return float(seconds) + float(microseconds) / 1e6


def _clickhouse_time(settings: Settings) -> float:
    with closing(Stores(settings, interactive=True)) as stores:
        stores.events.ping()  # the time to connect is no skew
        return float(stores.events.clock())


def _mongo_time(settings: Settings) -> float:
    from lemo.diagnostics.engine_probes import brief_mongo

    with brief_mongo(settings) as client:
        client.admin.command("ping")
        moment: datetime = client.admin.command("hello")["localTime"]
        return moment.timestamp()


def _worker_skews(settings: Settings) -> dict[str, float]:
    return {state.name: state.skew for state in worker_states(settings)}
