"""Changes of schedules and manual runs, for the command line, the API and the console."""

from dataclasses import dataclass

from lemo.domain.errors import EngineUnavailable, InvalidInput, NotAllowed, NotFound
from lemo.domain.run import Run
from lemo.domain.scope import DEFAULT_TENANT, Scope
from lemo.scheduling.broker import app
from lemo.scheduling.crontab import crontab_of
from lemo.scheduling.dispatch import dispatch, fan_out
from lemo.scheduling.jobs import SCHEDULED, job_of
from lemo.scheduling.redbeat_entries import write_entries
from lemo.stores.connect import Stores
from lemo.stores.documents.schedules import ALL_SCOPES, Schedule, ScheduleChange, Setting
from lemo.stores.redis.client import ping_redis

MOST_LINES = 1000


@dataclass(frozen=True, slots=True)
class ScheduleResult:
    """Result of a schedule change: the schedule in force, the change (None if nothing changed), and a warning."""

    schedule: Schedule
    change: ScheduleChange | None
    note: str = ""


class ScheduleService:
    """Changes schedules for the tenant of a key. `by` is the author in the audit log."""

    def __init__(self, stores: Stores, tenant_id: str, by: str) -> None:
        self._stores = stores
        self._tenant_id = tenant_id
        self._by = by

    @property
    def may_change_defaults(self) -> bool:
        """Whether the tenant may change the default rows, which hold for all tenants."""
        return self._tenant_id == DEFAULT_TENANT

    def change(self, entry: str, scenario_id: str, setting: Setting) -> ScheduleResult:
        """Changes when an entry runs, for one scenario or (empty) for all scenarios of all tenants.

        Raises NotFound for an unknown entry or scenario, InvalidInput for an invalid crontab or time zone, and
        NotAllowed where another tenant than `default` would change a default row.
        """
        _check_scheduled(entry)
        scope = _scope(self._stores, self._tenant_id, scenario_id)
        if scope == ALL_SCOPES and not self.may_change_defaults:
            raise NotAllowed(
                f"A key of the tenant {self._tenant_id!r} may not change when {entry} runs for all tenants.",
                "Name a scenario of yours, or use a key of the tenant `default`.",
            )
        cron = None if setting.cron is None else " ".join(setting.cron.split())
        if cron is None and setting.timezone is None and setting.paused is None and not setting.reset:
            raise InvalidInput("This changes nothing.", "Give a crontab, a time zone, or whether it is paused.")
        current = self._stores.schedules.of(entry, scope)
        # Either may come from the current schedule.
        crontab_of(
            current.cron if cron is None else cron, current.timezone if setting.timezone is None else setting.timezone
        )
        change = self._stores.schedules.set(entry, scope, setting.model_copy(update={"cron": cron}), self._by)
        return ScheduleResult(
            change.after if change else self._stores.schedules.of(entry, scope), change, self._write_entries()
        )

    def history(self, entry: str = "", scenario_id: str = "", limit: int = 100) -> list[ScheduleChange]:
        """The changes that the tenant may see, newest first, of one entry or scenario if given."""
        if entry:
            _check_scheduled(entry)
        scope = _scope(self._stores, self._tenant_id, scenario_id) if scenario_id else None
        return list(self._stores.schedules.audit(entry or None, self._tenant_id, scope, min(limit, MOST_LINES)))

    def _write_entries(self) -> str:
        """Writes beat's entries. Returns a note where Redis does not answer: the leading beat writes them later."""
        try:
            ping_redis(self._stores.redis)
            write_entries(self._stores, app)
        except EngineUnavailable:
            return "It is saved. Redis does not answer; beat takes it up when it does."
        return ""


def run_now(stores: Stores, tenant_id: str, entry: str, scenario_id: str, by: str, full: bool = False) -> list[Run]:
    """Starts a job now, paused or not, for one scenario or (empty) all scenarios of the tenant.

    `full`: an incremental job starts from nothing. `by` is who asks, for the audit log. Raises NotFound, and
    EngineUnavailable where Redis does not answer.
    """
    job = job_of(entry)
    scope = _scope(stores, tenant_id, scenario_id)
    ping_redis(stores.redis)  # before a run is recorded that no queue would take
    with stores.audit.noting(Scope(tenant_id, scenario_id), by, "job.run", entry, **({"full": True} if full else {})):
        if scope != ALL_SCOPES:
            return [dispatch(stores, job, scope, "manual", full=full)]
        runs = fan_out(stores, job, "manual", [tenant_id], full)
        if not runs:
            raise NotFound(
                "There is no scenario to run it for.", "Create one: lemo scenarios create NAME --template ..."
            )
        return runs


def _scope(stores: Stores, tenant_id: str, scenario_id: str) -> Scope:
    if not scenario_id:
        return ALL_SCOPES
    return Scope(tenant_id, stores.scenarios.get(Scope(tenant_id, scenario_id)).scenario_id)


def _check_scheduled(entry: str) -> None:
    if job_of(entry) not in SCHEDULED:
        raise InvalidInput(
            f"{entry} has no schedule: it runs when items arrive.",
            f"Entries with one are: {', '.join(each.entry for each in SCHEDULED)}.",
        )
