"""Builds an answer from scored items: mixes in new items, and adds reasons."""

from collections.abc import Callable, Container, Iterable, Sequence
from itertools import islice
from random import Random
from uuid import uuid4

from lemo.domain.recommendation import Answer, RecommendedItem
from lemo.recommenders.scored import Scored

EXPLORED = 100
"""Of the new items so many, the newest, are drawn from."""
RANDOM = Random()
UNSCORED = 0.0
"""Score of an item that no model has scored. The hybrid gives it to an average item."""

_WORDS = {
    "similar": "fits what you chose",
    "content": "fits what you chose",
    "latest": "new",
    "popular": "popular now",
    "pinned": "chosen for you",
    "promoted": "featured",
    "repeat": "you had it before",
    "hot": "hot right now",
    "other": "from the catalogue",
}
_BECAUSE = 'because of "'
_SOURCES = {words: kind for kind, words in _WORDS.items() if kind != "content"}


def reason(scored: Scored) -> str:
    """Why the item is recommended, in plain words."""
    return f'{_BECAUSE}{scored.because}"' if scored.because is not None else _WORDS[scored.kind]


def source_of(words: str) -> str:
    """Where an item comes from, by its reason in words, which tells no content from behaviour; empty where unknown."""
    return "similar" if words.startswith(_BECAUSE) else _SOURCES.get(words, "")


def answer(items: Iterable[Scored], version: str | None, degraded: bool) -> Answer:
    """An answer with a request id of its own."""
    return Answer(
        request_id=uuid4().hex,
        model_version=version,
        degraded=degraded,
        items=recommended_items(items),
    )


def recommended_items(items: Iterable[Scored]) -> list[RecommendedItem]:
    """The items with their reasons in plain words."""
    return [
        RecommendedItem(
            item_id=each.item_id,
            score=each.score,
            reason=reason(each),
            explored=each.explored,
            propensity=each.propensity,
            team=each.team,
        )
        for each in items
    ]


def shown_of(scored: Iterable[Scored], n: int, hidden: Container[str]) -> list[Scored]:
    """The first n items that are not hidden."""
    return list(islice((each for each in scored if each.item_id not in hidden), n))


def newest(latest: Iterable[str], n: int, exclude: Container[str]) -> list[Scored]:
    """The first n of these items, each once. Their scores fall from 1 to 0 by position."""
    items: dict[str, None] = {}
    for item_id in latest:
        if len(items) == n:
            break
        if item_id not in exclude:
            items[item_id] = None
    return [Scored(item_id, 1 - place / len(items), None, "latest") for place, item_id in enumerate(items)]


def with_new_items(
    scored: Sequence[Scored],
    new: Iterable[str],
    n: int,
    exclude: Container[str],
    share: float = 0.0,
    take: Callable[[str], bool] | None = None,
    random: Random = RANDOM,
) -> list[Scored]:
    """The best n scored items, with new items mixed in.

    An answer without a personal item gives `share` of its positions, evenly spread, to new items, which would never
    become popular otherwise. They are drawn at random, each with the same probability, its propensity, so that what is
    learnt from them can be weighed. `take` says whether an item may still be taken; propensities are unknown then.
    Items that no model has scored have the score `UNSCORED`.
    """
    top = list(scored[:n])
    if share > 0 and top and all(each.kind == "popular" for each in top):
        shown = {each.item_id for each in top}
        unseen = (item_id for item_id in new if item_id not in shown and item_id not in exclude)
        drawn = list(islice(unseen, EXPLORED))
        random.shuffle(drawn)
        places = [int((place + 1) / share) - 1 for place in range(int(n * share))]
        propensity = min(len(places) / len(drawn), 1.0) if drawn and take is None else None
        allowed = drawn if take is None else filter(take, drawn)
        for at, item_id in zip(places, allowed, strict=False):
            top.insert(min(at, len(top)), Scored(item_id, UNSCORED, None, "latest", True, propensity))
    return top[:n]
