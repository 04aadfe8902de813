"""The audit log over each document store: a line for each change, none for what failed, and one list of all."""

from datetime import UTC, datetime, timedelta

import pytest

from lemo.domain.errors import NotFound
from lemo.domain.scope import Scope
from lemo.stores.documents import AUDIT, Documents
from lemo.stores.documents.audit import Audit


def test_lines_are_written_before_the_change_and_taken_back_when_it_fails(documents: Documents, scope: Scope) -> None:
    audit = Audit(documents)
    with audit.noting(scope, "ann", "item.delete", "lamp", why="broken") as line:
        (early,) = audit.list(scope.tenant_id, 10)
        assert (early.by, early.action, early.subject, early.scenario_id) == (
            "ann",
            "item.delete",
            "lamp",
            scope.scenario_id,
        )
        line.detail["found"] = 3
    (late,) = audit.list(scope.tenant_id, 10)
    assert late.detail == {"why": "broken", "found": 3}
    with pytest.raises(NotFound), audit.noting(scope, "ann", "item.delete", "chair"):
        raise NotFound("There is no chair.")
    assert audit.list(scope.tenant_id, 10) == [late]
    assert audit.list("another tenant", 10) == []


def test_the_newest_come_first_and_the_old_ones_go(documents: Documents, scope: Scope) -> None:
    audit = Audit(documents)
    for number in range(3):
        audit.note(scope.tenant, "ann", "key.create", f"key {number}")
    assert [line.subject for line in audit.list(scope.tenant_id, 2)] == ["key 2", "key 1"]
    (id, body), *_ = documents.find(AUDIT, scope.tenant, order="at", limit=1)
    documents.put(AUDIT, scope.tenant, {id: {**body, "at": "2025-01-01T00:00:00.000000+00:00"}})
    assert audit.delete_before(scope.tenant_id, datetime.now(UTC) - timedelta(days=365)) == 1
    assert [line.subject for line in audit.list(scope.tenant_id, 9)] == ["key 2", "key 1"]
