"""What is due again, from a history and the rates of a model."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from lemo.domain.interaction import Interaction
from lemo.domain.scenario import ActionRule
from lemo.recommenders.repeats import RepeatRates
from lemo.serving.pipeline.repeats import due_again
from lemo.serving.state import ServingState

DAY = 86_400_000
RULES = {
    "buy": ActionRule(weight=5, seen=True),
    "view": ActionRule(weight=1, seen=False),
    "refund": ActionRule(weight=-5),
}
ITEMS = ["milk", "salt"]


def state(now: float, rates: RepeatRates | None) -> ServingState:
    """With a model that knows milk (every 7 days) and salt (every 70)."""
    model = SimpleNamespace(
        repeats=rates,
        timeline=SimpleNamespace(now=int(now * DAY)),
        rows=lambda ids: np.array([ITEMS.index(each) for each in ids if each in ITEMS], dtype=np.int32),
    )
    return cast("ServingState", SimpleNamespace(rules=RULES, mapped=SimpleNamespace(model=model)))


def rates() -> RepeatRates:
    return RepeatRates(np.full(2, 0.5, dtype=np.float32), np.array([7, 70], dtype=np.float32) * DAY)


def acts(*rows: tuple[str, str, float]) -> list[Interaction]:
    return [Interaction(item, action, None, int(day * DAY)) for item, action, day in rows]


def ids(found: Any) -> list[str]:
    return [each.item_id for each in found]


def test_now_is_where_activity_is_and_not_the_clock() -> None:
    """Both were had on day 93 of 1970: a week later milk is due, after seventy days salt is."""
    history = acts(("milk", "buy", 93), ("salt", "buy", 93))
    assert ids(due_again(history, state(100, rates()))) == ["milk", "salt"]
    assert ids(due_again(history, state(163, rates()))) == ["salt", "milk"]
    later = acts(("other", "buy", 163), *[("milk", "buy", 93.0), ("salt", "buy", 93.0)])
    assert ids(due_again(later, state(100, rates()))) == ["salt", "milk", "other"], "the user's own newest day counts"


def test_what_has_no_rates_comes_last_and_what_was_sent_back_not_at_all() -> None:
    history = acts(
        ("new", "buy", 99), ("old", "buy", 98), ("salt", "buy", 90), ("gone", "buy", 80), ("gone", "refund", 81)
    )
    history += acts(("looked at", "view", 99))
    assert ids(due_again(history, state(100, rates()))) == ["salt", "new", "old"]
    assert ids(due_again(history, state(100, None))) == ["new", "old", "salt"], (
        "as a model from before there were rates"
    )
