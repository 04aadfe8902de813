"""Answers with what followed from them, and events, as rows of raw tables: what every number is counted from."""
# ruff: noqa: S608 - names of our own tables and expressions of our own are put into queries; values travel as parameters

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from lemo.domain.counting import CountingRules
from lemo.domain.scope import Scope
from lemo.stores.clickhouse.client import WHERE_SCOPE, Parameter
from lemo.stores.clickhouse.traffic_metrics import ATTRIBUTED, DIRECT, sums
from lemo.stores.clickhouse.traffic_outcomes import Kept, TrafficOutcomes
from lemo.stores.clickhouse.traffic_periods import HOUR_MS, Part, Period, bounds, within
from lemo.stores.clickhouse.traffic_rollups import ROLLED_ANSWERS, ROLLED_EVENTS, ROLLED_ITEMS, ROLLED_PLACES

By = Literal[
    "day",
    "hour",
    "placement",
    "position",
    "category",
    "device",
    "source",
    "kind",
    "model",
    "pipeline",
    "arm",
    "item",
    "items",
]
"""What numbers are grouped by. `items` is one row of a day, that has how often each item came, in two arrays."""

_OF_ANSWERS: Mapping[By, str] = {
    "day": "toString(toUnixTimestamp(toStartOfDay(at, {zone:String})))",
    "hour": "toString(toUnixTimestamp(toStartOfHour(at, {zone:String})))",
    "placement": "placement",
    "device": "device",
    "kind": "kind",
    "model": "model_version",
    "pipeline": "ifNull(toString(pipeline_version), '')",
    "arm": "if(experiment = '' OR arm = '', experiment, concat(experiment, '/', arm))",
}
_OF_PLACES: Mapping[By, str] = {"position": "toString(place)", "source": "source", "item": "item_id"}
_OF_EVENTS: Mapping[By, str] = {
    "day": _OF_ANSWERS["day"],
    "hour": _OF_ANSWERS["hour"],
    "device": "device",
    "item": "item_id",
}
KEPT: Mapping[Part, tuple[By, ...]] = {
    "attributed": (*_OF_ANSWERS, *_OF_PLACES, "items"),
    "direct": (*_OF_EVENTS, "items"),
}
"""What the numbers of each part are grouped by."""
_FEW_HOURS = 6
"""Events of a shorter time are found, in any table that is large, sooner than all of its rows are merged."""
_NOT_SLICED = {"slice": "", "by_slice": ""}


class TrafficRows(TrafficOutcomes):
    """Writes the queries over answers and events, each once, whatever was replayed."""

    def _rolled(
        self,
        part: Part,
        scope: Scope,
        periods: Sequence[Period],
        rules: CountingRules,
        by: Sequence[By],
        kept: Kept | None = None,
        of_hours: bool = True,
    ) -> tuple[str, dict[str, Parameter]]:
        """A query of the numbers of periods, and its parameters. There is at least one period, and they are in order.

        Columns: day (a Date, in the rules' zone), by, key; `sums` as in `traffic_metrics`; `users` and `items`, 64 bits
        of the hash of each, once (a million of them are counted one too few at most once in ten million times), and
        `took`, the microseconds of each answer; `distinct`, the numbers of different users and items and the quantiles;
        `item_hashes` and `item_counts`, in the row `items` how often each item was in an answer, or in an event other
        than impressions; first and last, when that was. Of places there are no users and times, of positions and items
        no different items, of hours no users, items and times without `of_hours`. What followed from answers is as it
        was `kept` where that holds.
        """
        parameters = parameters_of(periods, rules)
        if part == "direct":
            return self._rolled_events(scope, periods, by, parameters, of_hours), parameters
        if list(by) == ["items"]:
            # What followed from the answers, which takes the most of the time, is not asked for.
            answers = f"SELECT at, item_ids FROM {self._answers} FINAL WHERE {WHERE_SCOPE} AND {within('at', periods)}"
        else:
            answers = self._answers_with_outcomes(scope, periods, rules, parameters, kept)
        parts = []
        if of_answers := _groups(_OF_ANSWERS, by):
            added = _added(each.sql for each in sums(ATTRIBUTED))
            parts.append(ROLLED_ANSWERS.format(sums=added, groups=of_answers, states=_with_states(of_hours)))
        if of_places := _groups(_OF_PLACES, by):
            parts.append(
                ROLLED_PLACES.format(sums=_added(each.place or "0" for each in sums(ATTRIBUTED)), groups=of_places)
            )
        if "items" in by:
            rows = "(SELECT at, arrayJoin(item_ids) AS item_id FROM rows)"
            parts.append(ROLLED_ITEMS.format(rows=rows, **_NOT_SLICED))
        return f"WITH rows AS ({answers}) {' UNION ALL '.join(parts)}", parameters

    def _rolled_events(
        self,
        scope: Scope,
        periods: Sequence[Period],
        by: Sequence[By],
        parameters: dict[str, Parameter],
        of_hours: bool = True,
        sliced: bool = False,
    ) -> str:
        """The numbers of events of periods; where they are `sliced`, of each hour (UTC), the `slice`."""
        parameters |= {"from": periods[0].since_ms, "to": periods[-1].until_ms}
        # Where hours are read, they are few of all.
        few = "1" if periods[-1].until_ms - periods[0].since_ms <= _FEW_HOURS * HOUR_MS else ""
        events = f"SELECT * FROM ({self._once(scope, parameters, relevant=few)}) WHERE {within('at', periods)}"
        slices = {"slice": "toStartOfHour(at) AS slice, ", "by_slice": "slice, "} if sliced else _NOT_SLICED
        parts = []
        if groups := _groups(_OF_EVENTS, by):
            added, states = _added(each.sql for each in sums(DIRECT)), _with_states(of_hours)
            parts.append(ROLLED_EVENTS.format(sums=added, groups=groups, events=events, states=states, **slices))
        if "items" in by:
            parts.append(ROLLED_ITEMS.format(rows=f"({events}) WHERE act != 'impression'", **slices))
        return " UNION ALL ".join(parts)


def parameters_of(periods: Sequence[Period], rules: CountingRules) -> dict[str, Parameter]:
    """The parameters of periods and of rules, which each query over raw rows takes."""
    return {
        "zone": rules.zone,
        "goals": list(rules.goal),
        "least": [0.0, *rules.goal.values()],  # element 1 is for actions that are no goal
        "window": rules.window_hours * HOUR_MS,
        **bounds(periods),
    }


def _with_states(of_hours: bool) -> str:
    """Whether a row has users, items and times."""
    return "1" if of_hours else "by != 'hour'"


def _added(expressions: Iterable[str]) -> str:
    return ", ".join(f"toFloat64(sum({each}))" for each in expressions)


def _groups(known: Mapping[By, str], by: Sequence[By]) -> str:
    return ", ".join(f"('{name}', toString({known[name]}))" for name in by if name in known)
