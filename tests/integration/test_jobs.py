"""The six jobs as plain functions over real engines: what each leaves behind, and that it can be done again."""

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lemo.domain.errors import Conflict, Outdated
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.run import Run
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.jobs.cleanup import clean
from lemo.jobs.embeddings import embed
from lemo.jobs.evaluation import evaluate_scenario
from lemo.jobs.precompute import precompute
from lemo.jobs.profiles import profile
from lemo.jobs.report import Report, unattended
from lemo.jobs.similarity import compute_similarity
from lemo.jobs.training import challenger, read_interactions, train
from lemo.models.registry import registered_model
from lemo.recommenders.data.timeline import Array, Timeline
from lemo.recommenders.hybrid.hybrid import HybridConfig
from lemo.recommenders.selection.hyperparameter_search import assess
from lemo.recommenders.similar_items import SimilarItems
from lemo.recommenders.sources.content import Content, ContentConfig
from lemo.scheduling.jobs import JOBS
from lemo.scheduling.recovery import lost_runs
from lemo.serving.service import RecommendationService
from lemo.settings import Settings
from lemo.simulator.world import World
from lemo.stores.connect import Stores
from lemo.stores.documents import PROFILES
from lemo.stores.redis.lease import Lease
from recommender_worlds import mixture
from sites import wait_for

MOMENT = 1_790_000_000_000


@pytest.fixture
def stores(tmp_path: Path, redis_url: str, clickhouse_url: str, milvus_uri: str) -> Iterator[Stores]:
    settings = Settings(
        home=tmp_path, redis_url=redis_url, clickhouse_url=clickhouse_url, milvus_uri=milvus_uri, embedding_dimensions=8
    )
    stores = Stores(settings)
    stores.events.migrate()
    yield stores
    stores.close()


@pytest.fixture
def empty(stores: Stores) -> Scope:
    """A scenario of a new tenant, without items or events."""
    scope = Scope(f"tenant-{uuid.uuid4().hex[:12]}", "shop")
    stores.tenants.create(scope.tenant_id)
    stores.scenarios.create(scope.tenant_id, scenario_from_template(scope.scenario_id, "ecommerce"))
    return scope


def put_items(stores: Stores, scope: Scope, items: list[Item], arrived_ms: int = MOMENT) -> None:
    """What the consumer does with items."""
    stores.items.upsert(scope, items, [arrived_ms] * len(items))
    stores.availability.add(scope, items, [arrived_ms] * len(items))
    stores.embedding_queue.add(scope, [item.item_id for item in items])


@pytest.fixture
def world(stores: Stores, empty: Scope) -> Scope:
    """The shop of a small world, as the consumer would have written it."""
    dataset = World(seed=3, scale=0.2).datasets()[2]
    put_items(stores, empty, list(dataset.items))
    events = [(empty, event) for event in dataset.events]
    stores.events.insert(events)
    rules = stores.scenarios.get(empty).actions
    stores.history.add([(scope, event) for scope, event in events if rules[event.action].in_history])
    return empty


def dying_at(check: int) -> Report:
    """A report whose run loses its lease at the given check."""
    checks = iter(range(1, 1_000))

    def lose() -> None:
        if next(checks) == check:
            raise Conflict("This run lost its lease.")

    return Report(show=lambda _: None, check=lose, fence=time.time_ns() // 1000)


def test_training_publishes_records_and_promotes_and_repeats_itself(stores: Stores, world: Scope) -> None:
    first = train(stores, world, unattended())
    assert first.detail["promoted"]
    assert first.detail["ndcg_at_10"] > first.detail["popularity_ndcg_at_10"] > 0
    assert stores.snapshots.current(world, "model") == first.detail["version"]
    # The same training on the same events chooses the same, is no better, and has nothing to refresh.
    second = train(stores, world, unattended())
    assert not second.detail["promoted"]
    assert second.detail["serving"] == stores.snapshots.current(world, "model") == first.detail["version"]
    told = ("config", "ndcg_at_10", "popularity_ndcg_at_10", "test_users")
    assert [second.detail[name] for name in told] == [first.detail[name] for name in told]
    newest, oldest = stores.models.list(world)
    assert (newest.version, oldest.version) == (second.detail["version"], first.detail["version"])
    assert newest.champion_ndcg_at_10 == pytest.approx(first.detail["ndcg_at_10"])
    assert (newest.comparison or {})["difference"] == 0
    assert (oldest.why, newest.promoted, oldest.promoted) == ("the first model", False, True)
    assert oldest.events == first.rows_read
    assert oldest.metrics["model"]["segments"]["light_users"]["users"] > 0
    shown = registered_model(stores, world, oldest.version)
    assert shown.regret is not None
    assert shown.regret < 0.5
    assert {"item-knn", "popularity", "content"} <= set(shown.sources_alone)
    assert shown.test_users == first.detail["test_users"]
    assert shown.ndcg_interval is not None
    assert shown.ndcg_interval[0] < first.detail["ndcg_at_10"] < shown.ndcg_interval[1]
    assert shown.cold_start["new_items"].users > 0


def test_with_content_a_model_knows_items_that_nobody_has_touched(stores: Stores, world: Scope) -> None:
    taken = next(item for item in stores.items.scan(world) if item.categories)
    untouched = taken.model_copy(update={"item_id": "untouched"})
    put_items(stores, world, [untouched, taken.model_copy(update={"item_id": "hidden", "is_active": False})])
    scenario = stores.scenarios.get(world)
    assert "content" in scenario.sources
    known = read_interactions(stores, world, scenario)
    assert "untouched" in known.item_ids
    assert "hidden" not in known.item_ids
    behaviour = scenario.model_copy(update={"sources": ("item-knn", "popularity")})
    assert "untouched" not in read_interactions(stores, world, behaviour).item_ids
    (content,) = Content.fit_many(known, [ContentConfig()])
    assert content.similar[known.item_ids.index("untouched")].nnz > 0


def test_a_challenger_below_the_champion_does_not_serve(
    stores: Stores, world: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = train(stores, world, unattended()).detail["version"]
    # A chooser gone wrong: the challenger is plain popularity, which this world's champion beats by far.
    poor = mixture(share=0.0)

    def choose_badly(*arguments: Any, **named: Any) -> object:
        found = assess(*arguments, **named)
        assert found is not None
        return found.model_copy(
            update={
                "served": poor,
                "model": found.popularity,
                "hybrid": found.popularity,
                "decayed_popularity": found.popularity,
            }
        )

    monkeypatch.setattr("lemo.jobs.training.assess", choose_badly)
    done = train(stores, world, unattended())
    assert not done.detail["promoted"]
    assert stores.snapshots.current(world, "model") == champion
    assert not stores.models.list(world)[0].promoted
    # What is told is the quality of what serves.
    assert done.detail["ndcg_at_10"] > done.detail["popularity_ndcg_at_10"]


def test_the_champions_parameters_are_fitted_again_on_new_events(
    stores: Stores, world: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train(stores, world, unattended()).detail["version"]
    champion = stores.models.get(world, first)
    moment = champion.last_event_at
    assert moment is not None
    put_items(stores, world, [Item(item_id="just made")])
    arrived = Event(user_id="just came", item_id="just made", action="purchase", timestamp=moment + timedelta(hours=1))
    stores.events.insert([(world, arrived)])

    def choose_otherwise(*arguments: Any, **named: Any) -> object:
        found = assess(*arguments, **named)
        assert found is not None
        return found.model_copy(update={"served": mixture(share=0.0), "model": found.popularity})

    monkeypatch.setattr("lemo.jobs.training.assess", choose_otherwise)
    done = train(stores, world, unattended())
    assert not done.detail["promoted"]
    serving = stores.models.get(world, done.detail["serving"])
    assert serving.version == stores.snapshots.current(world, "model") not in (first, done.detail["version"])
    assert (serving.refresh_of, serving.config) == (first, champion.config)
    with RecommendationService(stores, watch=False) as served:
        assert "just made" in {item.item_id for item in served.popular(world, 1_000).items}
    history = [(change.action, change.version) for change in stores.model_changes.history(world)]
    assert history == [("refresh", serving.version), ("promote", first)]
    # Without newer events there is nothing to refresh.
    assert train(stores, world, unattended()).detail["serving"] == serving.version


@pytest.fixture
def old_world(stores: Stores, empty: Scope) -> Scope:
    """The same world, of fifteen years ago, as a team imports its history."""
    dataset = World(seed=3, scale=0.2).datasets()[2]
    put_items(stores, empty, list(dataset.items))
    ago = timedelta(days=15 * 365)
    events = [event.model_copy(update={"timestamp": event.timestamp - ago}) for event in dataset.events]
    stores.events.insert([(empty, event) for event in events])
    stores.history.add([(empty, event) for event in events if event.action != "impression"])
    return empty


STRAY = Event(user_id="stray", item_id="item-of-today", action="purchase", timestamp=datetime(2026, 1, 1, tzinfo=UTC))


def personal(stores: Stores, scope: Scope) -> float:
    """The part of all answered items that is there because of something that the user did."""
    users = stores.events.active_users(scope)
    with RecommendationService(stores, watch=False) as served:
        shown = [item.reason for _, answer in served.recommend_many(scope, users, 10) for item in answer.items]
    return sum(reason.startswith("because") for reason in shown) / len(shown)


def test_one_event_of_today_changes_no_answer_of_old_data(stores: Stores, old_world: Scope) -> None:
    first = train(stores, old_world, unattended()).detail["version"]
    before, now = personal(stores, old_world), stores.events.now(old_world)
    assert before > 0.2
    stores.events.insert([(old_world, STRAY)])
    done = train(stores, old_world, unattended())
    assert done.detail["serving"] == stores.snapshots.current(old_world, "model") != first
    assert "refused" not in done.detail
    assert personal(stores, old_world) == pytest.approx(before, abs=0.03)
    assert stores.events.now(old_world) == pytest.approx(now, abs=86_400_000)
    users = stores.events.count_users(old_world)
    assert precompute(stores, old_world, unattended()).rows_read > users / 2


def test_a_refresh_that_collapses_is_refused_and_no_metric_is_anothers(
    stores: Stores, old_world: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Content and transitions need no time: with them the answers would stay personal.
    stores.scenarios.edit(old_world, {"sources": ["item-knn", "ridge", "popularity"]})
    first = train(stores, old_world, unattended()).detail["version"]
    record = stores.models.get(old_world, first)
    assert record.soundness is not None
    assert record.soundness["personal_share"] == pytest.approx(record.soundness["measured_personal_share"], abs=0.2)
    stores.events.insert([(old_world, STRAY)])
    robust = Timeline.of

    def by_the_newest_event(users: Array, timestamps: Array) -> Timeline:
        found = robust(users, timestamps)
        return Timeline(int(timestamps.min()), int(timestamps.max())) if len(users) else found

    with monkeypatch.context() as patched:
        patched.setattr(Timeline, "of", by_the_newest_event)
        done = train(stores, old_world, unattended())
    assert stores.snapshots.current(old_world, "model") == first
    assert done.detail["serving"] == first
    said = done.detail.get("refused", "") + done.detail["why"]
    assert "personal" in said or "different items" in said
    # The next run that is sound serves, with what was measured in it.
    done = train(stores, old_world, unattended())
    serving = stores.models.get(old_world, done.detail["serving"])
    assert serving.version == stores.snapshots.current(old_world, "model") != first
    assert serving.metrics["model"]["ndcg_at_10"] == pytest.approx(done.detail["ndcg_at_10"])
    assert serving.soundness is not None


def test_the_test_judges_what_was_chosen_and_chooses_nothing(stores: Stores, world: Scope) -> None:
    scenario = stores.scenarios.get(world)
    found = assess(read_interactions(stores, world, scenario), scenario.actions)
    assert found is not None
    assert challenger(found) == (found.served, found.model)
    behind = found.model_copy(update={"model": found.popularity, "decayed_popularity": found.model})
    assert challenger(behind) == (found.served, found.popularity)
    assert challenger(None) == (HybridConfig(), None)


def test_jobs_of_a_scenario_without_data_do_nothing_and_say_why(stores: Stores, empty: Scope) -> None:
    why = {}
    for entry, job in JOBS.items():
        done = job.work()(stores, empty, unattended())
        assert done.rows_written == 0
        why[entry] = done.detail["why"]
    for entry in ("train-model-daily", "update-user-profiles-2hours", "precompute-recommendations-4hours"):
        assert "no events yet" in why[entry]
        assert "lemo import events" in why[entry]
    for entry in ("compute-item-similarity-hourly", "embed-items"):
        assert "no" in why[entry]
        assert "lemo import items" in why[entry]
    assert stores.snapshots.current(empty, "model") is None


def test_training_on_events_that_speak_for_nothing_names_the_actions_that_do(stores: Stores, empty: Scope) -> None:
    action = next(name for name, rule in stores.scenarios.get(empty).actions.items() if rule.weight < 0)
    stores.events.insert([(empty, Event(user_id="u", item_id="i", action=action, timestamp=MOMENT / 1000))])
    done = train(stores, empty, unattended())
    assert (done.rows_written, done.detail["promoted"]) == (0, False)
    assert "None of 1 events speaks for an item" in done.detail["why"]
    assert "purchase" in done.detail["why"]


def test_one_user_and_one_item_are_enough(stores: Stores, empty: Scope) -> None:
    put_items(stores, empty, [Item(item_id="only", title="The only one")])
    event = Event(user_id="u", item_id="only", action="purchase", timestamp=datetime(2026, 1, 1, tzinfo=UTC))
    stores.events.insert([(empty, event)])
    stores.history.add([(empty, event)])
    for job in JOBS.values():
        job.work()(stores, empty, unattended())
    with RecommendationService(stores, watch=False) as served:
        assert [item.item_id for item in served.popular(empty, 5).items] == ["only"]
        assert served.recommend(empty, "u", 5).items == []  # it has been seen
        assert [item.item_id for item in served.recommend(empty, "stranger", 5).items] == ["only"]


@pytest.mark.parametrize("text", ["", "The same for all"])
def test_all_jobs_and_requests_cope_with_bad_data(stores: Stores, empty: Scope, text: str) -> None:
    put_items(stores, empty, [Item(item_id=f"i{place}", title=text) for place in range(8)])
    moment = datetime(2026, 1, 1, tzinfo=UTC)

    def event(user: str, item: int | str, action: str, hour: int, value: float | None = None) -> Event:
        when = moment + timedelta(hours=hour)
        return Event(user_id=user, item_id=f"i{item}", action=action, timestamp=when, value=value)

    events = [event(f"u{user}", user * place % 7, "like", 0) for user in range(12) for place in range(3)]
    events += [event("busy", hour % 5, "view", hour) for hour in range(3_000)]
    events += [event("sour", item, "dislike", item) for item in range(3)]
    events += [event("u1", "-never-sent", "purchase", 1), event("u2", 7, "no-longer-known", 2)]
    events += [event("u3", 7, "rate", 3, value) for value in (1.7e308, -1.7e308, 0.0)]
    events += [event("far", 7, "like", -24 * 365 * 30)]
    stores.events.insert([(empty, each) for each in events])
    rules = stores.scenarios.get(empty).actions
    stores.history.add([(empty, each) for each in events if each.action in rules])
    for job in JOBS.values():
        job.work()(stores, empty, unattended())
    evaluation = evaluate_scenario(stores, empty, None, unattended())
    assert evaluation is None or all(0 <= card.ndcg_at_10 <= 1 for card in evaluation.scorecards.values())
    with RecommendationService(stores, watch=False) as served:
        for user in ("u0", "u2", "busy", "far", "never seen"):
            answer = [item.item_id for item in served.recommend(empty, user, 20).items]
            assert answer
            assert set(answer) <= {"i-never-sent", *(f"i{place}" for place in range(8))}
        assert not {"i0", "i1", "i2"} & {item.item_id for item in served.recommend(empty, "sour", 20).items}


def test_embedding_learns_once_then_adds_and_learns_anew_when_the_catalogue_doubled(
    stores: Stores, empty: Scope
) -> None:
    titles = ["copper kettle", "iron kettle", "garden shears", "garden gloves", "铸铁炒锅", "铸铁煎锅"]
    put_items(stores, empty, [Item(item_id=f"i{n}", title=title) for n, title in enumerate(titles)])
    first = embed(stores, empty, unattended())
    assert (first.rows_written, first.detail["refitted"]) == (6, True)
    assert stores.embedding_queue.count(empty) == 0

    put_items(stores, empty, [Item(item_id="new", title="iron kettle, large"), Item(item_id="i5", deleted=True)])
    second = embed(stores, empty, unattended())
    assert second.detail == {"version": first.detail["version"], "refitted": False}
    assert stores.vectors.count(empty) == 6
    vector = stores.vectors.fetch(empty, ["new"])["new"]
    assert [item_id for item_id, _ in stores.vectors.search(empty, vector[None, :], 2)[0]] == ["new", "i1"]

    put_items(stores, empty, [Item(item_id=f"more{n}", title=f"{titles[n % 5]} {n}") for n in range(7)])
    third = embed(stores, empty, unattended())
    assert third.detail["refitted"]
    assert stores.vectors.versions(empty) == [third.detail["version"]]
    assert stores.vectors.count(empty) == 13


def test_an_embedding_that_dies_leaves_the_old_one_serving(stores: Stores, empty: Scope) -> None:
    put_items(stores, empty, [Item(item_id=f"i{n}", title=f"kettle {n}") for n in range(4)])
    before = embed(stores, empty, unattended()).detail["version"]
    put_items(stores, empty, [Item(item_id=f"j{n}", title=f"shears {n}") for n in range(8)])
    with pytest.raises(Conflict):
        embed(stores, empty, dying_at(2))
    assert stores.snapshots.current(empty, "embedding") == before
    assert stores.vectors.count(empty) == 4
    assert stores.embedding_queue.count(empty) == 8
    after = embed(stores, empty, unattended()).detail["version"]
    assert stores.vectors.versions(empty) == [after]
    assert stores.vectors.count(empty) == 12


def similar(stores: Stores, scope: Scope) -> SimilarItems:
    version = stores.snapshots.current(scope, "similar")
    assert version is not None
    snapshot = stores.snapshots.open(scope, "similar", version)
    return SimilarItems.from_arrays(snapshot.arrays, snapshot.manifest)


def test_similar_items_are_active_and_new_ones_have_neighbours_by_content(stores: Stores, world: Scope) -> None:
    some = next(iter(stores.items.scan(world)))
    put_items(stores, world, [Item(item_id="twin", title=some.title, categories=some.categories, tags=some.tags)])
    embed(stores, world, unattended())
    compute_similarity(stores, world, unattended())
    before = similar(stores, world)
    found = before.of("twin", 3)
    assert found[0].item_id == some.item_id
    assert {each.kind for each in found} == {"content"}
    gone = before.of(some.item_id, 1)[0].item_id
    put_items(stores, world, [Item(item_id=gone, is_active=False)], MOMENT + 1)
    compute_similarity(stores, world, unattended())
    after = similar(stores, world)
    assert all(each.item_id != gone for item_id in after.item_ids for each in after.of(item_id, 50))


def alike(one: SimilarItems, other: SimilarItems) -> None:
    """Fails unless each item has the same neighbours in both, but for the order of equal ones."""
    assert sorted(one.item_ids) == sorted(other.item_ids)
    for item_id in one.item_ids:
        ours, theirs = one.of(item_id, 50), other.of(item_id, 50)
        assert [each.score for each in ours] == pytest.approx([each.score for each in theirs], abs=1e-6)
        assert [each.kind for each in ours] == [each.kind for each in theirs]
        scores = {each.item_id: each.score for each in theirs}
        least = min(scores.values(), default=0) + 1e-6
        assert all(each.score <= least or scores[each.item_id] == pytest.approx(each.score, abs=1e-6) for each in ours)


def test_similar_items_from_what_changed_are_those_from_everything(
    stores: Stores, empty: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing is under way here: only what is new is read.
    monkeypatch.setattr("lemo.stores.clickhouse.events.UNDER_WAY_MS", 0)
    dataset = World(seed=3, scale=0.2).datasets()[2]
    items, events = list(dataset.items), list(dataset.events)
    put_items(stores, empty, items[5:])
    embed(stores, empty, unattended())
    # What comes second is the newest, and every tenth of the others: late events.
    late = [event for place, event in enumerate(events) if place % 10 == 0 or place > 0.9 * len(events)]
    stores.events.insert([(empty, event) for event in events if event not in late])
    assert compute_similarity(stores, empty, unattended()).detail["full"]
    before = stores.snapshots.current(empty, "similar")
    assert compute_similarity(stores, empty, unattended()).rows_read == 0
    assert stores.snapshots.current(empty, "similar") == before
    refund = late[0].model_copy(update={"event_id": "refund", "action": "refund", "timestamp": events[-1].timestamp})
    stores.events.insert([(empty, event) for event in [*late, *late[:50], refund]])
    changed = [
        items[7].model_copy(update={"is_active": False}),
        items[8].model_copy(update={"title": "quite different"}),
    ]
    put_items(stores, empty, [*items[:5], *changed], MOMENT + 1)
    embed(stores, empty, unattended())
    done = compute_similarity(stores, empty, unattended())
    assert not done.detail["full"]
    # Those that came twice may have been merged already.
    assert len(late) < done.rows_read <= len(late) + 51
    found = similar(stores, empty)
    assert compute_similarity(stores, empty, unattended(full=True)).detail["full"]
    alike(found, similar(stores, empty))


def test_similar_items_are_computed_anew_where_what_they_rest_on_changed(stores: Stores, world: Scope) -> None:
    assert compute_similarity(stores, world, unattended()).detail["full"]
    train(stores, world, unattended())
    assert compute_similarity(stores, world, unattended()).detail["full"]
    assert not compute_similarity(stores, world, unattended()).detail["full"]
    embed(stores, world, unattended())
    assert compute_similarity(stores, world, unattended()).detail["full"]
    assert len(stores.snapshots.versions(world, "similarity-state")) == 1


@pytest.mark.parametrize("check", [1, 2])
def test_similarity_that_died_is_done_again(stores: Stores, world: Scope, check: int) -> None:
    events = list(World(seed=4, scale=0.05).datasets()[2].events)
    compute_similarity(stores, world, unattended())
    before = stores.snapshots.current(world, "similar")
    stores.events.insert([(world, event) for event in events])
    with pytest.raises(Conflict):
        compute_similarity(stores, world, dying_at(check))
    assert stores.snapshots.current(world, "similar") == before
    assert not compute_similarity(stores, world, unattended()).detail["full"]
    found = similar(stores, world)
    compute_similarity(stores, world, unattended(full=True))
    alike(found, similar(stores, world))
    assert len(stores.snapshots.versions(world, "similarity-state")) == 1


@pytest.mark.parametrize("lost", ["config", "arrays"])
def test_training_replaces_a_champion_that_this_version_cannot_read(stores: Stores, world: Scope, lost: str) -> None:
    champion = train(stores, world, unattended()).detail["version"]
    opened = stores.snapshots.open(world, "model", champion)
    arrays, manifest = dict(opened.arrays), dict(opened.manifest)
    if lost == "config":
        manifest["config"] = manifest["config"] | {"of_another_version": 1}
    else:
        del arrays["item_ids_bytes"]
    stores.snapshots.publish(world, "model", "9-of-another-version", arrays, manifest)
    record = stores.models.get(world, champion)
    stores.models.record(world, record.model_copy(update={"version": "9-of-another-version"}))
    stores.snapshots.point(world, "model", "9-of-another-version", time.time_ns() // 1000)
    with pytest.raises(Outdated, match="lemo jobs run train-model-daily"):
        precompute(stores, world, unattended())
    serving = train(stores, world, unattended()).detail["serving"]
    assert serving == stores.snapshots.current(world, "model") != "9-of-another-version"
    assert precompute(stores, world, unattended()).rows_written == stores.events.count_users(world)


def test_profiles_say_what_users_like_and_give_back_lost_histories(stores: Stores, world: Scope) -> None:
    users = stores.events.active_users(world, limit=20)
    known = stores.history.read_many(world, users)
    stores.history.delete(world, users)
    done = profile(stores, world, unattended())
    assert done.rows_written == stores.events.count_users(world)
    assert stores.history.read_many(world, users) == known
    body = stores.documents.get(PROFILES, world, users[0])
    assert body is not None
    assert body["interactions"] == len(known[0])
    shares = [taste["weight"] for taste in body["categories"]]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=1e-4)


def test_precomputed_answers_are_those_that_requests_get(stores: Stores, world: Scope) -> None:
    train(stores, world, unattended())
    users = stores.events.active_users(world)
    with RecommendationService(stores, watch=False) as served:
        fresh = {user: answer.items for user, answer in served.recommend_many(world, users, 10)}
        done = precompute(stores, world, unattended())
        assert done.rows_written == len(users) == stores.events.count_users(world)
        assert all(stores.precomputed.read(world, user) is not None for user in users)
        assert {user: served.recommend(world, user, 10).items for user in users} == fresh


def test_precompute_answers_anew_only_where_an_answer_may_have_changed(stores: Stores, world: Scope) -> None:
    train(stores, world, unattended())
    users = stores.events.active_users(world)
    assert precompute(stores, world, unattended()).detail == {"unchanged": 0}
    before = {user: stores.precomputed.read(world, user) for user in users}
    name = stores.precomputed.key(world, users[0])
    stores.redis.expire(name, 60)
    done = precompute(stores, world, unattended())
    assert (done.rows_written, done.detail["unchanged"]) == (0, len(users))
    assert stores.redis.ttl(name) > 60, "an answer that holds lives on"

    stores.history.delete(world, users[1:2])
    stores.redis.delete(name)
    done = precompute(stores, world, unattended())
    assert done.rows_written == 2
    changed = {user for user in users if stores.precomputed.read(world, user) != before[user]}
    assert changed == {users[1]}

    answer = before[users[2]]
    assert answer is not None
    stores.availability.add(
        world, [Item(item_id=answer.items[0].item_id, is_active=False)], [time.time_ns() // 1_000_000]
    )
    assert precompute(stores, world, unattended()).rows_written == len(users), "what is hidden concerns everybody"
    again = stores.precomputed.read(world, users[2])
    assert again is not None
    assert answer.items[0].item_id not in {item.item_id for item in again.items}
    assert precompute(stores, world, unattended()).rows_written == 0
    assert precompute(stores, world, unattended(full=True)).rows_written == len(users)


def test_similar_items_are_those_that_may_be_shown_by_tomorrow(stores: Stores, world: Scope) -> None:
    compute_similarity(stores, world, unattended())
    first = similar_of(stores, world)
    asked, *near = max(((item, *neighbours) for item, neighbours in first.items()), key=len)
    now = time.time_ns() // 1_000_000
    changed = [
        Item(item_id=near[0], published_at=now + 2 * 86_400_000, updated_at=now),
        Item(item_id=near[1], published_at=now + 3_600_000, updated_at=now),
        Item(item_id=near[2], expires_at=now - 1, updated_at=now),
    ]
    put_items(stores, world, changed, now)
    compute_similarity(stores, world, unattended())
    again = similar_of(stores, world)
    assert not {near[0], near[2]} & {item for neighbours in again.values() for item in neighbours}
    assert near[1] in again[asked], "answers leave it out for an hour, without another run"


def similar_of(stores: Stores, scope: Scope) -> dict[str, list[str]]:
    version = stores.snapshots.current(scope, "similar")
    assert version
    snapshot = stores.snapshots.open(scope, "similar", version)
    similar = SimilarItems.from_arrays(snapshot.arrays, snapshot.manifest)
    return {item: [each.item_id for each in similar.of(item, 50)] for item in similar.item_ids}


def test_what_serves_is_renewed_after_similarity_ran_again(stores: Stores, world: Scope) -> None:
    train(stores, world, unattended())
    compute_similarity(stores, world, unattended())
    with RecommendationService(stores, refresh_seconds=0.05) as served:
        first = served.recommend(world, "stranger", 10)
        users = stores.events.active_users(world)
        now = time.time_ns() // 1_000_000
        likes = [
            Event(user_id=users[n % len(users)], item_id=first.items[n % 7].item_id, action="like", timestamp=now - n)
            for n in range(300)
        ]
        stores.events.insert([(world, event) for event in likes])
        version = compute_similarity(stores, world, unattended()).detail["version"]
        wait_for(lambda: served.similar(world, first.items[0].item_id, 5).model_version == version)
        off = [item.item_id for item in first.items[:3]]
        stores.availability.add(world, [Item(item_id=item_id, is_active=False) for item_id in off], [now] * 3)
        wait_for(lambda: not {item.item_id for item in served.recommend(world, "stranger", 10).items} & set(off))
        assert served.renewals().failed == 0


def test_cleanup_keeps_what_serves_and_the_newest(
    stores: Stores, world: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = 1
    monkeypatch.setattr(stores, "settings", stores.settings.model_copy(update={"snapshots_kept": kept}))
    champion = train(stores, world, unattended()).detail["version"]
    precompute(stores, world, unattended())
    versions = [champion, *(train(stores, world, unattended()).detail["version"] for _ in range(kept + 1))]
    stores.snapshots.point(world, "model", champion, time.time_ns() // 1000)
    old, new = (stores.runs.create(world.tenant_id, "train-model-daily", "shop", "manual") for _ in range(2))
    old.queued_at -= timedelta(days=stores.settings.runs_days + 1)
    stores.runs.save(world.tenant_id, old)

    users = stores.events.active_users(world)
    assert clean(stores, world, unattended()).detail == {
        "runs": 1,
        "audit_lines": 0,
        "replay_marks": 0,
        "erased_users": 0,
        "snapshots": 1,
        "answers": 0,
        "seen": 0,
    }
    assert stores.snapshots.versions(world, "model") == sorted([champion, *versions[2:]])
    assert [run.run_id for run in stores.runs.list(world.tenant_id)] == [new.run_id]
    assert clean(stores, world, unattended()).rows_written == 0

    stores.snapshots.point(world, "model", versions[-1], time.time_ns() // 1000)
    assert clean(stores, world, unattended()).detail["answers"] == len(users)


def test_lost_runs_are_those_that_nobody_works_on(stores: Stores, empty: Scope) -> None:
    tenant_id = empty.tenant_id

    now = datetime.now(UTC)

    def run(outcome: str, queued_seconds_ago: float = 0, retry_at: datetime | None = None) -> Run:
        made = stores.runs.create(tenant_id, "cleanup-expired-cache-daily", "shop", "manual")
        since = now - timedelta(seconds=queued_seconds_ago)
        changed = made.model_copy(update={"outcome": outcome, "queued_at": since, "retry_at": retry_at})
        stores.runs.save(tenant_id, changed)
        return changed

    running, old = run("running"), run("queued", 60)
    put_off = run("queued", retry_at=now - timedelta(seconds=1))
    run("queued", 60, retry_at=now + timedelta(hours=1))  # its time has not come
    run("queued")  # its message may still be under way
    run("ok")
    assert {lost.run_id for lost in lost_runs(stores, tenant_id)} == {running.run_id, old.run_id, put_off.run_id}
    with Lease(stores.redis, "cleanup-expired-cache-daily", empty) as lease:
        assert lease.acquire()
        assert {lost.run_id for lost in lost_runs(stores, tenant_id)} == {old.run_id, put_off.run_id}
