import numpy as np
import pytest
from scipy import sparse

from lemo.recommenders.similar_items import SimilarItems, similar_items
from recommender_worlds import best_first

IDS = ["a", "b", "c", "d", "e"]


def behaviour() -> tuple[np.ndarray, np.ndarray]:
    matrix = np.zeros((5, 5), dtype=np.float32)
    matrix[0] = [0, 0.2, 0.4, 0, 0]
    matrix[1] = [0.2, 0, 0, 0, 0]
    matrix[2] = [0.4, 0, 0, 0, 0]
    return best_first(sparse.csr_matrix(matrix))


def content() -> np.ndarray:
    return np.array([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8], [0, 0]], dtype=np.float32)


def told(similar: SimilarItems, item: str, n: int = 9) -> list[tuple[str, str]]:
    return [(one.item_id, one.kind) for one in similar.of(item, n)]


def test_behaviour_comes_first_and_content_fills() -> None:
    similar = similar_items(IDS, behaviour(), content(), 3)
    assert told(similar, "a") == [("c", "similar"), ("b", "similar"), ("d", "content")]
    assert told(similar, "d") == [("b", "content"), ("c", "content"), ("a", "content")]
    assert told(similar, "e") == []
    assert told(similar, "unknown") == []
    assert told(similar, "a", 1) == [("c", "similar")]


def test_scores_fall_along_a_row() -> None:
    similar = similar_items(IDS, behaviour(), content(), 4)
    for item in IDS:
        scores = [one.score for one in similar.of(item, 4)]
        assert scores == sorted(scores, reverse=True)
        assert all(score > 0 for score in scores)
        assert all(one.because == item for one in similar.of(item, 4))


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = similar_items(IDS, behaviour(), content(), 3)
    monkeypatch.setattr("lemo.recommenders.similar_items.BLOCK_CELLS", 1)
    parts = similar_items(IDS, behaviour(), content(), 3)
    assert np.array_equal(whole.neighbours, parts.neighbours)
    assert np.array_equal(whole.scores, parts.scores)


def test_only_answerable_items_are_neighbours() -> None:
    similar = similar_items(IDS, behaviour(), content(), 3, np.array([True, True, False, False, True]))
    assert told(similar, "a") == [("b", "similar")]
    assert told(similar, "c") == [("a", "similar"), ("b", "content")]


def test_without_content_there_is_behaviour_alone() -> None:
    similar = similar_items(IDS, behaviour(), None, 3)
    assert told(similar, "a") == [("c", "similar"), ("b", "similar")]
    assert told(similar, "d") == []


def test_arrays_hold_everything() -> None:
    similar = similar_items(IDS, behaviour(), content(), 3)
    again = SimilarItems.from_arrays(*similar.to_arrays())
    assert [again.of(item, 3) for item in IDS] == [similar.of(item, 3) for item in IDS]


def test_no_items_and_one_item() -> None:
    for count in (0, 1):
        nothing = best_first(sparse.csr_matrix(np.zeros((count, count), dtype=np.float32)))
        similar = similar_items(IDS[:count], nothing, np.ones((count, 2), dtype=np.float32), 3)
        assert told(similar, "a") == []


def test_items_whose_content_shares_nothing_but_rounding_are_not_similar() -> None:
    nothing = best_first(sparse.csr_matrix(np.zeros((5, 5), dtype=np.float32)))
    noisy = np.array([[1, 1e-7], [0, 1], [0.8, 0.6], [1e-7, 1], [0, 0]], dtype=np.float32)
    similar = similar_items(IDS, nothing, noisy, 4)
    assert [one.item_id for one in similar.of("a", 9)] == ["c"]
    assert "b" in similar
    assert "z" not in similar
