"""A view of Analytics stands in its address, whole."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from lemo.console.analytics.filters import PARAMETERS, Filters
from lemo.domain.time import milliseconds

DAYS = st.dates(min_value=date(2020, 1, 1), max_value=date(2030, 1, 1))
NOW = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)


def parameters(address: str) -> dict[str, str]:
    given = QueryParams(address.partition("?")[2])
    assert set(given) <= set(PARAMETERS)
    return {name: given.get(name, "") for name in PARAMETERS}


@given(
    scenario=st.text(min_size=1, max_size=20),
    days=st.integers(1, 366),
    span=st.none() | st.tuples(DAYS, DAYS).map(sorted),
    by=st.sampled_from(["hour", "day"]),
    group=st.sampled_from(["placement", "position", "model"]),
    part=st.sampled_from(["answers", "events"]),
    metric=st.sampled_from(["", "ctr"]),
)
def test_an_address_gives_the_view_back(
    scenario: str, days: int, span: list[date] | None, by: str, group: str, part: str, metric: str
) -> None:
    first, last = span or (None, None)
    view = Filters(scenario, 7 if span else days, first, last, by, group, part, metric)  # type: ignore[arg-type]
    given = parameters(view.address)
    assert Filters.of_address(given["scenario"], given) == view


ZONE = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("view", "since", "until"),
    [
        (Filters("s"), datetime(2026, 11, 22, tzinfo=ZONE), NOW),
        (Filters("s", days=1), datetime(2026, 11, 27, 10, tzinfo=UTC), NOW),
        (
            Filters("s", first=date(2026, 10, 1), last=date(2026, 10, 1)),
            datetime(2026, 10, 1, tzinfo=ZONE),
            datetime(2026, 10, 2, tzinfo=ZONE),
        ),
    ],
)
def test_the_period_of_a_view_has_days_of_the_zone(view: Filters, since: datetime, until: datetime) -> None:
    assert [milliseconds(moment) for moment in view.period(NOW, ZONE)] == [milliseconds(since), milliseconds(until)]
