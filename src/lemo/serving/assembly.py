"""From scored items to an answer: mixing in and filling up with new items, reasons in plain words."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import uuid4

from lemo.domain.recommendation import Answer, RecommendedItem
from lemo.domain.scenario import ActionRule
from lemo.domain.touch import Touch
from lemo.recommenders.scored import Scored

NEW_EVERY = 5
"""A user of whom nothing is known sees a new item at every fifth place: it would never become popular otherwise."""

_WORDS = {"similar": "fits what you chose", "content": "fits what you chose", "latest": "new", "popular": "popular now"}


def reason(scored: Scored) -> str:
    """Why the item is there, in plain words."""
    return f'because of "{scored.because}"' if scored.because is not None else _WORDS[scored.kind]


def answer(items: Iterable[Scored], version: str | None, degraded: bool) -> Answer:
    """An answer with a request id of its own."""
    return Answer(
        request_id=uuid4().hex,
        model_version=version,
        degraded=degraded,
        items=[RecommendedItem(item_id=each.item_id, score=each.score, reason=reason(each)) for each in items],
    )


def seen_items(touches: Sequence[Touch], rules: Mapping[str, ActionRule]) -> set[str]:
    """The items that the user need not be shown again. As for models, an action without a rule says nothing."""
    return {touch.item_id for touch in touches if (rule := rules.get(touch.action)) is not None and rule.seen}


def newest(latest: Sequence[str], n: int, without: Collection[str]) -> list[Scored]:
    """Up to n of the newest items, scored from 1 falling to 0 by their place."""
    items = [item_id for item_id in latest if item_id not in without][:n]
    return [Scored(item_id, 1 - place / len(items), None, "latest") for place, item_id in enumerate(items)]


def with_new_items(scored: Sequence[Scored], latest: Sequence[str], n: int, without: Collection[str]) -> list[Scored]:
    """The scored items made up to n with the newest ones, which take the score of the item before them.

    An answer in which nothing is personal gets a new item at every `NEW_EVERY`-th place as well.
    """
    top = list(scored[:n])
    new = [item_id for item_id in latest[: 2 * n + len(top) + len(without)] if item_id not in without]
    shown = {each.item_id for each in top}
    if top and all(each.kind == "popular" for each in top):
        wanted = n // NEW_EVERY
        mixed = [item_id for item_id in new if item_id not in shown][:wanted]
        for place, item_id in enumerate(mixed):
            at = min((place + 1) * NEW_EVERY - 1, len(top))
            top.insert(at, Scored(item_id, top[at - 1].score, None, "latest"))
        top = top[:n]
        shown = {each.item_id for each in top}
    missing = n - len(top)
    if missing > 0:
        if not top:
            return newest(latest, n, without)
        fill = [item_id for item_id in new if item_id not in shown][:missing]
        top += [Scored(item_id, top[-1].score, None, "latest") for item_id in fill]
    return top
