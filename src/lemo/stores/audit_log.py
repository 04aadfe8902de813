"""The audit log as one list: its own lines, and the histories of schedules, pipelines, models and experiments."""

from lemo.domain.audit import AuditLine
from lemo.domain.pipeline import PipelineVersion
from lemo.domain.scope import Scope
from lemo.stores.connect import Stores
from lemo.stores.documents.experiments import ExperimentChange
from lemo.stores.documents.model_changes import ModelChange
from lemo.stores.documents.schedules import ScheduleChange


def audit_lines(stores: Stores, tenant_id: str, limit: int) -> list[AuditLine]:
    """The newest `limit` changes that concern the tenant, newest first; raises EngineUnavailable.

    Those of schedules that hold for all tenants are among them. A refresh of the champion by the nightly training is
    not: it changes no decision of anybody, and `ModelChanges.history` has it.
    """
    lines = stores.audit.list(tenant_id, limit)
    lines += [_of_schedule(change) for change in stores.schedules.audit(tenant_id=tenant_id, limit=limit)]
    for scenario in stores.scenarios.list(tenant_id):
        scope = Scope(tenant_id, scenario.scenario_id)
        lines += [_of_pipeline(scope, version) for version in stores.pipelines.history(scope, limit)]
        lines += [_of_experiment(scope, change) for change in stores.experiments.changes(scope, limit=limit)]
        lines += [
            _of_model(scope, change) for change in stores.model_changes.history(scope) if change.action != "refresh"
        ]
    return sorted(lines, key=lambda line: line.at, reverse=True)[:limit]


def _of_schedule(change: ScheduleChange) -> AuditLine:
    return AuditLine(
        at=change.changed_at,
        by=change.changed_by,
        action=f"schedule.{change.action}",
        subject=change.entry,
        scenario_id=change.scenario_id,
        detail={"before": change.before.in_words(), "after": change.after.in_words()},
    )


def _of_pipeline(scope: Scope, version: PipelineVersion) -> AuditLine:
    return AuditLine(
        at=version.changed_at,
        by=version.changed_by,
        action="pipeline.trial" if version.trial else "pipeline.change",
        subject=f"version {version.version}",
        scenario_id=scope.scenario_id,
        detail={"why": version.why} if version.why else {},
    )


def _of_experiment(scope: Scope, change: ExperimentChange) -> AuditLine:
    return AuditLine(
        at=change.changed_at,
        by=change.changed_by,
        action=f"experiment.{change.action}",
        subject=change.name,
        scenario_id=scope.scenario_id,
        detail={"state": change.experiment.state} | ({"why": change.why} if change.why else {}),
    )


def _of_model(scope: Scope, change: ModelChange) -> AuditLine:
    return AuditLine(
        at=change.changed_at,
        by=change.changed_by,
        action=f"model.{change.action}",
        subject=change.version,
        scenario_id=scope.scenario_id,
        detail={"previous": change.previous} | ({"why": change.why} if change.why else {}),
    )
