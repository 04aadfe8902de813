"""The small world: the same for the same seed, plausible, and worth learning from."""

from collections import Counter
from datetime import UTC, datetime
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from lemo.domain.errors import InvalidInput
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scenario import Scenario
from lemo.domain.time import milliseconds
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.evaluation.metrics import evaluate
from lemo.recommenders.evaluation.splits import split
from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
from lemo.recommenders.selection.search_space import Mixture
from lemo.recommenders.sources.item_knn import ItemKnnConfig
from lemo.simulator.trial import NEWER_OR_VARIED
from lemo.simulator.world import END, World
from recommender_worlds import DAY

Loaded = dict[str, tuple[Scenario, list[Item], list[Event]]]
SCENARIOS = ("vlog", "news", "ecommerce")


def load(world: World) -> Loaded:
    return {d.scenario.scenario_id: (d.scenario, list(d.items), list(d.events)) for d in world.datasets()}


@cache
def default() -> Loaded:
    return load(World(seed=7))


def test_size() -> None:
    loaded = default()
    assert tuple(loaded) == SCENARIOS
    assert sum(len(items) for _, items, _ in loaded.values()) == 600
    events = [event for _, _, events in loaded.values() for event in events]
    assert 60_000 <= len(events) <= 80_000
    assert 25_000 <= sum(event.action != "impression" for event in events) <= 35_000
    assert len({event.user_id for event in events}) == 1_500
    assert len({event.event_id for event in events}) == len(events)


def test_the_seed_decides_everything() -> None:
    small = World(seed=3, scale=0.1)
    assert load(small) == load(small)
    assert load(World(seed=4, scale=0.1))["vlog"][2] != load(small)["vlog"][2]
    # Events do not depend on whether the items were read.
    assert [list(dataset.events) for dataset in small.datasets()] == [events for _, _, events in load(small).values()]


@pytest.mark.parametrize("name", SCENARIOS)
def test_events_are_in_order_and_could_have_happened(name: str) -> None:
    scenario, items, events = default()[name]
    published = {item.item_id: item.published_at for item in items}
    times = [event.timestamp for event in events]
    assert times == sorted(times)
    assert times[-1] < END
    assert (END - times[0]).days <= 28
    assert {event.action for event in events} <= set(scenario.actions)
    for event in events:
        when = published[event.item_id]
        assert when is not None
        assert when <= event.timestamp
    shown = {(event.request_id, event.item_id) for event in events if event.action == "impression"}
    assert {(event.request_id, event.item_id) for event in events} == shown


def test_actions_follow_one_another() -> None:
    counts = {name: Counter(event.action for event in events) for name, (_, _, events) in default().items()}
    for name, funnel in {
        "vlog": ("impression", "click", "play", "finish"),
        "news": ("impression", "click", "read", "comment"),
        "ecommerce": ("impression", "click", "cart", "order"),
    }.items():
        sizes = [counts[name][action] for action in funnel]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-1] > 500
    assert all(event.value and event.value > 0 for event in default()["ecommerce"][2] if event.action == "order")


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_stands_lower_is_clicked_less(name: str) -> None:
    events = default()[name][2]
    shown = Counter(event.position for event in events if event.action == "impression")
    clicked = Counter(event.position for event in events if event.action == "click")
    assert clicked[1] / shown[1] > 1.5 * clicked[8] / shown[8]


@pytest.mark.parametrize("name", SCENARIOS)
def test_popularity_is_skewed(name: str) -> None:
    counts = sorted(Counter(event.item_id for event in default()[name][2] if event.action == "click").values())
    assert sum(counts[-len(counts) // 5 :]) > 0.35 * sum(counts)


def test_news_age() -> None:
    _, items, events = default()["news"]
    published = {item.item_id: item.published_at for item in items}
    ages = [(e.timestamp - published[e.item_id]).days for e in events if e.action == "read"]  # type: ignore[operator]
    assert np.median(ages) < 7


@pytest.mark.parametrize("name", SCENARIOS)
def test_titles_are_distinct_and_in_two_languages(name: str) -> None:
    items = default()[name][1]
    assert len({item.title for item in items}) == len(items)
    chinese = [item for item in items if any("一" <= character <= "鿿" for character in item.title)]
    assert 0.35 < len(chinese) / len(items) < 0.65
    assert all(item.categories and len(item.tags) == 2 and item.author and item.description for item in items)
    assert not any("{" in item.title for item in items)


def test_tastes_drift() -> None:
    """The earlier half of a user's clicks is less like the later one than every other click is like the rest."""
    ratios = []
    for _, items, events in default().values():
        category = {item.item_id: item.categories[0] for item in items}
        clicks: dict[str, list[str]] = {}
        for event in events:
            if event.action == "click":
                clicks.setdefault(event.user_id, []).append(category[event.item_id])
        active = [liked for liked in clicks.values() if len(liked) >= 16]
        mixed = np.mean([overlap(liked[::2], liked[1::2]) for liked in active])
        halves = np.mean([overlap(liked[: len(liked) // 2], liked[len(liked) // 2 :]) for liked in active])
        ratios.append(halves / mixed)
    assert np.mean(ratios) < 0.975  # 0.95 with drift, 1.00 without


def overlap(one: list[str], other: list[str]) -> float:
    return float(np.mean([a == b for a in one for b in other]))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_model_beats_popularity(name: str) -> None:
    scenario, items, events = default()[name]
    table = pa.table(
        {
            "user_id": [event.user_id for event in events],
            "item_id": [event.item_id for event in events],
            "action": [event.action for event in events],
            "timestamp": [milliseconds(event.timestamp) for event in events],
            "value": pa.array([event.value for event in events], pa.float64()),
        }
    )
    interactions = Interactions.from_table(table, scenario.actions, [item.item_id for item in items])
    parts = split(interactions)

    def gain(config: HybridConfig) -> float:
        return evaluate(HybridRecommender.fit(parts.train, config, scenario.actions), parts).ndcg_at_10

    model = gain(Mixture((ItemKnnConfig(),), DAY, 0.5).config())
    popularity, decayed = (gain(Mixture((), half_life_ms, 0.0).config()) for half_life_ms in (None, DAY))
    assert model >= 1.5 * popularity
    assert model > decayed


def test_the_end_is_a_parameter() -> None:
    end = datetime(2025, 1, 1, tzinfo=UTC)
    for dataset in World(scale=0.05, end=end, days=7).datasets():
        times = [event.timestamp for event in dataset.events]
        assert datetime(2024, 12, 25, tzinfo=UTC) <= min(times) < max(times) < end


def test_many_items_keep_distinct_titles() -> None:
    items = list(World(scale=25).datasets()[0].items)
    assert len(items) == len({item.title for item in items}) == 1_000


@pytest.mark.parametrize("world", [{"scale": 0}, {"scale": float("nan")}, {"days": 1}])
def test_sizes_out_of_range(world: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match="out of range"):
        World(**world)  # type: ignore[arg-type]


def test_lists_are_those_that_the_events_followed_from() -> None:
    dataset = World(seed=3, scale=0.1).datasets()[2]
    lists = {shown.request_id: shown for shown in dataset.shown}
    events = list(dataset.events)
    assert len(lists) > 50
    for event in events:
        shown = lists[event.request_id or ""]
        assert shown.user_id == event.user_id
        assert shown.item_ids[(event.position or 0) - 1] == event.item_id
        assert shown.at_ms <= milliseconds(event.timestamp)
    impressions = sum(event.action == "impression" for event in events)
    assert impressions == sum(len(shown.item_ids) for shown in lists.values())


def test_an_experiment_changes_lists_and_clicks_of_its_arms_as_it_says() -> None:
    trial = NEWER_OR_VARIED
    plain, tried = (World(seed=3, trial=each).datasets()[2] for each in (None, trial))
    assert (plain.experiment, {each.arm for each in plain.shown}) == (None, {""})
    assert tried.experiment is not None
    started = milliseconds(tried.experiment.started_at)
    lists = {each.request_id: each for each in tried.shown}
    assert all(bool(each.arm) == (each.at_ms >= started) for each in lists.values())
    published = {item.item_id: item.published_at for item in tried.items}
    seen, clicked, new = Counter[str](), Counter[str](), Counter[str]()
    for event in tried.events:
        arm = lists[event.request_id or ""].arm
        when = published[event.item_id]
        assert when is not None
        seen[arm] += event.action == "impression"
        clicked[arm] += event.action == "click"
        new[arm] += event.action == "impression" and (event.timestamp - when).days < 7
    rates = {arm: clicked[arm] / seen[arm] for arm in seen}
    for each in trial.arms:
        assert rates[each.draft.name] / rates["control"] == pytest.approx(each.clicks, abs=0.1)
    # The lists differ as the pipelines of the arms do.
    assert new["newer"] / seen["newer"] > 1.5 * new["control"] / seen["control"]


def test_an_experiment_must_fit_into_the_world() -> None:
    with pytest.raises(InvalidInput, match="takes 14 days"):
        World(days=10, trial=NEWER_OR_VARIED)
