"""What an answer is put together from."""

import json
from collections import Counter
from random import Random

from lemo.domain.interaction import Interaction, filtered_items
from lemo.domain.scenario import TEMPLATES
from lemo.recommenders.scored import Scored
from lemo.serving.assembly import UNSCORED, answer, newest, reason, recommended_items, with_new_items

LATEST = [f"new-{number}" for number in range(20)]


def popular(count: int) -> list[Scored]:
    return [Scored(f"hit-{place}", 10.0 - place, None, "popular") for place in range(count)]


def personal(count: int) -> list[Scored]:
    return [Scored(f"own-{place}", 10.0 - place, "touched", "similar") for place in range(count)]


def falls(items: list[Scored]) -> bool:
    """Whether what a model has scored falls, and nothing else has a score."""
    unknown = [each for each in items if each.kind in ("latest", "other")]
    assert {each.score for each in unknown} <= {UNSCORED}
    scores = [each.score for each in items if each not in unknown]
    return scores == sorted(scores, reverse=True)


def test_reasons_are_plain_words() -> None:
    assert reason(Scored("a", 1, 'say "hi"', "similar")) == 'because of "say "hi""'
    assert reason(Scored("a", 1, None, "popular")) == "popular now"
    assert reason(Scored("a", 1, None, "latest")) == "new"


def test_a_personal_answer_is_left_as_it_is() -> None:
    assert with_new_items(personal(30), LATEST, 10, set(), 0.2) == personal(10)


def test_an_answer_with_nothing_personal_shows_a_new_item_at_every_fifth_place() -> None:
    items = with_new_items(popular(30), LATEST, 10, set(), 0.2)
    kinds = [each.kind for each in items]
    assert [place for place, kind in enumerate(kinds, start=1) if kind == "latest"] == [5, 10]
    drawn = [each for each in items if each.kind == "latest"]
    assert {each.item_id for each in drawn} <= set(LATEST)
    assert [each.explored for each in items] == [each.kind == "latest" for each in items]
    assert falls(items)
    assert with_new_items(popular(30), LATEST, 10, set()) == popular(10)
    assert [each.kind for each in with_new_items(popular(30), LATEST, 4, set(), 0.5)][1::2] == ["latest"] * 2


def test_every_new_item_is_explored_as_often_as_its_propensity_says() -> None:
    random, shown, draws = Random(1), Counter[str](), 2_000
    for _ in range(draws):
        items = with_new_items(popular(30), LATEST[:8], 10, {"new-3"}, 0.2, random=random)
        explored = [each for each in items if each.explored]
        assert [each.propensity for each in explored] == [2 / 7, 2 / 7]
        shown.update(each.item_id for each in explored)
    assert set(shown) == set(LATEST[:8]) - {"new-3"}
    assert max(abs(count / draws - 2 / 7) for count in shown.values()) < 0.04  # 4 standard errors
    (only,) = [each for each in with_new_items(popular(30), LATEST[:1], 10, set(), 0.2) if each.explored]
    assert only.propensity == 1


def test_where_caps_decide_too_the_propensity_is_unknown() -> None:
    items = with_new_items(popular(30), LATEST, 10, set(), 0.2, take=lambda item_id: item_id == "new-1")
    assert [(each.item_id, each.propensity) for each in items if each.explored] == [("new-1", None)]


def test_only_what_was_explored_says_so() -> None:
    found = recommended_items(with_new_items(popular(30), LATEST[:4], 5, set(), 0.2))
    *others, new = [each.model_dump() for each in found]
    assert new["explored"] is True
    assert new["propensity"] == 1 / 4
    assert all(set(each) == {"item_id", "score", "reason"} for each in others)


def test_nobody_is_shown_old_items_as_new() -> None:
    items = with_new_items(popular(30), [], 10, set(), 0.2)
    assert items == popular(10)


def test_no_item_appears_twice_or_though_it_must_not() -> None:
    for n in (1, 4, 5, 11, 200):
        items = with_new_items(popular(7), ["hit-2", *LATEST[:5]], n, {"new-1", "new-2"}, 0.2)
        ids = [each.item_id for each in items]
        assert len(ids) == len(set(ids)) == min(n, 7 + min(int(n * 0.2), 3))
        assert not {"new-1", "new-2"} & set(ids)
        assert falls(items)


def test_the_newest_items_answer_best_first_and_each_once() -> None:
    items = newest(["new-1", *LATEST, "new-2"], 5, {"new-0"})
    assert [(each.item_id, each.score) for each in items] == [(f"new-{n}", 1 - (n - 1) / 5) for n in range(1, 6)]
    assert newest([], 5, set()) == []


def test_what_was_clicked_is_seen_and_what_was_only_shown_is_not() -> None:
    touches = [
        Interaction("shown", "impression", None, 1),
        Interaction("clicked", "click", None, 2),
        Interaction("odd", "odd", None, 3),
    ]
    assert filtered_items(touches, TEMPLATES["custom"]) == {"clicked"}


def test_an_answer_has_a_request_id_of_its_own_and_is_json() -> None:
    first, second = (answer(personal(2), "v1", degraded=False) for _ in range(2))
    assert first.request_id != second.request_id
    assert json.loads(first.model_dump_json())["items"][0] == {
        "item_id": "own-0",
        "score": 10.0,
        "reason": 'because of "touched"',
    }
