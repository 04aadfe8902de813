from dataclasses import replace

import numpy as np
import pytest

from lemo.domain.item import Item
from lemo.recommenders.data.catalogue import Catalogue
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.evaluation.cold_start import cold_start, cold_start_questions
from lemo.recommenders.evaluation.splits import split
from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
from lemo.recommenders.selection.further_sources import FurtherSources
from recommender_worlds import DAY, RULES, mixture

USERS, DAYS, A_DAY = 150, 40, 6
GROUPS = 3


@pytest.fixture(scope="module")
def news() -> Interactions:
    """Every day brings items of three categories, read on that day and the next; each user reads one category."""
    random = np.random.default_rng(5)
    users, days = random.integers(0, USERS, 6_000), random.integers(0, DAYS, 6_000)
    born = np.maximum(days - random.integers(0, 2, 6_000), 0)
    group = np.where(random.random(6_000) < 0.85, users % GROUPS, random.integers(0, GROUPS, 6_000))
    items = born * A_DAY + random.integers(0, A_DAY // GROUPS, 6_000) * GROUPS + group
    ids = [f"item-{code:03}" for code in range(DAYS * A_DAY)]
    described = [Item(item_id=item_id, categories=[f"group {code % GROUPS}"]) for code, item_id in enumerate(ids)]
    times = days * DAY + random.integers(0, DAY, 6_000)
    return Interactions(
        [f"u{user:03}" for user in range(USERS)],
        ids,
        users.astype(np.int32),
        items.astype(np.int32),
        times,
        np.ones(6_000, dtype=np.float32),
        np.ones(6_000, dtype=bool),
        Catalogue(lambda: described),
    )


def joined(news: Interactions, name: str) -> HybridConfig:
    parts = split(news)
    further = FurtherSources(mixture(half_life_ms=10 * DAY, popularity_half_life_ms=DAY), [parts])
    further.offer(name)
    return further.config


def test_content_joins_where_it_orders_new_items_better(news: Interactions) -> None:
    parts = split(news)
    questions = cold_start_questions(parts)
    with_content = joined(news, "content")
    assert [source.source for source in with_content.sources] == ["item-knn", "popularity", "content"]
    without = with_content.model_copy(update={"sources": with_content.sources[:-1]})
    found, before = (
        cold_start(HybridRecommender.fit(parts.train, config, RULES), parts, questions)["new_items"]
        for config in (with_content, without)
    )
    assert found.judged
    assert found.items < len(news.item_ids) / 3
    assert found.ndcg_at_10 > 1.3 * before.ndcg_at_10
    assert found.interval[0] < found.ndcg_at_10 < found.interval[1]


def test_a_source_that_brings_nothing_stays_out(news: Interactions) -> None:
    shuffled = np.random.default_rng(1).permutation(len(news.item_ids))
    lying = [
        Item(item_id=news.item_ids[code], categories=[f"group {place % GROUPS}"]) for place, code in enumerate(shuffled)
    ]
    assert len(joined(replace(news, catalogue=Catalogue(lambda: lying)), "content").sources) == 2
    assert len(joined(replace(news, catalogue=Catalogue(tuple)), "content").sources) == 2


def test_the_loop_orders_as_the_hybrid_does(news: Interactions) -> None:
    """What chooses must measure what is served."""
    parts = split(news)
    config = joined(news, "content")
    further = FurtherSources(config, [parts])
    model = HybridRecommender.fit(parts.train, config, RULES)
    for question in (further._all[0], further._new[0]):
        assert question is not None
        served = question.ndcg_by_user(model, parts.train)
        assert further._scores[0].ndcg_by_user(question) == pytest.approx(served, abs=1e-6)
