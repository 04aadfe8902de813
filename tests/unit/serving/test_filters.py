"""Filters: what fits, what is refused and how, and the types that attributes get."""

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lemo.domain.errors import InvalidInput
from lemo.domain.item import Item
from lemo.serving.catalogue.columns import Columns, columns_of
from lemo.serving.filters.expression import compile_filter

ITEMS: list[dict[str, Any]] = [
    {"item_id": "a", "title": "Globe", "categories": ["globe", "home"], "price": 5, "in_stock": True, "rating": "4.5"},
    {"item_id": "b", "title": "地图", "categories": ["map"], "price": 150.5, "in_stock": False, "rating": "3"},
    {"item_id": "c", "published_at": "2026-01-01T00:00:00Z", "code": "007", "author": "item"},
]


@pytest.fixture(scope="module")
def columns() -> Columns:
    return columns_of([Item.model_validate(each) for each in ITEMS])


def chosen(columns: Columns, text: str, **variables: Any) -> str:
    """The ids of the items that match."""
    mask = compile_filter(text, columns.schema).mask(columns, variables)
    return "".join(item_id for item_id, matches in zip(columns.item_ids, mask.tolist(), strict=True) if matches)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('item.price < 100 && "globe" in item.categories && item.in_stock', "a"),
        ("!(item.price < 100)", "b"),
        ("item.price == null", "c"),
        ('item.title.startsWith("地") || item.title.contains("lob")', "ab"),
        ('item.title.matches("^[A-Z]")', "a"),
        ("size(item.categories) == 2", "a"),
        ("item.categories.size() > 0", "ab"),
        ("item.rating >= 4", "a"),
        ('item.code == "007"', "c"),
        ("item.price * 2 + 1 > 11 && item.price % 2 != 1", "b"),
        ("(item.in_stock ? item.price : -item.price) < 0", "b"),
        ('item.published_at > timestamp("2025-12-31")', "c"),
        ('item.published_at < now - duration("24h") && now - item.published_at > duration("1d")', "c"),
        ("item.price < request.most", "a"),
        ("user.country == 'DE' && item.price in [5, 7]", "a"),
        ("request.words == 'x' // a comment", "abc"),
        ("true", "abc"),
        ("item.price / 0 > 1", ""),
    ],
)
def test_it_chooses(columns: Columns, text: str, expected: str) -> None:
    assert chosen(columns, text, most=6, country="DE", words="x") == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("item.prize < 100", ["item.prize", "no attribute 'prize'", "Did you mean price?"]),
        ("item.price < 'a'", ["a number cannot be compared with a text", "without quotes"]),
        ("item.published_at > '2020'", ['write timestamp("']),
        ("item.price <", ["cannot be read at character 12"]),
        ("item.price", ["must be true or false, and is a number"]),
        ("foo.x == 1", ["there is no 'foo.x' here"]),
        ("item.title.matches('(')", ["no regular expression", "missing )"]),
        ("'a' in item.title", ["the right side of `in` must be a list"]),
        ('item["price"] == 3', ["not part of filters"]),
        ("!" * 150 + "true", ["more than 100 operators"]),
        ("x" * 3_000, ["3,000 characters"]),
        (" ", ["empty"]),
        ("b'x' == 'x'", ["such a literal"]),
        ("hello(1)", ["no function hello()"]),
        (f"item.price < {'9' * 400}", ["a number is too large"]),
        ("item.title == '\\x'", ["an escape that is none"]),
        ("item.published_at > timestamp('soon')", ["'soon' is no time"]),
        ("now - duration('3 weeks') < now", ["is no duration"]),
    ],
)
def test_what_does_not_fit_is_refused_in_words(columns: Columns, text: str, words: list[str]) -> None:
    with pytest.raises(InvalidInput) as refused:
        compile_filter(text, columns.schema)
    for word in words:
        assert word in str(refused.value)
    assert len(str(refused.value)) < 700


def test_the_examples_of_the_documentation_fit() -> None:
    page = (Path(__file__).parents[3] / "docs" / "filters.md").read_text()
    (examples,) = re.findall(r"```cel\n(.*?)```", page, re.DOTALL)
    numbers = dict.fromkeys(("price", "rating", "age_limit", "sale_price"), 1)
    more: dict[str, Any] = {"in_stock": True, "on_sale": False, "brand": "acme", "countries": ["DE"]}
    columns = columns_of([Item.model_validate({"item_id": "a", "title": "The lamp", **numbers, **more})])
    assert len(examples.splitlines()) == 12
    for example in examples.splitlines():
        compile_filter(example, columns.schema).mask(columns, {"budget": 2, "country": "DE"}, columns.current("a"))


def test_a_variable_is_asked_for_by_name(columns: Columns) -> None:
    with pytest.raises(InvalidInput, match=r'needs "variables": {"most": ...}'):
        chosen(columns, "item.price < request.most", least=3)
    with pytest.raises(InvalidInput, match="a number is too large"):
        chosen(columns, "item.price < request.most", most=10**400)
    with pytest.raises(InvalidInput, match="a number cannot be compared with a text"):
        chosen(columns, "item.price < request.most", most="6")


def test_a_regular_expression_takes_linear_time(columns: Columns) -> None:
    columns = columns_of([Item(item_id="a", title="a" * 1_000)])
    started = time.process_time()
    chosen(columns, 'item.title.matches("(a*)*(a*)*(a*)*b")')
    assert time.process_time() - started < 5, "backtracking would take longer than the universe is old"


def test_types_are_those_of_most_values_and_others_are_counted() -> None:
    prices: list[Any] = [1, 2.5, "3", "free", True]
    items = [Item(item_id=str(number), attributes={"price": price}) for number, price in enumerate(prices)]
    columns = columns_of([*items, Item(item_id="n", attributes={"code": "007"}), Item(item_id="m")])
    price = columns.schema.attributes["price"]
    assert (columns.schema.attributes["code"].type, price.type) == ("text", "number")
    assert (price.values, price.unfit, price.examples) == (5, 2, ["'free'", "True"])
    assert chosen(columns, "has(item.price)") == "012"
    zeros = columns_of([Item(item_id=text, attributes={"price": text}) for text in ("0", "0.5", "-0.5", "7")])
    assert chosen(zeros, "item.price < 1") == "00.5-0.5"
    truths = [Item(item_id=text, attributes={"sold": text}) for text in ("true", "False", "TRUE")]
    assert chosen(columns_of(truths), "item.sold") == "trueTRUE"
    mixed = columns_of([*truths, Item(item_id="n", attributes={"sold": "12"})])
    assert mixed.schema.attributes["sold"].type == "text"
    lists = columns_of([Item(item_id="a", attributes={"colours": "red|blue"})], fixed={"colours": "list"})
    assert chosen(lists, '"blue" in item.colours') == "a"
    fixed = columns_of(items, fixed={"price": "text", "seen_at": "timestamp"})
    assert chosen(fixed, 'item.price == "free" || item.price == "2.5"') == "13"


def test_an_attribute_with_the_name_of_a_field_has_a_name_of_its_own() -> None:
    columns = columns_of([Item(item_id="a", author="x", attributes={"author": "y"})])
    assert chosen(columns, 'item.author == "x" && item.attributes.author == "y"') == "a"


def test_times_are_those_of_now() -> None:
    soon = datetime.now(UTC) + timedelta(days=1)
    columns = columns_of([Item(item_id="a", expires_at=soon)])
    assert compile_filter("item.expires_at > now", columns.schema).uses_now
    assert not compile_filter("item.expires_at > item.published_at", columns.schema).uses_now
    assert chosen(columns, 'item.expires_at > now && item.expires_at < now + duration("25h")') == "a"


def test_lists_are_laid_out_anew_when_many_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lemo.serving.catalogue.columns.OVERLAY", 3)
    columns = columns_of([Item(item_id=str(number), tags=["x", "y"]) for number in range(5)])
    for number in range(5):
        columns.update([Item(item_id=str(number), tags=["y", f"t{number}"])])
    assert chosen(columns, '"x" in item.tags') == ""
    assert chosen(columns, '"y" in item.tags && size(item.tags) == 2') == "01234"
    assert chosen(columns, '"t3" in item.tags') == "3"
