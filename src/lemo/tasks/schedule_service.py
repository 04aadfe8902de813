"""What an operator may do to a schedule, whether by command line, API or console: checked, logged, put into effect."""

from dataclasses import dataclass

from lemo.domain.errors import EngineUnavailable, InvalidInput, NotAllowed, NotFound
from lemo.domain.run import Run
from lemo.domain.scope import Scope
from lemo.scheduling.crontab import crontab_of
from lemo.scheduling.jobs import SCHEDULED, job_of
from lemo.stores.bootstrap import DEFAULT_TENANT
from lemo.stores.connect import Stores
from lemo.stores.documents.schedules import EVERYWHERE, Schedule, ScheduleChange, Setting
from lemo.stores.redis.client import ping_redis
from lemo.tasks.celery_app import app
from lemo.tasks.dispatch import dispatch, fan_out
from lemo.tasks.reconcile import write_entries

MOST_LINES = 1000


@dataclass(frozen=True, slots=True)
class ScheduleResult:
    """What became of a wish: what holds now, the change (None: it held before), and what is still to be known."""

    schedule: Schedule
    change: ScheduleChange | None
    note: str = ""


class ScheduleService:
    """Changes schedules for the tenant of a key. `by` stands in the audit log."""

    def __init__(self, stores: Stores, tenant_id: str, by: str) -> None:
        self._stores = stores
        self._tenant_id = tenant_id
        self._by = by

    @property
    def may_change_defaults(self) -> bool:
        """Whether the tenant may change the rows that hold for all tenants."""
        return self._tenant_id == DEFAULT_TENANT

    def change(self, entry: str, scenario_id: str, setting: Setting) -> ScheduleResult:
        """Changes when an entry runs, for one scenario or (empty) for all of all tenants.

        Raises NotFound for an unknown entry or scenario, InvalidInput for a crontab or time zone that is none, and
        NotAllowed where the key is not the `default` tenant's and the change is for all.
        """
        _check_scheduled(entry)
        scope = _scope(self._stores, self._tenant_id, scenario_id)
        if scope == EVERYWHERE and not self.may_change_defaults:
            raise NotAllowed(
                f"A key of the tenant {self._tenant_id!r} may not change when {entry} runs for all tenants.",
                "Name a scenario of yours, or use a key of the tenant `default`.",
            )
        cron = None if setting.cron is None else " ".join(setting.cron.split())
        if cron is None and setting.timezone is None and setting.paused is None and not setting.reset:
            raise InvalidInput("This changes nothing.", "Give a crontab, a time zone, or whether it is paused.")
        now = self._stores.schedules.of(entry, scope)
        # Checked together, as a time zone means nothing without its crontab.
        crontab_of(now.cron if cron is None else cron, now.timezone if setting.timezone is None else setting.timezone)
        change = self._stores.schedules.set(entry, scope, setting.model_copy(update={"cron": cron}), self._by)
        return ScheduleResult(
            change.after if change else self._stores.schedules.of(entry, scope), change, self._effect()
        )

    def history(self, entry: str = "", scenario_id: str = "", limit: int = 100) -> list[ScheduleChange]:
        """The changes that the tenant may see, newest first; those of one entry or scenario if given."""
        if entry:
            _check_scheduled(entry)
        scope = _scope(self._stores, self._tenant_id, scenario_id) if scenario_id else None
        return list(self._stores.schedules.audit(entry or None, self._tenant_id, scope, min(limit, MOST_LINES)))

    def _effect(self) -> str:
        """Tells beat at once. The change stands in any case: beat reads it again by itself, and tasks ask it too."""
        try:
            ping_redis(self._stores.redis)
            write_entries(self._stores, app)
        except EngineUnavailable:
            return "It is saved. Redis does not answer; beat takes it up when it does."
        return ""


def run_now(stores: Stores, tenant_id: str, entry: str, scenario_id: str, full: bool = False) -> list[Run]:
    """Starts a job now, paused or not, for one scenario or (empty) all of the tenant's.

    Raises NotFound, and EngineUnavailable where Redis does not answer.

    `full`: one that goes by what changed since its last run starts from nothing.
    """
    job = job_of(entry)
    scope = _scope(stores, tenant_id, scenario_id)
    ping_redis(stores.redis)  # before anything is recorded that no queue takes
    if scope != EVERYWHERE:
        return [dispatch(stores, job, scope, "manual", full=full)]
    runs = fan_out(stores, job, "manual", [tenant_id], full)
    if not runs:
        raise NotFound("There is no scenario to run it for.", "Create one: lemo scenarios create NAME --template ...")
    return runs


def _scope(stores: Stores, tenant_id: str, scenario_id: str) -> Scope:
    if not scenario_id:
        return EVERYWHERE
    return Scope(tenant_id, stores.scenarios.get(Scope(tenant_id, scenario_id)).scenario_id)


def _check_scheduled(entry: str) -> None:
    if job_of(entry) not in SCHEDULED:
        raise InvalidInput(
            f"{entry} has no schedule: it runs when items arrive.",
            f"Entries with one are: {', '.join(each.entry for each in SCHEDULED)}.",
        )
