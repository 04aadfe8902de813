"""Items are edited as texts; only what was edited is changed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemo.console.catalogue.form import Entry, changes_of, entries_of
from lemo.domain.errors import InvalidInput
from lemo.domain.item import Item

TYPES = {"price": "number", "in_stock": "boolean", "colours": "list", "brand": "text", "missing": "number"}
ITEM = Item.model_validate(
    {
        "item_id": "lamp",
        "title": "Lamp",
        "categories": ["light", "home"],
        "published_at": "2026-01-02T03:04:05Z",
        "price": 9.5,
        "in_stock": True,
        "colours": ["red"],
        "size": {"w": 1},
    }
)


def edited(**texts: str) -> dict[str, Any]:
    entries = entries_of(ITEM, TYPES)
    names = [entry.name for entry in entries]
    assert set(texts) <= set(names)
    return changes_of(entries, [texts.get(entry.name, entry.text) for entry in entries])


def test_what_is_not_edited_is_not_changed() -> None:
    assert edited() == {}
    assert edited(title=" Lamp ") == {}


def test_texts_become_values_of_their_types() -> None:
    assert edited(title="Globe", categories="light | ", expires_at="2027-01-01T00:00:00Z") == {
        "title": "Globe",
        "categories": ["light"],
        "expires_at": "2027-01-01T00:00:00Z",
    }
    assert edited(price="12", in_stock="False", colours="red|blue", missing="0.5", size='{"w": 2}') == {
        "attributes": {"price": 12, "in_stock": False, "colours": ["red", "blue"], "missing": 0.5, "size": {"w": 2}}
    }


def test_an_empty_text_removes() -> None:
    assert edited(published_at="", price=" ", title="") == {
        "title": None,
        "published_at": None,
        "attributes": {"price": None},
    }


@pytest.mark.parametrize(("name", "text"), [("price", "dear"), ("in_stock", "maybe"), ("size", "{")])
def test_a_text_of_another_type_is_told_by_name(name: str, text: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{name}: "):
        edited(**{name: text})


def test_a_value_that_does_not_fit_its_type_is_edited_as_json() -> None:
    odd = Item(item_id="odd", attributes={"price": [1, 2]})
    entry = next(each for each in entries_of(odd, TYPES) if each.name == "price")
    assert entry == Entry("price", "json", "[1, 2]", is_attribute=True)


VALUES = st.text("a日|{ 1.", max_size=5) | st.booleans() | st.floats(-1e6, 1e6) | st.integers(-(10**9), 10**9)


@given(st.dictionaries(st.sampled_from(sorted(TYPES)), VALUES | st.lists(VALUES, max_size=3) | st.none()))
def test_whatever_an_item_holds_an_edit_of_nothing_changes_nothing(attributes: dict[str, Any]) -> None:
    entries = entries_of(Item(item_id="any", attributes=attributes), TYPES)
    assert changes_of(entries, [entry.text for entry in entries]) == {}
