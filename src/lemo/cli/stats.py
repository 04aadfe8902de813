"""`lemo stats`: how much data a scenario holds."""

from contextlib import closing
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from lemo.cli.output import Format, FormatOption, Row, ScenarioOption, show, show_one

if TYPE_CHECKING:
    from lemo.domain.scope import Scope
    from lemo.stores.connect import Stores


class By(StrEnum):
    """What events are counted by."""

    hour = "hour"
    day = "day"


def stats(
    scenario: ScenarioOption,
    by: Annotated[By | None, typer.Option(help="Count events, users and items by hour or day (UTC) instead.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="With --by: how many, newest first.")] = 24,
    format: FormatOption = Format.table,
) -> None:
    """Count a scenario's items, users, events and dead letters, e.g. `lemo stats --scenario shop`.

    `lemo stats --scenario shop --by day` counts what happened on each day, exactly.
    """
    from lemo.domain.scope import Scope
    from lemo.settings import Settings
    from lemo.stores.bootstrap import credential
    from lemo.stores.connect import Stores

    settings = Settings()
    with closing(Stores(settings, interactive=True)) as stores:
        scope = Scope(credential(settings, stores.api_keys), scenario)
        stores.scenarios.get(scope)  # a name that does not exist is an error, not a row of zeros
        if by is None:
            show_one(_totals(stores, scope), format, f"Scenario {scenario}")
            return
        periods = stores.aggregates.counts(scope, by.value, limit)
    rows: list[Row] = [
        {
            "start": period.start.isoformat(),
            "events": period.events,
            "users": period.users,
            "items": period.items,
            "actions": period.actions,
        }
        for period in periods
    ]
    if format is Format.table:
        for row in rows:
            row["actions"] = [f"{action} {count:,}" for action, count in row["actions"].items()]
    show(rows, format, f"Scenario {scenario} by {by} (UTC)", ("start", "events", "users", "items", "actions"))


def _totals(stores: "Stores", scope: "Scope") -> Row:
    from lemo.domain.time import from_milliseconds

    newest = stores.events.newest(scope)
    return {
        "scenario_id": scope.scenario_id,
        "items": stores.items.count(scope),
        "unknown_items": stores.availability.unknown(scope),
        "users": stores.events.count_users(scope),
        "events": stores.events.count(scope),
        "dead_letters": len(stores.dead_letters.waiting_of(scope.tenant_id, scope.scenario_id)),
        "newest_event_at": None if newest is None else from_milliseconds(newest).isoformat(),
    }
