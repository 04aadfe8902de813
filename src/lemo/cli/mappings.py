"""`lemo mappings`: how files of one origin are read, kept by name in a scenario."""

from contextlib import closing
from typing import Annotated, Any

import typer

from lemo.cli.output import Format, FormatOption, ScenarioOption, messages, show, show_one

app = typer.Typer(no_args_is_help=True, help="Named mappings, which `lemo import --mapping NAME` keeps and uses.")

NameArgument = Annotated[str, typer.Argument(help="Name of the mapping.", show_default=False)]


@app.command("list")
def list_mappings(scenario: ScenarioOption, format: FormatOption = Format.table) -> None:
    """List a scenario's mappings, e.g. `lemo mappings list --scenario shop`."""
    from lemo.cli.session import known_scenario

    mappings = known_scenario(scenario)[2].mappings
    if not mappings and format is Format.table:
        messages.print("There is none yet: `lemo import events FILE --map ... --mapping NAME` keeps one.")
        return
    rows: list[dict[str, Any]] = [{"mapping": name, **mapping.model_dump()} for name, mapping in mappings.items()]
    if format is Format.table:
        rows = [{"mapping": row["mapping"], "kind": row["kind"], "fields": _pairs(row["fields"])} for row in rows]
    show(rows, format, "Mappings")


@app.command("show")
def show_mapping(name: NameArgument, scenario: ScenarioOption, format: FormatOption = Format.table) -> None:
    """Show what a mapping says, e.g. `lemo mappings show orders --scenario shop`."""
    from lemo.cli.session import known_scenario

    _, _, found = known_scenario(scenario)
    _require(name, list(found.mappings))
    body = found.mappings[name].model_dump()
    if format is Format.table:
        told = {key: _pairs(value) if isinstance(value, dict) else value for key, value in body.items()}
        body = {key: value for key, value in told.items() if value not in ("", None, [], False)}
    show_one(body, format, f"Mapping {name}")


@app.command()
def remove(name: NameArgument, scenario: ScenarioOption) -> None:
    """Remove a mapping, e.g. `lemo mappings remove orders --scenario shop`. What was imported by it stays."""
    from lemo.cli.operator import operator
    from lemo.cli.session import open_scenario
    from lemo.scheduling.scenario_changes import change_scenario

    stores, scope = open_scenario(scenario)
    with closing(stores):
        _require(name, list(stores.scenarios.get(scope).mappings))
        change_scenario(stores, scope, {"mappings": {name: None}}, operator(scope.tenant_id))
    messages.print(f"Removed the mapping {name}.", markup=False)


def _pairs(values: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _require(name: str, names: list[str]) -> None:
    from lemo.domain.errors import NotFound
    from lemo.domain.reasons import did_you_mean

    if name not in names:
        known = f"There are {', '.join(names)}." if names else "The scenario has none."
        raise NotFound(f"There is no mapping {name[:80]!r}.", f"{did_you_mean(name, names)}{known}")
