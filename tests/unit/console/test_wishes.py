"""What is tried in the explorer stands in its address, and asks the API the same."""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemo.console.explorer.wishes import Boosting, Wishes, as_command, moves, page_address, wishes_of
from lemo.domain.errors import InvalidInput
from lemo.serving.trials import Variant

TEXTS = st.text("ab日&=+%/'\"<#?", min_size=1, max_size=10)
VARIANTS = st.builds(Variant, st.just("") | TEXTS, st.none() | st.integers(0, 99))
WISHES = st.builds(
    Wishes,
    filter=st.just("") | TEXTS,
    boosts=st.lists(st.builds(Boosting, st.integers(-200, 200).map(lambda n: n / 2), TEXTS), max_size=3).map(tuple),
    diversity=st.none() | st.integers(0, 20).map(lambda n: n / 20),
    repeat=st.sampled_from(["never", "allow", "only"]),
    base=VARIANTS,
    tried=VARIANTS,
)


@given(WISHES, TEXTS)
def test_the_address_holds_all_of_it(wishes: Wishes, user: str) -> None:
    found = parse_qs(urlsplit(page_address("shop", user, 20, wishes, "lamp/1")).query)
    boosts = found.pop("boost", [])
    parameters = {name: value for name, (value,) in found.items()}
    assert wishes_of(parameters, boosts) == wishes
    assert (parameters["user"], parameters["n"], parameters["item"]) == (user, "20", "lamp/1")


def test_an_address_with_nonsense_is_refused() -> None:
    for parameters, boosts in (
        ({"diversity": "much"}, []),
        ({"diversity": "1.5"}, []),
        ({"pipeline": "-1"}, []),
        ({"repeat": "sometimes"}, []),
        ({}, ["item.price < 3"]),
        ({}, ["1000 item.price < 3"]),
        ({}, ["1"]),
        ({"filter": "x" * 2_001}, []),
    ):
        with pytest.raises(InvalidInput):
            wishes_of(parameters, boosts)


def test_the_command_survives_quotes() -> None:
    wishes = Wishes(filter="item.title == 'it'", boosts=(Boosting(2, "item.x"),), repeat="allow")
    command = as_command(wishes, "shop", "user 7", 5, "http://127.0.0.1:8000")
    assert '"boost": [{"filter": "item.x", "weight": 2}]' in command
    assert r"'\''it'\''" in command
    assert '"repeat": "allow"' in command
    assert "lemo_" not in command


def test_moves_tell_what_rose_fell_and_came() -> None:
    assert moves(["a", "b", "c"], ["c", "a", "d"]) == {"c": 2, "a": -1, "d": None}
