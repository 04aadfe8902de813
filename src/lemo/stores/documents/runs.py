"""The history of task runs: what each job did, for whom, when, and how it ended."""

import secrets
import time
from datetime import datetime
from uuid import NAMESPACE_URL, uuid5

from lemo.domain.errors import Conflict, NotFound
from lemo.domain.run import Outcome, Run, Trigger
from lemo.domain.scope import Scope
from lemo.stores.documents import RUNS, Documents, Scalar
from lemo.stores.documents.bodies import body_of, moment_text

_BATCH = 500


class Runs:
    """Task runs of tenants, newest first."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def create(
        self, tenant_id: str, entry: str, scenario_id: str, trigger: Trigger, due: str = "", full: bool = False
    ) -> Run:
        """Stores and returns a queued run with a new id; `full`: it is to start from nothing.

        With the time at which a schedule made it due it is one run however often it is asked for: the one that exists
        is returned as it is now.
        """
        run_id = due_run_id(tenant_id, entry, scenario_id, due) if due else new_run_id()
        run = Run(run_id=run_id, entry=entry, scenario_id=scenario_id, trigger=trigger, full=full)
        created = self._documents.put_new(RUNS, Scope(tenant_id), run_id, body_of(run))
        return run if created else self.get(tenant_id, run_id)

    def get(self, tenant_id: str, run_id: str) -> Run:
        """The run; raises NotFound."""
        body = self._documents.get(RUNS, Scope(tenant_id), run_id)
        if body is None:
            raise NotFound(f"There is no task run {run_id[:80]!r}.", "`lemo runs list` shows the runs that are kept.")
        return Run.model_validate(body)

    def save(self, tenant_id: str, run: Run) -> None:
        """Writes the run as it is now; raises Conflict where a later attempt at it has begun."""
        if not self._documents.put_newer(RUNS, Scope(tenant_id), {run.run_id: body_of(run)}, {run.run_id: run.fence}):
            raise Conflict("A later attempt at this run has begun; this one writes nothing more.")

    def list(
        self,
        tenant_id: str,
        entry: str | None = None,
        scenario_id: str | None = None,
        outcome: Outcome | None = None,
        limit: int = 100,
    ) -> list[Run]:
        """The newest `limit` runs, of one entry, scenario or outcome if given."""
        asked: dict[str, Scalar] = {"entry": entry, "scenario_id": scenario_id, "outcome": outcome}
        where = {field: value for field, value in asked.items() if value is not None}
        found = self._documents.find(RUNS, Scope(tenant_id), where, order="-queued_at", limit=limit)
        return [Run.model_validate(body) for _, body in found]

    def keep_newest(self, scope: Scope, entry: str, count: int) -> None:
        """Deletes the runs of an entry and scenario but for the newest `count`."""
        where: dict[str, Scalar] = {"entry": entry, "scenario_id": scope.scenario_id}
        tenant = Scope(scope.tenant_id)
        found = self._documents.find(RUNS, tenant, where, order="-queued_at", limit=_BATCH, offset=count)
        self._documents.delete(RUNS, tenant, [run_id for run_id, _ in found])

    def delete_before(self, tenant_id: str, moment: datetime) -> int:
        """Deletes the runs queued before `moment` (aware); returns their number."""
        scope, limit, deleted = Scope(tenant_id), moment_text(moment), 0
        while True:
            oldest = self._documents.find(RUNS, scope, order="queued_at", limit=_BATCH)
            old = [run_id for run_id, body in oldest if body["queued_at"] < limit]
            deleted += self._documents.delete(RUNS, scope, old) if old else 0
            if len(old) < _BATCH:
                return deleted


def due_run_id(tenant_id: str, entry: str, scenario_id: str, due: str) -> str:
    """The id of the run that a schedule made due at a time: a UUID of version 5, the same for all who ask."""
    # Names of tenants and scenarios hold no space.
    return str(uuid5(NAMESPACE_URL, f"lemo:run:{entry} {tenant_id} {scenario_id} {due}"))


def new_run_id() -> str:
    """A UUID of version 7 (RFC 9562): it orders by time, to a quarter of a microsecond."""
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    # RFC 9562, 6.2, method 3: the 12 bits after the version hold the fraction of the millisecond.
    value = (milliseconds & (1 << 48) - 1) << 80 | 7 << 76 | (rest * 4096 // 1_000_000) << 64
    value |= 0b10 << 62 | secrets.randbits(62)
    digits = f"{value:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
