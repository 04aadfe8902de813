"""`lemo stats`: how much data a scenario holds."""

from contextlib import closing

from lemo.commands.output import Format, FormatOption, ScenarioOption, show_one


def stats(scenario: ScenarioOption, format: FormatOption = Format.table) -> None:
    """Count a scenario's items, users, events and dead letters, e.g. `lemo stats --scenario shop`."""
    from lemo.domain.scope import Scope
    from lemo.domain.time import from_milliseconds
    from lemo.settings import Settings
    from lemo.stores.bootstrap import credential
    from lemo.stores.connect import Stores

    settings = Settings()
    with closing(Stores(settings)) as stores:
        scope = Scope(credential(settings, stores.tenants), scenario)
        stores.scenarios.get(scope)  # a name that does not exist is an error, not a row of zeros
        newest = stores.events.newest(scope)
        letters = stores.dead_letters.waiting_of(scope.tenant_id, scenario)
        row = {
            "scenario_id": scenario,
            "items": stores.items.count(scope),
            "users": stores.events.count_users(scope),
            "events": stores.events.count(scope),
            "dead_letters": len(letters),
            "newest_event_at": None if newest is None else from_milliseconds(newest).isoformat(),
        }
    show_one(row, format, f"Scenario {scenario}")
