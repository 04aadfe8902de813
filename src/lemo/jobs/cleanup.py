"""Cleanup: drops what is stale, orphaned or past its retention."""

import time
from datetime import UTC, datetime, timedelta

import structlog

from lemo.domain.errors import EngineUnavailable
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.jobs.report import Done, Report
from lemo.jobs.seen import drop_users_without_events
from lemo.stores.connect import Stores
from lemo.stores.documents.models import KIND
from lemo.users.erasure import sweep

log = structlog.get_logger()

SNAPSHOT_KINDS = (KIND, "similar", "embedding")
SHIPPED_WITHIN = timedelta(days=30)
"""So long after its end, the models of an experiment are kept, for one of them to be put in service."""
UNFINISHED_FOR = timedelta(days=1)
"""A snapshot without a manifest for so long was left by a run that crashed."""


def clean(stores: Stores, scope: Scope, report: Report) -> Done:
    """Drops old task runs, events past their retention, old snapshots, stale answers and replay marks.

    The snapshot in service, the model that a rollback goes to and those of experiments are never dropped.
    Items whose ids were stored before ids had one form are moved to it.
    """
    settings = stores.settings
    report.stage("task runs and events")
    now = datetime.now(UTC)
    dropped = {
        "runs": stores.runs.delete_before(scope.tenant_id, now - timedelta(days=settings.runs_days)),
        "audit_lines": stores.audit.delete_before(scope.tenant_id, now - timedelta(days=settings.audit_days)),
    }
    # Twice the retention: Kafka deletes whole segments, so a dead letter may outlive it.
    oldest_mark = now - timedelta(days=2 * settings.dead_letters_days)
    dropped["replay_marks"] = stores.dead_letters.forget_replayed_before(scope.tenant_id, oldest_mark)
    # Also where no events are deleted: aggregates that are wrong for any reason are then corrected within a day.
    with stores.aggregates.changing(scope):
        if settings.events_days:
            oldest = round((time.time() - settings.events_days * 86_400) * 1000)
            stores.events.delete_before(scope, oldest)
            stores.realtime.delete_before(scope, oldest)
    report.stage("users who were erased")
    dropped["erased_users"] = sweep(stores, scope)
    report.stage("ids")
    if renamed := stores.items.rename(scope):
        dropped["renamed_items"] = len(renamed)
        stores.availability.ask_rebuild(scope)
        stores.item_feed.add(scope, [*renamed, *renamed.values()])
        stores.embedding_queue.add(scope, list(renamed.values()))
    report.stage("snapshots")
    dropped["snapshots"] = sum(drop_snapshots(stores, scope, kind) for kind in SNAPSHOT_KINDS)
    report.stage("answers")
    champion = stores.snapshots.current(scope, "model")
    dropped["answers"] = stores.precomputed.delete_stale(scope, champion or "")
    dropped["seen"] = drop_users_without_events(stores, scope, stores.scenarios.get(scope))
    report.stage("vectors of items that are gone")
    moment = milliseconds(datetime.now(UTC))
    gone = [entry.item_id for entry in stores.items.entries(scope) if entry.gone_at(moment)]
    detail: dict[str, int | str] = {**dropped}
    try:
        stores.vectors.delete(scope, [*gone, *renamed])
    except EngineUnavailable as error:  # the vector store is optional, and the next run deletes them
        log.warning("vectors of items that are gone stay", scope=str(scope), error=error.message)
        detail["without"] = f"content vectors: {error.message}"
    if not any(dropped.values()):
        detail["why"] = "Nothing is stale, orphaned or past its retention."
    return Done(rows_written=sum(dropped.values()), detail=detail)


def drop_snapshots(stores: Stores, scope: Scope, kind: str) -> int:
    """Deletes old snapshots, and unfinished ones of crashed runs. Returns their number."""
    needed = {stores.snapshots.current(scope, kind)}
    if kind == KIND:
        needed.update(stores.model_changes.before(scope)[:1])
        lately = datetime.now(UTC) - SHIPPED_WITHIN
        needed.update(
            arm.model_version
            for experiment in stores.experiments.list(scope)
            if experiment.ended_at is None or experiment.ended_at > lately
            for arm in experiment.arms
        )
    others = [version for version in stores.snapshots.versions(scope, kind) if version not in needed]
    # Versions begin with their creation time.
    unfinished_before = f"{datetime.now(UTC) - UNFINISHED_FOR:%Y%m%dT%H%M%S}"
    old = others[: -stores.settings.snapshots_kept]
    old += [version for version in stores.snapshots.unfinished(scope, kind) if version < unfinished_before]
    for version in old:
        stores.snapshots.delete(scope, kind, version)
    return len(old)
