"""The rule of visibility, for one item and for many."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from lemo.domain.availability import Availability
from lemo.domain.item import Item
from lemo.domain.time import milliseconds

NOW = datetime(2026, 11, 27, tzinfo=UTC)
moments = st.none() | st.integers(-5, 5).map(lambda hours: NOW + timedelta(hours=hours))
items = st.lists(
    st.builds(
        Item,
        item_id=st.integers(0, 30).map(str),
        is_active=st.booleans(),
        deleted=st.booleans(),
        published_at=moments,
        expires_at=moments,
    ),
    max_size=12,
    unique_by=lambda item: item.item_id,
)


@given(items, st.lists(st.integers(-6, 6), min_size=1, max_size=6))
def test_many_items_are_hidden_exactly_while_each_is_not_visible(catalogue: list[Item], hours: list[int]) -> None:
    on = [item for item in catalogue if item.recommendable]
    availability = Availability(
        off=frozenset(item.item_id for item in catalogue if not item.recommendable),
        embargoed={item.item_id: milliseconds(item.published_at) for item in on if item.published_at},
        expiring={item.item_id: milliseconds(item.expires_at) for item in on if item.expires_at},
    )
    for hour in hours:  # in any order: what is held for one moment must not be said at another
        moment = NOW + timedelta(hours=hour)
        hidden = availability.unavailable(milliseconds(moment))
        assert hidden == {item.item_id for item in catalogue if not item.visible_at(moment)}
        assert availability.gone(milliseconds(moment)) == {
            item.item_id
            for item in catalogue
            if not item.recommendable or (item.expires_at is not None and item.expires_at <= moment)
        }


def test_an_item_is_visible_from_its_publication_until_its_expiry() -> None:
    item = Item(item_id="i", published_at=NOW, expires_at=NOW + timedelta(hours=1))
    moments = [NOW - timedelta(seconds=1), NOW, NOW + timedelta(minutes=59), NOW + timedelta(hours=1)]
    assert [item.visible_at(moment) for moment in moments] == [False, True, True, False]
    assert not item.model_copy(update={"is_active": False}).visible_at(NOW)
    assert not item.model_copy(update={"deleted": True}).visible_at(NOW)
