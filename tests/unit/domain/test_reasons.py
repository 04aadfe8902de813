"""Reasons: one readable sentence, whatever was handed in."""

import pytest
from pydantic import ValidationError

from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.reasons import reason, shortened

GOOD = {"user_id": "u", "item_id": "i", "action": "click", "timestamp": 1_700_000_000}


def why(model: type[Item | Event], row: object) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(row)
    return reason(caught.value)


def test_names_the_field_and_what_it_got() -> None:
    assert why(Event, GOOD | {"timestamp": "soon"}) == (
        "timestamp: is neither ISO 8601 nor Unix seconds or milliseconds (got 'soon')"
    )


def test_a_missing_field_is_missing() -> None:
    assert why(Item, {"title": "no id"}) == "item_id: is missing"


def test_names_three_faults_and_counts_the_rest() -> None:
    text = why(Event, {"user_id": "", "item_id": "", "action": "", "timestamp": "x", "value": "y"})
    assert text.count("; ") == 3
    assert text.endswith("; and 2 more")


@pytest.mark.parametrize(
    "title",
    ["长" * 10_000_000, ["x"] * 100_000, {"k": "v" * 1_000_000}, 10**4_000],
    ids=["text", "list", "dict", "integer"],
)
def test_never_repeats_a_huge_input(title: object) -> None:
    assert len(why(Item, {"item_id": "i", "title": title})) < 300


def test_a_row_that_is_no_object() -> None:
    assert "got 5" in why(Item, 5)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "None"), (True, "True"), (1.5, "1.5"), (b"abc", "a bytes of 3"), ({"a": 1}, "a dict of 1"), (7, "7")],
)
def test_shortened(value: object, text: str) -> None:
    assert shortened(value) == text
