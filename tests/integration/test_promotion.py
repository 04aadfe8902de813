"""Champion and challenger over a real document store, snapshot folder and Redis: verdicts, promotions, rollbacks."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from lemo.domain.errors import Conflict, NotFound
from lemo.domain.scope import Scope
from lemo.jobs.cleanup import drop_snapshots
from lemo.models.promotion import TRAINING, judge, promote, rollback
from lemo.recommenders.evaluation.metrics import Metrics
from lemo.stores.connect import Stores
from lemo.stores.documents.model_changes import Action
from lemo.stores.documents.models import KIND, ModelRecord
from lemo.stores.redis.lease import Lease, next_fence
from sites import settings_of

USERS = np.random.default_rng(7).random(400)
ME = "ana, command line"


@pytest.fixture
def stores(tmp_path: Path, redis_url: str) -> Iterator[Stores]:
    stores = Stores(settings_of(tmp_path, redis_url))
    yield stores
    stores.close()


def publish(stores: Stores, scope: Scope, *versions: str) -> None:
    for version in versions:
        stores.snapshots.publish(scope, KIND, version, {"numbers": np.arange(3)}, {})
        stores.models.record(scope, ModelRecord(version=version, kind="blend"))


def serve(stores: Stores, scope: Scope, version: str, action: Action = "promote") -> None:
    """What training does at its end."""
    publish(stores, scope, version)
    fence = next_fence(stores.redis, TRAINING, scope)
    stores.model_changes.put_in_service(scope, version, fence, action, "training")


def metrics(by_user: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Metrics:
    mean = float(by_user.mean())
    return Metrics(
        ndcg_at_10=mean,
        recall_at_10=mean,
        recall_at_20=mean,
        map_at_10=mean,
        mrr=mean,
        coverage=0.5,
        users=len(by_user),
        ndcg_by_user=by_user.tolist(),
    )


PLAIN = metrics(USERS)
NOISE = 0.1 * np.cos(np.arange(400))
LUCKY = metrics(USERS + NOISE + 0.003)
BETTER = metrics(USERS + NOISE + 0.03)
BEST = metrics(USERS - NOISE + 0.08)


def verdict(
    stores: Stores, scope: Scope, ours: Metrics | None, of: Mapping[str, Metrics], floor: float = 0.0
) -> tuple[bool, str]:
    found = judge(stores, scope, ours, floor, of.get)
    return found.promoted, found.why


def test_only_what_is_better_beyond_noise_is_promoted(stores: Stores, scope: Scope) -> None:
    assert verdict(stores, scope, None, {}) == (True, "the first model")
    serve(stores, scope, "1")
    champion = {"1": PLAIN}
    assert verdict(stores, scope, BETTER, champion)[0]
    for ours in (PLAIN, LUCKY, metrics(USERS - 0.01), metrics(USERS * 0)):
        promoted, why = verdict(stores, scope, ours, champion)
        assert not promoted
        assert why.startswith("not better than the champion beyond noise")
    assert verdict(stores, scope, None, champion)[1].startswith("too few events")
    assert verdict(stores, scope, PLAIN, {})[1] == "the champion 1 cannot be measured any more"


def test_a_champion_below_the_best_single_source_gives_way(stores: Stores, scope: Scope) -> None:
    serve(stores, scope, "1")
    floor = (PLAIN.ndcg_at_10 + LUCKY.ndcg_at_10) / 2
    assert PLAIN.ndcg_at_10 < floor < LUCKY.ndcg_at_10
    assert verdict(stores, scope, LUCKY, {"1": PLAIN}, floor)[1].startswith("the champion fell below")
    assert not verdict(stores, scope, LUCKY, {"1": PLAIN}, floor=0.0)[0]
    assert not verdict(stores, scope, PLAIN, {"1": PLAIN}, floor)[0]


def test_what_was_rolled_back_does_not_come_back_by_the_same_training(stores: Stores, scope: Scope) -> None:
    serve(stores, scope, "1")
    serve(stores, scope, "2")
    assert rollback(stores, scope, ME).version == "1"
    of = {"1": PLAIN, "2": BETTER}
    promoted, why = verdict(stores, scope, BETTER, of)
    assert not promoted
    assert why.startswith(f"no better than 2, from which {ME} rolled back")
    serve(stores, scope, "3", "refresh")  # the night goes on; the rejection stands
    assert not verdict(stores, scope, BETTER, of | {"3": PLAIN})[0]
    # What is better than both is promoted, and so is what the operator wants after all.
    assert verdict(stores, scope, BEST, of | {"3": PLAIN})[0]
    promote(stores, scope, "2", ME)
    assert stores.model_changes.rejected(scope) == {}


def test_rolling_back_goes_back_and_back(stores: Stores, scope: Scope) -> None:
    with pytest.raises(NotFound, match="No earlier model"):
        rollback(stores, scope, ME)
    for version in ("1", "2", "3"):
        serve(stores, scope, version)
    assert [rollback(stores, scope, ME).version for _ in range(2)] == ["2", "1"]
    assert stores.snapshots.current(scope, KIND) == "1"
    with pytest.raises(NotFound):
        rollback(stores, scope, ME)
    change = promote(stores, scope, "3", ME)
    assert change is not None
    assert (change.action, change.previous, change.changed_by) == ("promote", "1", ME)
    assert promote(stores, scope, "3", ME) is None
    assert rollback(stores, scope, ME).version == "1"
    history = [(each.action, each.previous, each.version) for each in stores.model_changes.history(scope)]
    assert history == [
        ("rollback", "3", "1"),
        ("promote", "1", "3"),
        ("rollback", "2", "1"),
        ("rollback", "3", "2"),
        ("promote", "2", "3"),
        ("promote", "1", "2"),
        ("promote", "", "1"),
    ]
    with pytest.raises(NotFound, match="no model"):
        promote(stores, scope, "4", ME)


def test_a_person_beats_the_run_at_work_and_gives_way_to_the_next(stores: Stores, scope: Scope) -> None:
    serve(stores, scope, "1")
    publish(stores, scope, "2", "3")
    with Lease(stores.redis, TRAINING, scope) as training:
        assert training.acquire()
        promote(stores, scope, "2", ME)
        with pytest.raises(Conflict):
            stores.model_changes.put_in_service(scope, "3", training.fence, "promote", "training")
        assert training.held
    assert stores.snapshots.current(scope, KIND) == "2"
    assert [each.version for each in stores.model_changes.history(scope)] == ["2", "1"]
    with Lease(stores.redis, TRAINING, scope) as training:
        assert training.acquire()
        stores.model_changes.put_in_service(scope, "3", training.fence, "promote", "training")
    assert stores.snapshots.current(scope, KIND) == "3"


def test_a_line_whose_pointer_never_moved_is_not_believed(
    stores: Stores, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(stores, scope, "1")
    serve(stores, scope, "2")
    publish(stores, scope, "3")

    class Died(BaseException):
        pass

    def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(stores.snapshots, "point", die)
        with pytest.raises(Died):
            promote(stores, scope, "3", ME)
    assert [each.version for each in stores.model_changes.history(scope)] == ["2", "1"]
    assert rollback(stores, scope, ME).version == "1"


def test_a_champion_of_before_the_log_can_be_rolled_back_to(stores: Stores, scope: Scope) -> None:
    publish(stores, scope, "1")
    stores.snapshots.point(scope, KIND, "1", 1)
    assert stores.model_changes.before(scope) == []
    serve(stores, scope, "2")
    assert rollback(stores, scope, ME).version == "1"


def test_cleanup_keeps_the_champion_and_what_a_rollback_goes_to(stores: Stores, scope: Scope) -> None:
    serve(stores, scope, "1")
    serve(stores, scope, "2")
    later = [str(version) for version in range(3, 9)]
    publish(stores, scope, *later)
    assert drop_snapshots(stores, scope, KIND) == 3
    assert stores.snapshots.versions(scope, KIND) == ["1", "2", *later[-3:]]
    assert drop_snapshots(stores, scope, KIND) == 0
    # A run that died yesterday left arrays without a manifest; one of now may still be writing.
    folder = Path(stores.settings.snapshots) / scope.tenant_id / scope.scenario_id / KIND
    for version in ("20260101T000000000-abcdef", "29990101T000000000-abcdef"):
        (folder / version).mkdir()
        (folder / version / "numbers.npy").write_bytes(b"half")
    assert drop_snapshots(stores, scope, KIND) == 1
    assert stores.snapshots.unfinished(scope, KIND) == ["29990101T000000000-abcdef"]
    assert rollback(stores, scope, ME).version == "1"
