"""Queries of events by user: who acted, when, on what."""
# ruff: noqa: S608 - only our own table name is put into the text of queries; values travel as bound parameters

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import orjson

from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.domain.event import Event
from lemo.domain.scenario import ActionRule
from lemo.domain.scope import Scope
from lemo.domain.time import from_milliseconds
from lemo.stores.clickhouse.client import WHERE_SCOPE as _WHERE
from lemo.stores.clickhouse.client import ClickHouse, Parameter

if TYPE_CHECKING:
    import pyarrow


class UserEvents(ClickHouse):
    """What of the events concerns users. Every call raises EngineUnavailable when the engine does not answer."""

    def __init__(self, url: str, database: str, deadlines: Deadlines = FOR_JOBS) -> None:
        super().__init__(url, database, deadlines)
        self._table = f"{self._database}.events"

    def count_users(self, scope: Scope) -> int:
        """How many users have an event."""
        return int(self._one(f"SELECT uniqExact(user_id) FROM {self._table} FINAL WHERE {_WHERE}", scope))

    def active_users(self, scope: Scope, limit: int | None = None, since_ms: int = 0) -> list[str]:
        """Users with an event at or after `since_ms` (Unix ms), those with the most since then first."""
        rows = self._query(
            f"SELECT user_id FROM {self._table} FINAL "
            f"WHERE {_WHERE} AND timestamp >= fromUnixTimestamp64Milli({{since:Int64}}) "
            "GROUP BY user_id ORDER BY count() DESC, user_id LIMIT {limit:UInt64}",
            scope,
            since=since_ms,
            limit=2**62 if limit is None else limit,
        )
        return [user_id for (user_id,) in rows]

    def known_users(self, scope: Scope, user_ids: Sequence[str]) -> set[str]:
        """Those of some users who have an event."""
        rows = self._query(
            f"SELECT DISTINCT user_id FROM {self._table} WHERE {_WHERE} AND user_id IN {{users:Array(String)}}",
            scope,
            users=list(user_ids),
        )
        return {user_id for (user_id,) in rows}

    def users_of_items(self, scope: Scope, item_ids: Sequence[str], limit: int) -> list[str]:
        """Up to `limit` users with an event of one of the items, those with the most of the items first."""
        rows = self._query(
            f"SELECT user_id FROM {self._table} WHERE {_WHERE} AND item_id IN {{items:Array(String)}} "
            "GROUP BY user_id ORDER BY uniqExact(item_id) DESC, max(timestamp) DESC, user_id LIMIT {limit:UInt32}",
            scope,
            items=list(item_ids),
            limit=limit,
        )
        return [user_id for (user_id,) in rows]

    def recent_users(self, scope: Scope, containing: str = "", limit: int = 50) -> list[str]:
        """Up to `limit` users, those with the newest events first, whose id contains the text in any case."""
        rows = self._query(
            f"SELECT user_id FROM {self._table} WHERE {_WHERE} "
            "AND positionCaseInsensitiveUTF8(user_id, {containing:String}) > 0 "
            "GROUP BY user_id ORDER BY max(timestamp) DESC, user_id LIMIT {limit:UInt32}",
            scope,
            containing=containing,
            limit=limit,
        )
        return [user_id for (user_id,) in rows]

    def history(self, scope: Scope, user_id: str, limit: int) -> list[Event]:
        """The user's `limit` newest events, newest first."""
        rows = self._query(
            f"""
            SELECT event_id, user_id, item_id, action, toUnixTimestamp64Milli(events.timestamp), value, request_id,
                   position, device, attributes
            FROM {self._table} AS events FINAL
            WHERE {_WHERE} AND user_id = {{user:String}}
            ORDER BY events.timestamp DESC, event_id DESC
            LIMIT {{limit:UInt32}}
            """,
            scope,
            user=user_id,
            limit=limit,
        )
        return [
            Event.model_construct(
                event_id=event_id,
                user_id=user_id,
                item_id=item_id,
                action=action,
                timestamp=from_milliseconds(moment),
                value=value,
                request_id=request_id,
                position=position,
                device=device,
                attributes=orjson.loads(attributes) if attributes else {},
            )
            for event_id, user_id, item_id, action, moment, value, request_id, position, device, attributes in rows
        ]

    def histories(self, scope: Scope, since_ms: int, limit_per_user: int, actions: Sequence[str]) -> "pyarrow.Table":
        """The recent histories, of these actions, of all users with an event at or after `since_ms` (Unix ms).

        Columns: user_id, item_id, action, value (float64, nullable), timestamp (int64, Unix ms); for each user, in
        order, the newest `limit_per_user` different (action, value, item), newest first: what Redis remembers too.
        """
        return self._table_of(
            f"""
            SELECT user_id, item_id, toString(action) AS action, value,
                   toUnixTimestamp64Milli(max(events.timestamp)) AS timestamp
            FROM {self._table} AS events FINAL
            WHERE {_WHERE} AND action IN {{actions:Array(String)}} AND user_id IN (
                SELECT user_id FROM {self._table}
                WHERE {_WHERE} AND timestamp >= fromUnixTimestamp64Milli({{since:Int64}})
            )
            GROUP BY user_id, action, value, item_id
            ORDER BY user_id, timestamp DESC, action DESC, value DESC, item_id DESC
            LIMIT {{limit:UInt32}} BY user_id
            """,
            scope,
            since=since_ms,
            limit=limit_per_user,
            actions=list(actions),
        )

    def filtered_counts(self, scope: Scope, rules: Mapping[str, ActionRule]) -> dict[str, int]:
        """The number of `filtered_items` of each user with an event that may filter one."""
        pairs, parameters = self._filtered_pairs(rules, "")
        table = self._table_of(
            f"SELECT user_id, countIf(is_filtered) AS items FROM ({pairs}) GROUP BY user_id", scope, **parameters
        )
        return dict(zip(table["user_id"].to_pylist(), table["items"].to_pylist(), strict=True))

    def filtered_items(
        self, scope: Scope, rules: Mapping[str, ActionRule], users: Sequence[str]
    ) -> dict[str, set[str]]:
        """The items that these users are never recommended: `domain.interaction.filtered_items` of all their events."""
        pairs, parameters = self._filtered_pairs(rules, "AND user_id IN {users:Array(String)}")
        table = self._table_of(
            f"SELECT user_id, item_id FROM ({pairs}) WHERE is_filtered", scope, users=list(users), **parameters
        )
        found: dict[str, set[str]] = {}
        for user_id, item_id in zip(table["user_id"].to_pylist(), table["item_id"].to_pylist(), strict=True):
            found.setdefault(user_id, set()).add(item_id)
        return found

    def _filtered_pairs(self, rules: Mapping[str, ActionRule], where: str) -> tuple[str, dict[str, Parameter]]:
        """The query of pairs of user and item, with whether they are filtered, and its parameters.

        It follows `domain.interaction.filtered_items`; tests compare the two.
        """
        seen = [action for action, rule in rules.items() if rule.seen]
        # An action that counts as seen filters its item whatever its opinion.
        open_rules = {action: rule for action, rule in rules.items() if not rule.seen and rule.weights}
        if all(min(rule.weights) > 0 for rule in open_rules.values()):
            open_rules = {}
        numbers = [rule.weighing for rule in open_rules.values()]
        # Element 1 is for actions without an opinion.
        weighed = """multiIf(isNull(value), {without:Array(Float64)}[place], value >= {liked:Array(Float64)}[place],
                             {weights:Array(Float64)}[place], value <= {disliked:Array(Float64)}[place],
                             -{weights:Array(Float64)}[place], 0)"""
        query = f"""
            SELECT user_id, item_id,
                   max(is_seen) OR argMaxIf(weight < 0, (moment, weight < 0), weight != 0) AS is_filtered
            FROM (
                SELECT user_id, item_id, events.timestamp AS moment, value,
                       action IN {{seen:Array(String)}} AS is_seen,
                       indexOf({{opinions:Array(String)}}, toString(action)) + 1 AS place,
                       {weighed} AS weight
                FROM {self._table} AS events FINAL
                WHERE {_WHERE} {where} AND (action IN {{seen:Array(String)}} OR action IN {{opinions:Array(String)}})
            )
            GROUP BY user_id, item_id
        """
        return query, {
            "seen": seen,
            "opinions": list(open_rules),
            "weights": [0.0, *(each.weight for each in numbers)],
            "liked": [0.0, *(each.liked_from for each in numbers)],
            "disliked": [0.0, *(each.disliked_to for each in numbers)],
            "without": [0.0, *(each.without_value for each in numbers)],
        }
