"""From scored items to an answer: new items mixed in, filled up with the latest, reasons in plain words."""

from collections.abc import Collection, Iterable, Sequence
from uuid import uuid4

from lemo.domain.recommendation import Answer, RecommendedItem
from lemo.recommenders.scored import Scored

UNSCORED = 0.0
"""Where nothing is known: neither a neighbour's score nor one made up. The blend gives it to an average item."""

_WORDS = {
    "similar": "fits what you chose",
    "content": "fits what you chose",
    "latest": "new",
    "popular": "popular now",
    "other": "from the catalogue",
}


def reason(scored: Scored) -> str:
    """Why the item is there, in plain words."""
    return f'because of "{scored.because}"' if scored.because is not None else _WORDS[scored.kind]


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
    return [RecommendedItem(item_id=each.item_id, score=each.score, reason=reason(each)) for each in items]


def newest(latest: Sequence[str], n: int, without: Collection[str]) -> list[Scored]:
    """Up to n of the newest items, scored from 1 falling to 0 by their place."""
    items = [item_id for item_id in latest if item_id not in without][:n]
    return [Scored(item_id, 1 - place / len(items), None, "latest") for place, item_id in enumerate(items)]


def with_new_items(
    scored: Sequence[Scored],
    new: Sequence[str],
    latest: Sequence[str],
    n: int,
    without: Collection[str],
    share: float = 0.0,
) -> list[Scored]:
    """The scored items, with new ones among them, made up to n with the latest, which need not be new.

    An answer in which nothing is personal gives `share` of its places, evenly spread, to new items: they would never
    become popular otherwise. No model has scored what is added: its score is `UNSCORED`.
    """
    top = list(scored[:n])
    if not top:
        return newest(latest, n, without)
    if share > 0 and all(each.kind == "popular" for each in top):
        shown = {each.item_id for each in top}
        mixed = (item_id for item_id in new if item_id not in shown and item_id not in without)
        places = [int((place + 1) / share) - 1 for place in range(int(n * share))]
        for at, item_id in zip(places, mixed, strict=False):
            top.insert(min(at, len(top)), Scored(item_id, UNSCORED, None, "latest"))
        top = top[:n]
    shown = {each.item_id for each in top}
    fill = [item_id for item_id in latest if item_id not in shown and item_id not in without][: n - len(top)]
    return top + [Scored(item_id, UNSCORED, None, "other") for item_id in fill]
