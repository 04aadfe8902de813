"""`lemo scenarios`: places where items are recommended."""

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lemo.cli.assignments import assigned
from lemo.cli.import_preview import YesOption
from lemo.cli.output import Format, FormatOption, messages, show, show_one
from lemo.domain.scenario import RULE_FIELDS, Template

if TYPE_CHECKING:
    from lemo.domain.scenario import Scenario
    from lemo.domain.scope import Scope
    from lemo.stores.connect import Stores

app = typer.Typer(no_args_is_help=True, help="Places where items are recommended, each with its rules.")

NameArgument = Annotated[str, typer.Argument(help="Name of the scenario.", show_default=False)]
COLUMNS = ("scenario_id", "template", "actions", "active_days", "created_at")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, '-' and '_'; at most 63.")],
    more: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="More files of --from.")] = None,
    template: Annotated[
        Template | None, typer.Option(help="Brings the actions that count, and their weights.", show_default=False)
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="FILE", help="Files of items and events: the rules that fit them."),
    ] = None,
    yes: YesOption = False,
    format: FormatOption = Format.table,
) -> None:
    """Create a scenario, e.g. `lemo scenarios create shop --template ecommerce`.

    `lemo scenarios create shop --from items.csv events.csv` proposes template, actions with weights, and types of
    attributes from files, in the forms that `lemo import` reads; it asks on a terminal before it creates the scenario.
    """
    from lemo.cli.operator import operator
    from lemo.domain.scope import Scope
    from lemo.settings import Settings
    from lemo.stores.bootstrap import credential
    from lemo.stores.connect import Stores

    settings = Settings()
    scenario = _new(name, template, [*(files or ()), *(more or ())], ask=format is Format.table and not yes)
    with closing(Stores(settings, interactive=True)) as stores:
        scope = Scope(credential(settings, stores.api_keys), name)
        by = operator(scope.tenant_id)
        with stores.audit.noting(scope, by, "scenario.create", name, template=scenario.template):
            stores.scenarios.create(scope.tenant_id, scenario)
    show_one(_row(scenario) if format is Format.table else scenario.model_dump(mode="json"), format, "Created")
    if format is Format.table:
        messages.print(
            f"Next: lemo import items FILE --scenario {name}, then lemo import events FILE --scenario {name}"
        )


def _new(name: str, template: Template | None, files: Sequence[Path], ask: bool) -> "Scenario":
    """The scenario of a template or of files; asks on a terminal whether what is proposed will do."""
    from lemo.domain.scenario import scenario_from_template
    from lemo.files.proposal import proposed

    if not files:
        if template is None:
            raise typer.BadParameter("Give --template NAME, or --from FILE for what fits your files.")
        return scenario_from_template(name, template)
    proposal = proposed(name, files, template)
    types = [f"{attribute} is a {kind}" for attribute, kind in proposal.scenario.attribute_types.items()]
    for note in [*proposal.notes, *([f"Attributes: {', '.join(types)}."] if types else [])]:
        messages.print(note, markup=False, soft_wrap=True)
    if ask and sys.stdin.isatty() and messages.is_terminal:
        typer.confirm("Create it so?", default=True, abort=True, err=True)
    return proposal.scenario


@app.command("list")
def list_scenarios(format: FormatOption = Format.table) -> None:
    """List the scenarios with the actions that each knows and what they weigh."""
    from lemo.settings import Settings
    from lemo.stores.bootstrap import credential
    from lemo.stores.connect import Stores

    settings = Settings()
    with closing(Stores(settings, interactive=True)) as stores:
        scenarios = stores.scenarios.list(credential(settings, stores.api_keys))
    if format is Format.json:
        show([scenario.model_dump(mode="json") for scenario in scenarios], format)
    elif scenarios:
        show([_row(scenario) for scenario in scenarios], format, "Scenarios", COLUMNS)
    else:
        messages.print("There is no scenario yet: lemo scenarios create NAME --template ecommerce")


@app.command("show")
def show_scenario(name: NameArgument, format: FormatOption = Format.table) -> None:
    """Show a scenario's rules: what each action weighs, and by which value, e.g. `lemo scenarios show shop`."""
    stores, scope = _open(name)
    with closing(stores):
        _show(stores.scenarios.get(scope), format)


@app.command()
def edit(
    name: NameArgument,
    set: Annotated[
        list[str],
        typer.Option(help="FIELD=VALUE, the value as JSON or text; null removes. May be given several times."),
    ],
    format: FormatOption = Format.table,
) -> None:
    """Change a scenario's rules, e.g. `lemo scenarios edit shop --set actions.rate.min_value=4`.

    Fields: `active_days`, `catalogue`, `new_days`, `exploration`, `sources` (names with commas between them, such as
    item-knn,popularity; `lemo sources list` shows them), `timezone` and `attribution_hours` (of statistics),
    `attribute_types.NAME` (number, text, boolean, list or timestamp, for filters), and `actions.NAME.` with `weight`,
    `min_value`, `dislike_value`, `scale` ([1, 5], auto or null) and `seen`. A new NAME becomes a new action,
    `actions.NAME=null` removes one.
    """
    from lemo.cli.operator import operator
    from lemo.scheduling.scenario_changes import change_scenario

    changes = _changes(set)
    stores, scope = _open(name)
    with closing(stores):
        scenario, effects = change_scenario(stores, scope, changes, operator(scope.tenant_id))
    _show(scenario, format)
    for effect in effects:
        messages.print(effect, markup=False)


@app.command()
def delete(
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for the name.")] = False,
    format: FormatOption = Format.table,
) -> None:
    """Delete a scenario and all its data from every store, e.g. `lemo scenarios delete shop`. It cannot be undone.

    On a terminal it asks for the name, elsewhere it takes `--yes`. Repeated after an error, it goes on.
    """
    from lemo.cli.operator import operator
    from lemo.cli.session import check_engines
    from lemo.domain.errors import InvalidInput
    from lemo.domain.scope import Scope, checked_name
    from lemo.scheduling.scenario_deletion import delete_scenario
    from lemo.settings import Settings
    from lemo.stores.bootstrap import credential
    from lemo.stores.connect import Stores

    settings = Settings()
    scope = Scope(credential(settings, role="admin"), checked_name("scenario", name))
    if not yes and (not sys.stdin.isatty() or typer.prompt(f"All data of {name} will be deleted. Its name") != name):
        raise InvalidInput(f"Nothing was deleted: the name {name} was not confirmed.", "Repeat it, or give --yes.")
    check_engines(settings, "redis", "events")
    with closing(Stores(settings)) as stores:
        removed = delete_scenario(stores, scope, operator(scope.tenant_id))
    show_one(removed, format, f"Removed with {name}")


@app.command()
def attributes(name: NameArgument, format: FormatOption = Format.table) -> None:
    """List what filters may name, with types, and values that do not fit, e.g. `lemo scenarios attributes shop`."""
    from lemo.serving.catalogue.columns import columns_of
    from lemo.serving.catalogue.schema import overview

    stores, scope = _open(name)
    with closing(stores):
        types = stores.scenarios.get(scope).attribute_types
        columns = columns_of(stores.items.scan(scope), fixed=types)
    rows = [each.model_dump() for each in overview(columns.schema)]
    show(rows, format, "Attributes", ("name", "type", "values", "unfit", "examples"))


def _steps(path: str) -> list[str]:
    """The steps of a field's path. An action's name may hold dots: the field of a rule comes last."""
    steps = path.split(".")
    if steps[0] == "actions" and len(steps) > 2:
        field = [steps[-1]] if steps[-1] in RULE_FIELDS else []
        steps = ["actions", ".".join(steps[1 : len(steps) - len(field)]), *field]
    return steps


def _changes(settings: Sequence[str]) -> dict[str, Any]:
    """The assignments as one object of changes; raises InvalidInput for one that is none."""
    changes = assigned(settings, "actions.rate.min_value=4", _steps)
    if isinstance(changes.get("sources"), str):
        changes["sources"] = [name.strip() for name in changes["sources"].split(",")]
    return changes


def _open(name: str) -> "tuple[Stores, Scope]":
    from lemo.domain.scope import Scope
    from lemo.settings import Settings
    from lemo.stores.bootstrap import credential
    from lemo.stores.connect import Stores

    settings = Settings()
    stores = Stores(settings, interactive=True)
    return stores, Scope(credential(settings, stores.api_keys), name)


def _show(scenario: "Scenario", format: Format) -> None:
    if format is Format.json:
        show_one(scenario.model_dump(mode="json"), format)
        return
    show_one({name: value for name, value in _row(scenario).items() if name != "actions"}, format, "Scenario")
    show([{"action": name, **rule.model_dump()} for name, rule in scenario.actions.items()], format, "Actions")


def _row(scenario: "Scenario") -> dict[str, Any]:
    actions = (f"{name} {rule.weight:g}" for name, rule in scenario.actions.items())
    return {
        "scenario_id": scenario.scenario_id,
        "template": scenario.template,
        "actions": ", ".join(actions),
        "active_days": scenario.active_days,
        "sources": ", ".join(scenario.sources),
        "created_at": f"{scenario.created_at:%Y-%m-%d %H:%M}",
    }
