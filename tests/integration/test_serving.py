"""Answers from mapped snapshots and a real Redis."""

import os
import signal
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

import servers
from engines.process import Daemon
from lemo.domain.availability import Entry
from lemo.domain.errors import EngineUnavailable, Outdated
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.recommenders.similar_items import SimilarItems, similar_items
from lemo.serving.service import RecommendationService
from lemo.stores.connect import Stores
from lemo.stores.documents import EXPERIMENT_CHANGES, PIPELINES, Body, Kind
from recommender_worlds import best_first, similarity_of
from sites import ITEMS, NOW, begin_catalogue, model_of, publish_model, settings_of, touch, wait_for


class OnlyPipelines:
    """Documents that must be asked for nothing but the pipeline in service and experiments."""

    def find(self, kind: Kind, *_: Any, **__: Any) -> list[tuple[str, Body]]:
        assert kind in (PIPELINES, EXPERIMENT_CHANGES), f"a recommendation asked the document store for {kind.name}"
        return []

    def close(self) -> None:
        """Nothing is open."""


class NoDocuments(Stores):
    """Stores whose document store holds no document that an answer needs."""

    @cached_property
    def documents(self) -> Any:
        """Almost never."""
        return OnlyPipelines()


@pytest.fixture
def stores(tmp_path: Path, redis_url: str) -> Iterator[Stores]:
    stores = NoDocuments(settings_of(tmp_path, redis_url))
    yield stores
    stores.close()


@pytest.fixture
def served(stores: Stores) -> Iterator[RecommendationService]:
    with RecommendationService(stores, refresh_seconds=0.05) as served:
        yield served


def ids(answer: Any) -> list[str]:
    return [item.item_id for item in answer.items]


def add_new(stores: Stores, scope: Scope, *item_ids: str, active: bool = True) -> None:
    begin_catalogue(stores, scope)
    items = [Item(item_id=item_id, is_active=active) for item_id in item_ids]
    stores.availability.add(scope, items, [round(NOW.timestamp() * 1000) + place for place in range(len(items))])


def publish_similar(stores: Stores, scope: Scope) -> None:
    nearest: SimilarItems = similar_items(list(ITEMS), best_first(similarity_of(model_of()).transpose), None, 3)
    arrays, manifest = nearest.to_arrays()
    stores.snapshots.publish(scope, "similar", "10", arrays, manifest)
    stores.snapshots.point(scope, "similar", "10", 1)


def test_a_users_taste_makes_the_answer_and_is_its_reason(
    served: RecommendationService, stores: Stores, scope: Scope
) -> None:
    publish_model(stores, scope, "1", model_of())
    touch(stores, scope, "u", "item/20")
    answer = served.recommend(scope, "u", 10)
    assert (answer.model_version, answer.degraded) == ("1", False)
    assert ids(answer)[:3] == ["item/21", "item/22", "item/23"]
    assert answer.items[0].reason == 'because of "item/20"'
    assert len(answer.items) == 10
    assert "item/20" not in ids(answer)
    assert answer.items == sorted(answer.items, key=lambda item: -item.score)
    touch(stores, scope, "u", "item/20", "item/21", "item/30")
    after = served.recommend(scope, "u", 10)
    assert "item/21" not in ids(after)
    assert "item/31" in ids(after)[:3], "a click of a moment ago counts"


def test_a_stranger_gets_popular_items_and_some_new_ones(
    served: RecommendationService, stores: Stores, scope: Scope
) -> None:
    publish_model(stores, scope, "1", model_of())
    add_new(stores, scope, "old", "new")
    answer = served.recommend(scope, "stranger", 10)
    assert ids(answer)[:4] == list(ITEMS[:4])
    assert {ids(answer)[4], ids(answer)[9]} == {"old", "new"}
    assert answer.items[4].reason == "new"
    assert [item.item_id for item in answer.items if item.explored] == [ids(answer)[4], ids(answer)[9]]
    assert answer.items[4].propensity == 1.0, "two places, and two new items that may stand there"
    shown = {served.recommend(scope, "stranger", 5).items[4].propensity for _ in range(3)}
    assert shown == {0.5}
    assert answer.items[0].reason == "popular now"
    assert not answer.degraded


def test_a_catalogue_that_came_in_one_import_is_not_new(
    served: RecommendationService, stores: Stores, scope: Scope
) -> None:
    publish_model(stores, scope, "1", model_of())
    add_new(stores, scope, *(f"film-{number}" for number in range(300)))
    wait_for(lambda: len(ids(served.latest(scope, 300))) == 300)
    stranger = served.recommend(scope, "stranger", 10)
    assert ids(stranger) == list(ITEMS[:10])
    assert {item.reason for item in stranger.items} == {"popular now"}
    # What comes later says something by its arrival; a batch export explores nothing.
    later = time.time_ns() // 1_000_000 - 1_000
    stores.availability.add(
        scope, [Item(item_id=f"film-{number}") for number in range(300)], [later - 3 * 3_600_000] * 300
    )
    stores.availability.add(scope, [Item(item_id="premiere")], [later])
    wait_for(lambda: ids(served.recommend(scope, "stranger", 10))[4] == "premiere")
    shown = served.recommend(scope, "stranger", 10).items
    assert [item.item_id for item in shown if item.reason == "new"] == ["premiere"]
    assert shown[4].score == 0 != shown[3].score
    with RecommendationService(stores, watch=False) as batch:
        exported = dict(batch.recommend_many(scope, ["stranger"], 10))["stranger"]
    assert ids(exported) == list(ITEMS[:10])


def test_without_a_model_the_newest_items_answer(served: RecommendationService, stores: Stores, scope: Scope) -> None:
    add_new(stores, scope, "a", "b", "c")
    touch(stores, scope, "u", "b")
    answer = served.recommend(scope, "u", 10)
    assert ids(answer) == ["c", "a"]
    assert (answer.model_version, answer.degraded) == (None, True)
    assert ids(served.popular(scope, 2)) == ["c", "b"]
    assert ids(served.latest(scope, 2)) == ["c", "b"]


def test_inactive_and_excluded_items_are_never_answered(
    served: RecommendationService, stores: Stores, scope: Scope
) -> None:
    publish_model(stores, scope, "1", model_of())
    add_new(stores, scope, "item/0", "item/21", active=False)
    touch(stores, scope, "u", "item/20")
    answer = served.recommend(scope, "u", 40, exclude={"item/22"})
    assert len(answer.items) == 36
    assert not {"item/0", "item/20", "item/21", "item/22"} & set(ids(answer))
    assert ids(served.popular(scope, 1)) == ["item/1"]


def every_path(served: RecommendationService, stores: Stores, scope: Scope) -> dict[str, set[str]]:
    """What each way of asking answers, of the 40 items."""
    with RecommendationService(stores, watch=False) as batch:
        ((_, exported),) = batch.recommend_many(scope, ["u"], 40)
    return {
        "recommendations": set(ids(served.recommend(scope, "u", 40))),
        "of a stranger": set(ids(served.recommend(scope, "stranger", 40))),
        "precomputed": set(ids(served.recommend(scope, "known", 40))),
        "export": set(ids(exported)),
        "similar": set(ids(served.similar(scope, "item/39", 40))),
        "popular": set(ids(served.popular(scope, 40))),
        "latest": set(ids(served.latest(scope, 40))),
    }


def test_publication_and_expiry_hold_on_every_path_from_their_moment_on(
    served: RecommendationService, stores: Stores, scope: Scope
) -> None:
    publish_model(stores, scope, "1", model_of())
    publish_similar(stores, scope)
    touch(stores, scope, "u", "item/39")
    now = time.time_ns() // 1_000_000
    soon, week = now + 3_000, now + 7 * 86_400_000
    items = [
        Item(item_id="item/0", published_at=week),  # the most popular one, and the most similar to item/39
        Item(item_id="item/1", published_at=soon),
        Item(item_id="item/2", expires_at=soon),
        Item(item_id="item/3", expires_at=now - 1),
    ]
    stores.availability.add(scope, items, [now] * 4)
    with RecommendationService(stores, watch=False) as batch:
        (ready,) = batch.precompute(scope, ["known"])
    stores.precomputed.write_many(scope, ready.answers, ready.marks)
    wait_for(lambda: "item/2" in ids(served.latest(scope, 40)))
    before = every_path(served, stores, scope)
    if time.time_ns() // 1_000_000 < soon:
        assert all(not {"item/0", "item/1", "item/3"} & answered for answered in before.values()), before
        assert all("item/2" in answered for answered in before.values()), before
    wait_for(lambda: time.time_ns() // 1_000_000 > soon)
    after = every_path(served, stores, scope)
    assert all(not {"item/0", "item/2", "item/3"} & answered for answered in after.values()), after
    assert all("item/1" in answered for answered in after.values()), after


def test_an_emptied_redis_shows_nothing_that_was_hidden(
    served: RecommendationService, stores: Stores, scope: Scope
) -> None:
    publish_model(stores, scope, "1", model_of())
    add_new(stores, scope, "item/0", active=False)
    wait_for(lambda: "item/0" not in ids(served.popular(scope, 40)))
    stores.redis.delete(*stores.redis.keys(f"*:{scope.tenant_id}:*"))
    renewed = served.renewals().failed
    wait_for(lambda: served.renewals().failed > renewed)
    assert "item/0" not in ids(served.popular(scope, 40)), "what was read before holds until Redis is whole again"
    with RecommendationService(stores, refresh_seconds=0.05) as started:
        assert started.popular(scope, 40).degraded, "a process that starts now knows no better, and says so"
        stores.availability.rebuild(scope, [Entry("item/0", False, 0)])
        wait_for(lambda: not started.popular(scope, 40).degraded)
        assert "item/0" not in ids(started.popular(scope, 40))


def test_a_promotion_serves_without_a_restart(served: RecommendationService, stores: Stores, scope: Scope) -> None:
    assert served.recommend(scope, "u", 5).model_version is None
    publish_model(stores, scope, "1", model_of())
    wait_for(lambda: served.recommend(scope, "u", 5).model_version == "1")
    publish_model(stores, scope, "2", model_of(favourite=7))
    wait_for(lambda: served.recommend(scope, "u", 5).model_version == "2")
    assert ids(served.popular(scope, 1)) == ["item/7"]


def test_a_snapshot_that_cannot_be_read_leaves_the_former_one(
    served: RecommendationService, stores: Stores, scope: Scope
) -> None:
    publish_model(stores, scope, "1", model_of())
    before = served.popular(scope, 5)
    arrays, manifest = model_of(favourite=9).to_arrays()
    del arrays["item_ids_bytes"]
    stores.snapshots.publish(scope, "model", "2", arrays, manifest)
    stores.snapshots.point(scope, "model", "2", time.time_ns())
    asked = time.monotonic()
    while time.monotonic() < asked + 0.3:
        after = served.popular(scope, 5)
        assert (after.model_version, after.items) == ("1", before.items)
    add_new(stores, scope, "new")
    wait_for(lambda: ids(served.latest(scope, 1)) == ["new"])
    assert served.recommend(scope, "u", 5).model_version == "1"


def of_another_version(stores: Stores, scope: Scope, version: str) -> None:
    """Puts a model in service whose configuration holds what this version of Lemo does not know."""
    begin_catalogue(stores, scope)
    arrays, manifest = model_of().to_arrays()
    manifest["config"] |= {"ranker": {"half_lives": [1.0], "forest": "a former form"}}
    stores.snapshots.publish(scope, "model", version, arrays, manifest)
    stores.snapshots.point(scope, "model", version, time.time_ns())


def test_a_model_of_another_version_is_told_once_and_the_last_answers_go_on(stores: Stores, scope: Scope) -> None:
    publish_model(stores, scope, "1", model_of())
    publish_similar(stores, scope)
    touch(stores, scope, "u", "item/20")
    add_new(stores, scope, "new")
    with RecommendationService(stores, watch=False) as batch:
        (computed,) = batch.precompute(scope, ["u"])
    ready = computed.answers
    stores.precomputed.write_many(scope, ready)
    of_another_version(stores, scope, "2")
    # A process that starts now has no former model.
    with capture_logs() as logs, RecommendationService(stores, refresh_seconds=0.05) as served:
        answer = served.recommend(scope, "u", 5)
        assert (ids(answer), answer.degraded) == ([item.item_id for item in ready["u"].items[:5]], True)
        touch(stores, scope, "u", "item/21")
        assert "item/21" not in ids(served.recommend(scope, "u", 5))
        assert ids(served.recommend(scope, "stranger", 5)) == ["new"]
        assert not served.similar(scope, "item/5", 2).degraded, "another part serves on"
        asked = time.monotonic()
        while time.monotonic() < asked + 0.3:
            served.popular(scope, 1)
        publish_model(stores, scope, "3", model_of())
        wait_for(lambda: served.recommend(scope, "u", 5).model_version == "3")
        assert not served.recommend(scope, "u", 5).degraded
    (told,) = [line["error"] for line in logs if line["log_level"] == "warning"]
    assert "The model 2 of" in told
    assert "lemo jobs run train-model-daily" in told


def test_a_batch_is_not_answered_by_a_model_of_another_version(stores: Stores, scope: Scope) -> None:
    of_another_version(stores, scope, "2")
    with RecommendationService(stores, watch=False) as batch:
        with pytest.raises(Outdated, match="cannot read"):
            list(batch.recommend_many(scope, ["u"], 5))
        with pytest.raises(Outdated, match="lemo jobs run train-model-daily"):
            list(batch.precompute(scope, ["u"]))


def test_a_batch_answers_what_requests_are_answered(
    stores: Stores, served: RecommendationService, scope: Scope
) -> None:
    publish_model(stores, scope, "1", model_of())
    add_new(stores, scope, "new-1", "new-2")
    add_new(stores, scope, "item/3", active=False)
    users = [f"user {number}" for number in range(600)]
    for number, user in enumerate(users[:300]):
        touch(stores, scope, user, *(ITEMS[(number + step) % len(ITEMS)] for step in range(number % 7)))
    with RecommendationService(stores, watch=False) as batch:
        answers = dict(batch.recommend_many(scope, users, 12))
        for ready in batch.precompute(scope, users[:400]):
            stores.precomputed.write_many(scope, ready.answers, ready.marks)
        again = dict(batch.recommend_many(scope, users, 12))
    assert list(answers) == users
    for user in users:
        answer = served.recommend(scope, user, 12)
        # A request shows strangers new items, a batch does not.
        asked = [item for item in answer.items if item.reason != "new"]
        assert asked == answers[user].items[: len(asked)], user
        assert answers[user].items == again[user].items, user


def test_a_precomputed_answer_serves_until_model_or_history_change(
    stores: Stores, served: RecommendationService, scope: Scope
) -> None:
    publish_model(stores, scope, "1", model_of())
    touch(stores, scope, "u", "item/20")
    with RecommendationService(stores, watch=False) as batch:
        (computed,) = batch.precompute(scope, ["u"])
    ready = computed.answers
    # Told apart from a computed answer by a score that no model gives.
    marked = ready["u"]._replace(
        items=[item._replace(score=1000.0 - place) for place, item in enumerate(ready["u"].items)]
    )
    stores.precomputed.write_many(scope, {"u": marked}, computed.marks)
    answer = served.recommend(scope, "u", 5)
    assert answer.items[0].score == 1000.0
    assert ids(answer) == [item.item_id for item in ready["u"].items[:5]]
    without = served.recommend(scope, "u", 5, exclude={ids(answer)[0]})
    assert ids(without)[:4] == ids(answer)[1:]

    touch(stores, scope, "u", "item/2", action="click")  # as old as the other touch: late, not new
    assert served.recommend(scope, "u", 5).items[0].score < 100
    stores.precomputed.write_many(scope, {"u": marked}, computed.marks)
    assert served.recommend(scope, "u", 5).items[0].score < 100, "it was computed before the click"
    stores.precomputed.write_many(scope, {"u": marked})
    assert served.recommend(scope, "u", 5).items[0].score == 1000.0
    touch(stores, scope, "u", "item/2", action="click")
    assert served.recommend(scope, "u", 5).items[0].score == 1000.0, "the same event again changes nothing"
    stores.seen.add_items(scope, {"u": ["item/33"]})
    assert served.recommend(scope, "u", 5).items[0].score < 100
    stores.precomputed.write_many(scope, {"u": marked})
    publish_model(stores, scope, "2", model_of(favourite=3))
    wait_for(lambda: served.recommend(scope, "u", 5).model_version == "2")
    assert served.recommend(scope, "u", 5).items[0].score < 100

    assert stores.precomputed.delete_stale(scope, "1") == 0
    assert stores.precomputed.delete_stale(scope, "2") == 1
    assert stores.precomputed.read(scope, "u") is None


def test_similar_items(stores: Stores, served: RecommendationService, scope: Scope) -> None:
    publish_model(stores, scope, "1", model_of())
    publish_similar(stores, scope)
    add_new(stores, scope, "item/6", active=False)
    answer = served.similar(scope, "item/5", 10)
    assert ids(answer) == ["item/7", "item/8"]
    assert (answer.model_version, answer.degraded) == ("10", False)
    unknown = served.similar(scope, "nobody knows it", 3)
    assert unknown.degraded
    assert ids(unknown) == ITEMS[:3]


def test_scopes_do_not_see_each_other(stores: Stores, served: RecommendationService, scope: Scope) -> None:
    other = Scope(f"{scope.tenant_id}-other", scope.scenario_id)
    publish_model(stores, scope, "1", model_of())
    add_new(stores, scope, "new")
    touch(stores, scope, "u", "item/20")
    answer = served.recommend(other, "u", 10)
    assert (answer.items, answer.model_version) == ([], None)


class OwnRedis:
    """A Redis that a test may stop."""

    def __init__(self, name: str) -> None:
        self.url = f"redis://127.0.0.1:{servers.embedded('redis', name)}"
        self.daemon = Daemon(Path(os.environ[servers.RUN_FOLDER]) / name)

    def pause(self) -> None:
        assert self.daemon.pid
        os.kill(self.daemon.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self.daemon.pid
        os.kill(self.daemon.pid, signal.SIGCONT)


@pytest.fixture
def own_redis(scope: Scope) -> Iterator[OwnRedis]:
    redis = OwnRedis(f"redis-{scope.tenant_id}")
    yield redis
    if redis.daemon.pid:
        redis.resume()
        redis.daemon.stop()


def test_while_redis_is_silent_answers_are_quick_and_say_so(tmp_path: Path, own_redis: OwnRedis, scope: Scope) -> None:
    stores = NoDocuments(settings_of(tmp_path, own_redis.url))
    publish_model(stores, scope, "1", model_of())
    touch(stores, scope, "u", "item/20")
    with RecommendationService(stores, refresh_seconds=0.05) as served:
        assert served.recommend(scope, "u", 5).items[0].item_id == "item/21"
        own_redis.pause()
        times = []
        for _ in range(50):
            started = time.monotonic()
            answer = served.recommend(scope, "u", 5)
            times.append(time.monotonic() - started)
            assert (answer.degraded, answer.model_version) == (True, "1")
            assert ids(answer) == ITEMS[:5]
        assert max(times) < 2
        assert sorted(times)[25] < 0.05, "every request waits for Redis"
        own_redis.resume()
        wait_for(lambda: not served.recommend(scope, "u", 5).degraded)
        own_redis.daemon.stop()
        assert served.recommend(scope, "u", 5).degraded
    stores.close()


def test_a_batch_fails_rather_than_answer_without_history(tmp_path: Path, free_port: int, scope: Scope) -> None:
    stores = NoDocuments(settings_of(tmp_path, f"redis://127.0.0.1:{free_port}"))
    publish_model(stores, scope, "1", model_of())
    with RecommendationService(stores, watch=False) as batch, pytest.raises(EngineUnavailable):
        list(batch.recommend_many(scope, ["u"], 5))
    stores.close()


def test_events_of_any_name_are_remembered_apart(stores: Stores, served: RecommendationService) -> None:
    """Ids may hold what separates keys."""
    publish_model(stores, scope := Scope("tenant-colon", "s"), "1", model_of())
    add = stores.history.add
    user = f"a:b/c \"d\" '北京' {time.time_ns()}"
    add([(scope, Event(user_id=user, item_id="item/20", action="like", timestamp=NOW))])
    assert ids(served.recommend(scope, user, 1)) == ["item/21"]
    assert served.recommend(scope, user.partition(":")[2], 1).items[0].reason == "popular now"
