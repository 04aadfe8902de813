"""What is new: by publication, or by an arrival that says something."""

from hypothesis import given
from hypothesis import strategies as st

from lemo.domain.newness import DAY_MS, LARGE, Arrival, Newness
from lemo.domain.scenario import scenario_from_template

NOW = 1_790_000_000_000
WEEK = Newness(days=7)


def import_of(count: int, at: int = NOW) -> list[Arrival]:
    return [Arrival(f"film-{n}", at + n, published=False) for n in range(count)][::-1]


@given(st.integers(2, 1_000), st.integers(0, 100_000))
def test_after_a_bulk_import_nothing_is_new(count: int, more: int) -> None:
    catalogue = count + more * (count > LARGE)
    assert WEEK.new_items(import_of(count), catalogue, NOW) == ()


def test_what_arrives_after_an_import_is_new() -> None:
    late = [Arrival("b", NOW + 3 * DAY_MS, False), Arrival("a", NOW + 2 * DAY_MS, False)]
    assert WEEK.new_items([*late, *import_of(100)], 102, NOW) == ("b", "a")
    # Once activity has gone on for a week it is no longer.
    assert WEEK.new_items([*late, *import_of(100)], 102, NOW + 9 * DAY_MS + 1) == ("b",)


def test_a_stream_of_items_is_new_as_it_comes() -> None:
    stream = [Arrival(f"v{n}", NOW - n * 120_000, False) for n in range(1_000)]
    assert len(WEEK.new_items(stream, 5_000, NOW)) == 1_000


def test_what_is_published_is_new_by_its_publication_however_it_came() -> None:
    items = [Arrival(f"news-{n}", NOW - n * DAY_MS, published=True) for n in range(30)]
    assert WEEK.new_items(items, 30, NOW) == tuple(f"news-{n}" for n in range(7))
    old = [Arrival("film", NOW - 50 * 365 * DAY_MS, published=True)]
    assert WEEK.new_items(old, 1_000, NOW) == ()


def test_templates_say_how_long() -> None:
    days = {name: scenario_from_template("s", name).new_days for name in ("news", "vlog", "ecommerce")}
    assert days == {"news": 2, "vlog": 7, "ecommerce": 30}
