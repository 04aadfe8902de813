"""Every sum that an experiment's results rest on equals a plain count over the raw rows, whatever was replayed."""

import uuid
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import clickhouse_connect
import pytest
from hypothesis import Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr

from lemo.domain.event import Event
from lemo.domain.experiment_metrics import METRICS, metric_of
from lemo.domain.scope import Scope
from lemo.settings import Settings
from lemo.statistics.estimates import Sample
from lemo.stores.clickhouse.exposures import BEFORE_MS, Unit
from lemo.stores.clickhouse.served import ServedRow
from lemo.stores.connect import Stores
from servers import new_database

SINCE = 1_770_000_000_000
UNTIL = SINCE + 1_000
ITEMS = ["a", "b", "c"]
GOAL = {"purchase": 0.0, "rate": 4.0}
ACTIONS = ["impression", "click", "click", "purchase", "rate", "dislike", "view"]
METRICS_TOLD = [*METRICS.values(), metric_of("action.dislike"), metric_of("action.view")]

answers = st.lists(
    st.tuples(
        st.sampled_from(["u1", "u2", "u3", ""]),
        st.sampled_from(["s1", "s2", ""]),
        st.sampled_from(["control", "control", "new", ""]),
        st.sampled_from(["mine", "mine", "mine", "other"]),
        st.integers(SINCE - 300, UNTIL + 300),
        st.lists(st.sampled_from(ITEMS), max_size=3, unique=True),
        st.booleans(),
        st.integers(0, 9_000),
    ),
    max_size=15,
)
moments = st.one_of(
    st.integers(SINCE - 400, UNTIL + 200), st.integers(SINCE - BEFORE_MS - 500, SINCE - BEFORE_MS + 1_500)
)
events = st.lists(
    st.tuples(
        st.sampled_from(["u1", "u2", "u3", "u4"]),
        st.sampled_from(ITEMS),
        st.sampled_from(ACTIONS),
        moments,
        st.integers(-1, 14),
        st.sampled_from([None, 1.0, 4.0, 5.5]),
    ),
    max_size=40,
)


@pytest.fixture(scope="module")
def stores(redis_url: str, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """Stores whose tables keep every row that is written: the engine merges nothing, so readers have to."""
    settings = Settings(
        home=tmp_path_factory.mktemp("home"),
        redis_url=SecretStr(redis_url),
        clickhouse_url=SecretStr(clickhouse_url),
        clickhouse_database=new_database("exposures"),
    )
    opened = Stores(settings)
    opened.events.migrate()
    with clickhouse_connect.get_client(dsn=clickhouse_url) as client:
        for table in ("events", "served_answers"):
            client.command(f"SYSTEM STOP MERGES {settings.clickhouse_database}.{table}")
    yield opened
    opened.close()


def rows_of(scope: Scope, drawn: list[Any]) -> list[ServedRow]:
    rest: dict[str, Any] = {"kind": "recommendations", "session": [], "of_items": [], "placement": "", "share": 1.0}
    return [
        ServedRow(
            tenant_id=scope.tenant_id,
            scenario_id=scope.scenario_id,
            at=at,
            request_id=f"r{number}",
            user_id=user,
            item_ids=items,
            sources=["similar"] * len(items),
            explored=[False] * len(items),
            propensities=[None] * len(items),
            model_version="1",
            pipeline_version=0,
            experiment=experiment if arm else "",
            arm=arm,
            degraded=degraded,
            took_us=took,
            session_id=session,
            **rest,
        )
        for number, (user, session, arm, experiment, at, items, degraded, took) in enumerate(drawn)
    ]


def events_of(drawn: list[Any]) -> list[Event]:
    return [
        Event(
            event_id=f"e{number}",
            user_id=user,
            item_id=item,
            action=action,
            timestamp=datetime.fromtimestamp(at / 1000, UTC),
            value=value,
            request_id=f"r{request}" if request >= 0 else None,
        )
        for number, (user, item, action, at, request, value) in enumerate(drawn)
    ]


def counted(rows: list[ServedRow], happened: list[tuple[Event, int]], unit: Unit) -> dict[str, dict[str, Sample]]:
    """The same, said once more in Python; units that were in several arms stand under the empty name."""
    mine: dict[str, list[ServedRow]] = defaultdict(list)
    for row in rows:
        name = row.user_id if unit == "user" else row.session_id
        if row.experiment == "mine" and row.arm and name and SINCE <= row.at < UNTIL:
            mine[name].append(row)
    values: dict[str, list[dict[str, float]]] = defaultdict(list)
    for name, answered in mine.items():
        exposed = min(row.at for row in answered)
        arms = {row.arm for row in answered}
        attributed = [
            (event, row)
            for event, at in happened
            for row in answered
            if event.request_id == row.request_id and event.item_id in row.item_ids and SINCE - 3_600_000 <= at < UNTIL
        ]
        if unit == "user":
            own = [(event, at) for event, at in happened if event.user_id == name]
            after = [event for event, at in own if exposed <= at < UNTIL]
            before = [event for event, at in own if exposed - BEFORE_MS <= at < exposed]
        else:
            after, before = [event for event, _ in attributed], []
        clicked = {(row.request_id, event.item_id) for event, row in attributed if event.action == "click"}
        seen = {(row.request_id, event.item_id) for event, row in attributed if event.action == "impression"}
        found: dict[str, float] = {
            "one": 1,
            "requests": len(answered),
            "empty": sum(not row.item_ids for row in answered),
            "degraded": sum(row.degraded for row in answered),
            "took_ms": sum(row.took_us for row in answered) / 1000,
            "seen": len(seen),
            "clicked": len(clicked),
            "requests_clicked": len({request for request, _ in clicked}),
        }
        for suffix, some in (("", after), ("_before", before)):
            goals = [event for event in some if event.action in GOAL and reached(event)]
            found |= {
                f"clicks{suffix}": sum(event.action == "click" for event in some),
                f"conversions{suffix}": len(goals),
                f"worth{suffix}": sum(event.value or 0 for event in goals),
            }
            for action in ("dislike", "view"):
                found[f"{action}{suffix}"] = sum(event.action == action for event in some)
        found["converted"] = float(found["conversions"] > 0)
        values[arms.pop() if len(arms) == 1 else ""].append(found)
    return {arm: {metric.name: sample_of(metric, units) for metric in METRICS_TOLD} for arm, units in values.items()}


def reached(event: Event) -> bool:
    return event.value is None or event.value >= GOAL[event.action]


def sample_of(metric: Any, units: list[dict[str, float]]) -> Sample:
    def column(name: str | None) -> list[float]:
        named = name.replace("acted", metric.action) if name and metric.action else name
        return [unit[named] if named else 0.0 for unit in units]

    return Sample.of(column(metric.value), column(metric.base), column(metric.before))


@hypothesis_settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(drawn=answers, did=events, replayed=st.sets(st.integers(0, 39)))
def test_every_sum_equals_a_count_over_the_raw_rows(
    stores: Stores, drawn: list[Any], did: list[Any], replayed: set[int]
) -> None:
    scope = Scope(f"tenant-{uuid.uuid4().hex[:12]}", "shop")
    rows, happened = rows_of(scope, drawn), events_of(did)
    stores.served.insert(rows)
    stores.served.insert([rows[number] for number in replayed if number < len(rows)])
    stores.events.insert([(scope, event) for event in happened])
    stores.events.insert([(scope, happened[number]) for number in replayed if number < len(happened)])
    timed = list(zip(happened, [at for _, _, _, at, _, _ in did], strict=True))
    for unit in ("user", "session"):
        found = stores.exposures.of_experiment(scope, "mine", unit, SINCE, UNTIL, METRICS_TOLD, GOAL)
        expected = counted(rows, timed, unit)
        crossed = expected.pop("", None)
        assert found.crossed == (crossed["ctr"].units if crossed else 0)
        assert found.arms.keys() == expected.keys()
        for arm, samples in expected.items():
            assert found.arms[arm].units == samples["ctr"].units
            for name, sample in samples.items():
                got = found.arms[arm].samples[name]
                for field, value in vars(sample).items():
                    assert getattr(got, field) == pytest.approx(value, abs=1e-9), (arm, name, field)


def test_of_everybody_is_an_experiment_with_one_arm(stores: Stores) -> None:
    scope = Scope(f"tenant-{uuid.uuid4().hex[:12]}", "shop")
    drawn = [("u1", "", arm, "mine", SINCE + at, ITEMS, False, 1_000) for at, arm in enumerate(("control", "", "new"))]
    drawn.append(("u2", "", "", "mine", SINCE, [], False, 3_000))
    stores.served.insert(rows_of(scope, drawn))
    found = stores.exposures.of_everybody(scope, "user", SINCE, UNTIL, [METRICS["latency_ms"]], GOAL)
    assert (found.units, found.samples["latency_ms"].metric) == (2, 1.5)
    nobody = stores.exposures.of_everybody(scope, "session", SINCE, UNTIL, [METRICS["ctr"]], GOAL)
    assert (nobody.units, nobody.samples["ctr"].metric) == (0, 0)
