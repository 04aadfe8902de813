"""A filter over columns says of each item what plain Python says of it alone, whatever the catalogue and the filter."""

import operator
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lemo.domain.item import Item
from lemo.serving.catalogue.columns import columns_of
from lemo.serving.catalogue.schema import Attribute, Schema
from lemo.serving.filters.expression import compile_filter

Test = tuple[str, Callable[[dict[str, Any]], bool | None]]
"""A filter, and what it says of one item: true, false, or None where something is missing."""

NUMBERS = st.integers(-5, 5).map(float) | st.sampled_from([0.5, 1e9])
WORDS = st.sampled_from(["a", "b", "ab", "地图", 'a"b'])
SCHEMA = {"price": "number", "stock": "number", "brand": "text", "new": "boolean", "labels": "list"}
ITEMS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "price": NUMBERS,
            "stock": NUMBERS,
            "brand": WORDS,
            "new": st.booleans(),
            "labels": st.lists(WORDS, max_size=3),
        },
    ),
    max_size=8,
)
COMPARISONS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def quoted(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def comparison(name: str, sign: str, wanted: Any) -> Test:
    text = quoted(wanted) if isinstance(wanted, str) else repr(wanted)
    compare = COMPARISONS[sign]
    return f"item.{name} {sign} {text}", lambda item: compare(item[name], wanted) if name in item else None


def of_two(left: str, sign: str, right: str) -> Test:
    compare = COMPARISONS[sign]
    return (
        f"item.{left} {sign} item.{right} + 1",
        lambda item: compare(item[left], item[right] + 1) if left in item and right in item else None,
    )


def member(word: str) -> Test:
    return f"{quoted(word)} in item.labels", lambda item: word in item.get("labels", [])


def one_of(words: list[str]) -> Test:
    text = ", ".join(map(quoted, words))
    return f"item.brand in [{text}]", lambda item: item["brand"] in words if "brand" in item else None


def there(name: str) -> Test:
    return f"has(item.{name})", lambda item: name in item


def starting(word: str) -> Test:
    return (
        f"item.brand.startsWith({quoted(word)})",
        lambda item: item["brand"].startswith(word) if "brand" in item else None,
    )


def negated(test: Test) -> Test:
    text, say = test
    return f"!({text})", lambda item: None if say(item) is None else not say(item)


def all_of(tests: list[Test]) -> Test:
    def say(item: dict[str, Any]) -> bool | None:
        said = [test(item) for _, test in tests]
        return False if False in said else None if None in said else True

    return " && ".join(f"({text})" for text, _ in tests), say


def any_of(tests: list[Test]) -> Test:
    def say(item: dict[str, Any]) -> bool | None:
        said = [test(item) for _, test in tests]
        return True if True in said else None if None in said else False

    return " || ".join(f"({text})" for text, _ in tests), say


SIGNS = st.sampled_from(list(COMPARISONS))
SIMPLE = st.one_of(
    st.builds(comparison, st.sampled_from(["price", "stock"]), SIGNS, NUMBERS),
    st.builds(comparison, st.just("brand"), SIGNS, WORDS),
    st.builds(of_two, st.just("price"), SIGNS, st.just("stock")),
    st.builds(member, WORDS),
    st.builds(one_of, st.lists(WORDS, min_size=1, max_size=3)),
    st.builds(there, st.sampled_from(["price", "brand", "new"])),
    st.builds(starting, WORDS),
    st.just(("item.new", lambda item: item.get("new"))),
)
TESTS = st.recursive(
    SIMPLE,
    lambda tests: st.one_of(
        st.builds(negated, tests),
        st.builds(all_of, st.lists(tests, min_size=2, max_size=3)),
        st.builds(any_of, st.lists(tests, min_size=2, max_size=3)),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(catalogue=ITEMS, changes=ITEMS, test=TESTS)
def test_a_filter_says_of_each_item_what_python_says(
    catalogue: list[dict[str, Any]], changes: list[dict[str, Any]], test: Test
) -> None:
    text, say = test
    schema = Schema({name: Attribute(kind) for name, kind in SCHEMA.items()})  # type: ignore[arg-type]
    columns = columns_of((), schema)
    chosen = compile_filter(text, schema)
    now: list[dict[str, Any]] = []
    for attributes in (catalogue, changes):  # as first read, and after items changed
        columns.update([Item(item_id=str(number), attributes=each) for number, each in enumerate(attributes)])
        now = attributes + now[len(attributes) :]
        found = chosen.mask(columns, {})
        assert found.tolist() == [say(item) is True for item in now], text
