"""Versions of pipelines in both document stores."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from lemo.domain.errors import Conflict, NotFound
from lemo.domain.pipeline import Pipeline
from lemo.domain.scope import Scope
from lemo.stores.documents import Documents
from lemo.stores.documents.pipelines import Pipelines


def with_filter(text: str) -> Pipeline:
    return Pipeline(filter=text)


def test_versions_are_counted_kept_and_put_back(documents: Documents, scope: Scope) -> None:
    pipelines = Pipelines(documents)
    assert pipelines.current(scope).version == 0
    with pytest.raises(NotFound):
        pipelines.roll_back(scope, "ann")
    for number in range(1, 12):
        assert pipelines.put(scope, with_filter(f"item.a == {number}"), "ann", after=number - 1).version == number
    assert [each.version for each in pipelines.history(scope, 3)] == [11, 10, 9], "by number, not as text"
    back = pipelines.roll_back(scope, "bob", 2)
    assert (back.version, back.pipeline.filter, back.changed_by) == (12, "item.a == 2", "bob")
    assert pipelines.roll_back(scope, "bob").pipeline.filter == "item.a == 11", "what served before"
    assert pipelines.roll_back(scope, "bob", 0).pipeline == Pipeline()
    with pytest.raises(NotFound):
        pipelines.get(scope, 99)
    assert pipelines.current(Scope(scope.tenant_id, "other")).version == 0


def test_of_changes_at_once_each_has_a_version_or_is_told(documents: Documents, scope: Scope) -> None:
    pipelines = Pipelines(documents)
    first = pipelines.put(scope, with_filter("true"), "ann")
    with pytest.raises(Conflict):
        pipelines.put(scope, with_filter("false"), "bob", after=0)

    def change(number: int) -> bool:
        try:
            pipelines.put(scope, with_filter(f"item.a == {number}"), "ann")
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(change, range(16)))
    assert pipelines.current(scope).version == first.version + sum(done)
    assert len(pipelines.history(scope)) == first.version + sum(done)
