import numpy as np
import pytest

from lemo.domain.interaction import Interaction
from lemo.recommenders.data.histories import Encoder
from recommender_worlds import DAY, RULES, read, same

ITEMS = ["a", "b", "c"]


def touch(item: str, action: str, when: int, value: float | None = None) -> Interaction:
    return Interaction(item, action, value, when)


def test_histories_are_encoded_as_the_same_events_are() -> None:
    history = [
        touch("a", "click", 1 * DAY),
        touch("a", "like", 2 * DAY),
        touch("b", "rate", 3 * DAY, 5.0),
        touch("b", "rate", 5 * DAY, 9.0),
        touch("c", "impression", 6 * DAY),
        touch("d", "like", 3 * DAY),
        touch("d", "dislike", 4 * DAY),
        touch("d", "dislike", 6 * DAY),
        touch("e", "dislike", 2 * DAY),
        touch("e", "click", 3 * DAY),
    ]
    events = read(*[("u", act.item_id, act.action, act.timestamp_ms, act.value) for act in history])
    queries, seen = Encoder("abcde", RULES, 2 * DAY).encode([history, history[::-1]])
    assert queries.toarray()[0, 3:].tolist() == pytest.approx([-3, 2**-1.5])
    assert queries.toarray() == pytest.approx(np.repeat(events.query_matrix(2 * DAY).toarray(), 2, axis=0))
    assert np.array_equal(seen.toarray()[0], events.seen_csr().toarray()[0])


def test_repeated_interactions_count_once() -> None:
    encoder = Encoder(ITEMS, RULES, None)
    once, _ = encoder.encode([[touch("a", "like", 1), touch("b", "click", 1)]])
    often, _ = encoder.encode([[touch("a", "like", 1), *[touch("b", "click", 1)] * 9]])
    assert same(once, often)


def test_a_newest_negative_interaction_cancels() -> None:
    queries, seen = Encoder(ITEMS, RULES, None).encode(
        [[touch("a", "dislike", 2), touch("a", "like", 1), touch("b", "like", 2), touch("b", "dislike", 1)]]
    )
    assert queries.toarray().tolist() == [[-3, 3, 0]]
    assert seen.toarray().tolist() == [[True, True, False]]


def test_unknown_items_and_actions_are_ignored() -> None:
    queries, seen = Encoder(ITEMS, RULES, DAY).encode([[touch("z", "like", 9), touch("a", "gone", 9)], []])
    assert queries.shape == seen.shape == (2, 3)
    assert queries.nnz == seen.nnz == 0
    assert Encoder(ITEMS, RULES, DAY).rows(["z", "c"]).tolist() == [2]
