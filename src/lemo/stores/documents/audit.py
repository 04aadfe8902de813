"""Lines of the audit log, tenant by tenant. `stores/audit_log.py` reads them together with the histories of others."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from lemo.domain.audit import AuditLine
from lemo.domain.scope import Scope
from lemo.stores.documents import AUDIT, Documents
from lemo.stores.documents.bodies import body_of, moment_text
from lemo.stores.documents.runs import new_run_id

_BATCH = 500


class Audit:
    """Writes and reads audit lines. Every call raises EngineUnavailable when the documents do not answer."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    @contextmanager
    def noting(self, scope: Scope, by: str, action: str, subject: str, **detail: Any) -> Iterator[AuditLine]:
        """Logs the change that the body of the `with` makes, for the scope's tenant.

        The line is written before the change, so that no change is unlogged, wherever a process dies. A body that
        raises takes it back. What the body adds to the line's `detail` is written after it.
        """
        line = AuditLine(
            at=datetime.now(UTC),
            by=by,
            action=action,
            subject=subject[:300],
            scenario_id=scope.scenario_id,
            detail=dict(detail),
        )
        id, before = new_run_id(), body_of(line)
        self._documents.put(AUDIT, scope.tenant, {id: before})
        try:
            yield line
        except Exception:
            self._documents.delete(AUDIT, scope.tenant, [id])
            raise
        if body_of(line) != before:
            self._documents.put(AUDIT, scope.tenant, {id: body_of(line)})

    def note(self, scope: Scope, by: str, action: str, subject: str, **detail: Any) -> None:
        """Logs a change that was made."""
        with self.noting(scope, by, action, subject, **detail):
            pass

    def list(self, tenant_id: str, limit: int) -> list[AuditLine]:
        """The tenant's newest lines, newest first."""
        found = self._documents.find(AUDIT, Scope(tenant_id), order="-at", limit=limit)
        return [AuditLine.model_validate(body) for _, body in found]

    def delete_before(self, tenant_id: str, moment: datetime) -> int:
        """Deletes the lines written before `moment` (aware); returns their number."""
        scope, deleted = Scope(tenant_id), 0
        while True:
            oldest = self._documents.find(AUDIT, scope, order="at", limit=_BATCH)
            old = [id for id, body in oldest if body["at"] < moment_text(moment)]
            deleted += self._documents.delete(AUDIT, scope, old) if old else 0
            if len(old) < _BATCH:
                return deleted
