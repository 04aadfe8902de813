"""When the jobs run, as documents: the design's defaults, what operators changed, and a log of each change."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel

from lemo.domain.errors import Conflict
from lemo.domain.schedule import DEFAULT_CRONS, DEFAULT_TIMEZONE
from lemo.domain.scope import SYSTEM, Scope
from lemo.stores.documents import SCHEDULE_CHANGES, SCHEDULES, Documents, Scalar
from lemo.stores.documents.bodies import body_of

Action = Literal["edit", "pause", "resume", "reset"]

ALL_SCOPES = Scope("")
"""The scope of a default row: all scenarios of all tenants that have no row of their own."""
_MOST = 1_000_000
_TRIES = 50


class Schedule(BaseModel):
    """When an entry runs: for all scenarios of all tenants (the default row), or for one scenario."""

    entry: str
    tenant_id: str = ""
    scenario_id: str = ""
    cron: str
    """Crontab: minute hour day month weekday, in `timezone`."""
    timezone: str = DEFAULT_TIMEZONE
    paused: bool = False
    changed_at: datetime | None = None
    """When an operator last changed this row, or the default row that it follows; null: never."""
    changed_by: str = ""

    @property
    def scope(self) -> Scope:
        """The scenario that it is for, or `ALL_SCOPES`."""
        return Scope(self.tenant_id, self.scenario_id)

    @property
    def name(self) -> str:
        """The name of its entry in RedBeat: `ENTRY`, or `ENTRY@tenant/scenario`."""
        return _name(self.entry, self.scope)

    def in_words(self) -> str:
        """Crontab, time zone and whether it is paused, for a line of a table."""
        return f"{self.cron} {self.timezone}{', paused' if self.paused else ''}"


class Setting(BaseModel):
    """What one change of a schedule says. None leaves a field as it is."""

    cron: str | None = None
    timezone: str | None = None
    paused: bool | None = None
    reset: bool = False
    """First forget all earlier changes: a scenario follows the default row again, a default row the design."""


class Row(BaseModel):
    """What is stored of a schedule. A field that is None follows the default row, and there the design."""

    entry: str
    tenant_id: str = ""
    scenario_id: str = ""
    cron: str | None = None
    timezone: str | None = None
    paused: bool | None = None
    changed_at: datetime | None = None
    changed_by: str = ""
    revision: int = 0

    @property
    def own(self) -> bool:
        """Whether the row says anything."""
        return (self.cron, self.timezone, self.paused) != (None, None, None)


class ScheduleChange(BaseModel):
    """One line of the audit log: who changed what, when, and what held before and after."""

    entry: str
    tenant_id: str = ""
    scenario_id: str = ""
    changed_at: datetime
    changed_by: str
    action: Action
    before: Schedule
    after: Schedule
    row: Row


class Schedules:
    """Schedules of the installation. Changes of one row are made one after the other, each with its audit line."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def list(self, tenant_id: str | None = None, *, followers: bool = False) -> list[Schedule]:
        """Each entry's default row, followed by the rows of scenarios (of one tenant if given) that have their own.

        With `followers` also those that follow the default row again, which tells since when.
        """
        found = self._documents.find(SCHEDULES, SYSTEM, order="entry", limit=_MOST)
        rows = [Row.model_validate(body) for _, body in found]
        schedules = []
        for entry in DEFAULT_CRONS:
            mine = {Scope(row.tenant_id, row.scenario_id): row for row in rows if row.entry == entry}
            default = _resolved(mine.pop(ALL_SCOPES, Row(entry=entry)), None)
            schedules.append(default)
            schedules += [
                _resolved(mine[scope], default)
                for scope in sorted(mine)
                if (followers or mine[scope].own) and tenant_id in (None, scope.tenant_id)
            ]
        return schedules

    def of(self, entry: str, scope: Scope = ALL_SCOPES) -> Schedule:
        """What holds for a scenario: its own row, else the default row under the scenario's name."""
        names = [_name(entry, ALL_SCOPES), _name(entry, scope)]
        bodies = self._documents.get_many(SCHEDULES, SYSTEM, names)
        rows = [Row.model_validate(bodies[name]) if name in bodies else Row(entry=entry) for name in names]
        default = _resolved(rows[0], None)
        if scope == ALL_SCOPES:
            return default
        row = rows[1].model_copy(update={"tenant_id": scope.tenant_id, "scenario_id": scope.scenario_id})
        return _resolved(row, default)

    def own_scopes(self, entry: str) -> set[Scope]:
        """The scenarios with a row of their own, which the default row leaves out."""
        found = self._documents.find(SCHEDULES, SYSTEM, {"entry": entry}, limit=_MOST)
        rows = [Row.model_validate(body) for _, body in found]
        return {Scope(row.tenant_id, row.scenario_id) for row in rows if row.own} - {ALL_SCOPES}

    def set(self, entry: str, scope: Scope, setting: Setting, by: str) -> ScheduleChange | None:
        """Changes a schedule and logs who (`by`) did; None where it held already, which leaves no line.

        The audit line is written first, under the row's next revision, which only one writer can get; whoever finds it
        taken completes that change before his own. So none is lost or unlogged, wherever a process dies.
        """
        name = _name(entry, scope)
        for _ in range(_TRIES):
            body = self._documents.get(SCHEDULES, SYSTEM, name)
            row = Row(entry=entry, tenant_id=scope.tenant_id, scenario_id=scope.scenario_id)
            row = row if body is None else Row.model_validate(body)
            default = None if scope == ALL_SCOPES else self.of(entry)
            change = _changed(row, default, setting, by)
            if change is None:
                return None
            revision = change.row.revision
            line = f"{name}#{revision:09d}"
            if self._documents.put_new(SCHEDULE_CHANGES, SYSTEM, line, body_of(change)):
                self._write(name, change.row)
                return change
            other = self._documents.get(SCHEDULE_CHANGES, SYSTEM, line)
            if other is not None:
                self._write(name, ScheduleChange.model_validate(other).row)
        raise Conflict(f"Others keep changing the schedule of {name}.", "Look at it again, then try once more.")

    def delete(self, scope: Scope) -> int:
        """Deletes the rows of one scenario and the log of their changes; returns how many documents those were."""
        rows = self._documents.find(SCHEDULES, SYSTEM, {"tenant_id": scope.tenant_id}, limit=_MOST)
        names = [name for name, body in rows if body["scenario_id"] == scope.scenario_id]
        of_scope: dict[str, Scalar] = {"tenant_id": scope.tenant_id, "scenario_id": scope.scenario_id}
        lines = self._documents.ids(SCHEDULE_CHANGES, SYSTEM, of_scope)
        return self._documents.delete(SCHEDULES, SYSTEM, names) + self._documents.delete(
            SCHEDULE_CHANGES, SYSTEM, lines
        )

    def audit(
        self, entry: str | None = None, tenant_id: str | None = None, scope: Scope | None = None, limit: int = 100
    ) -> Sequence[ScheduleChange]:
        """The newest changes first: all, of one entry, of one scope, or those a tenant may see.

        A tenant sees the changes of its own scenarios and of default rows.
        """
        where: dict[str, Scalar] = {} if entry is None else {"entry": entry}
        if scope is not None:
            questions = [where | {"tenant_id": scope.tenant_id, "scenario_id": scope.scenario_id}]
        elif tenant_id is not None:
            questions = [where | {"tenant_id": tenant_id}, where | {"tenant_id": ""}]
        else:
            questions = [where]
        found = [
            ScheduleChange.model_validate(body)
            for question in questions
            for _, body in self._documents.find(SCHEDULE_CHANGES, SYSTEM, question, order="-changed_at", limit=limit)
        ]
        return sorted(found, key=lambda change: change.changed_at, reverse=True)[:limit]

    def _write(self, name: str, row: Row) -> None:
        self._documents.put_newer(SCHEDULES, SYSTEM, {name: body_of(row)}, {name: row.revision})


def _name(entry: str, scope: Scope) -> str:
    return entry if scope == ALL_SCOPES else f"{entry}@{scope}"


def _resolved(row: Row, default: Schedule | None) -> Schedule:
    """What holds where the row stands; `default` is None for a default row."""
    followed = default or Schedule(entry=row.entry, cron=DEFAULT_CRONS[row.entry])
    moments = [each.changed_at for each in (row, followed) if each.changed_at]
    theirs = row.changed_at is None or followed.changed_at == max(moments)
    return Schedule(
        entry=row.entry,
        tenant_id=row.tenant_id,
        scenario_id=row.scenario_id,
        cron=row.cron or followed.cron,
        timezone=row.timezone or followed.timezone,
        paused=followed.paused if row.paused is None else row.paused,
        changed_at=max(moments, default=None),
        changed_by=followed.changed_by if theirs else row.changed_by,
    )


def _changed(row: Row, default: Schedule | None, setting: Setting, by: str) -> ScheduleChange | None:
    """The change that the setting makes of the row, or None where it makes none."""
    new = row.model_copy(update={"cron": None, "timezone": None, "paused": None}) if setting.reset else row.model_copy()
    new.cron = setting.cron or new.cron
    new.timezone = setting.timezone or new.timezone
    if setting.paused is not None:
        # Where the default row runs, a scenario needs no word of its own to run.
        new.paused = setting.paused or (False if default and default.paused else None)
    if new == row:
        return None
    # Never before the change that it follows, whatever the clocks of the machines say.
    new.changed_at = max(datetime.now(UTC), row.changed_at) if row.changed_at else datetime.now(UTC)
    new.changed_by, new.revision = by, row.revision + 1
    return ScheduleChange(
        entry=row.entry,
        tenant_id=row.tenant_id,
        scenario_id=row.scenario_id,
        changed_at=new.changed_at,
        changed_by=by,
        action=_action(setting),
        before=_resolved(row, default),
        after=_resolved(new, default),
        row=new,
    )


def _action(setting: Setting) -> Action:
    if setting.reset:
        return "reset"
    if setting.cron or setting.timezone:
        return "edit"
    return "pause" if setting.paused else "resume"
