from datetime import UTC, datetime

import pytest

from lemo.domain.interaction import Interaction
from lemo.domain.item import Item
from lemo.recommenders.profiles import Profiler
from recommender_worlds import DAY, RULES

ITEMS = [
    Item(item_id="a", categories=["sport", "news"], tags=["ball"], author="Li"),
    Item(item_id="b", categories=["sport"], tags=["ball", "ball", "run"], author="李"),
    Item(item_id="c"),
]


def test_labels_share_the_weights_of_liked_items() -> None:
    history = [
        Interaction("a", "click", None, 30 * DAY),
        Interaction("b", "like", None, 0),
        Interaction("c", "like", None, 0),
        Interaction("gone", "like", None, 0),
        Interaction("a", "impression", None, 29 * DAY),
    ]
    (profile,) = Profiler(ITEMS, RULES).profiles(["u"], [history])
    assert {taste.label: taste.weight for taste in profile.categories} == pytest.approx({"sport": 0.8, "news": 0.2})
    assert {taste.label: taste.weight for taste in profile.tags} == pytest.approx({"ball": 0.7, "run": 0.3})
    assert [taste.label for taste in profile.tags] == ["ball", "run"]
    assert [taste.label for taste in profile.authors] == ["李", "Li"]
    assert (profile.interactions, profile.actions) == (5, {"click": 1, "impression": 1, "like": 3})
    assert profile.last_event_at == datetime.fromtimestamp(30 * 86_400, UTC)


def test_only_the_top_labels_stay() -> None:
    (profile,) = Profiler(ITEMS, RULES).profiles(["u"], [[Interaction("b", "like", None, 0)]], top=1)
    assert [taste.label for taste in profile.tags] == ["ball"]


def test_users_without_interactions_and_a_catalogue_without_items() -> None:
    empty, other = Profiler([], RULES).profiles(["u", "v"], [[], [Interaction("a", "like", None, 5)]])
    assert (empty.interactions, empty.categories, empty.last_event_at) == (0, [], None)
    assert (other.interactions, other.categories) == (1, [])
    assert Profiler(ITEMS, RULES).profiles([], []) == []


def test_profiles_can_be_written_as_json() -> None:
    (profile,) = Profiler(ITEMS, RULES).profiles(["u"], [[Interaction("b", "like", None, 0)]])
    assert type(profile).model_validate_json(profile.model_dump_json()) == profile
