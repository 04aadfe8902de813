"""`lemo scenarios`: places where items are recommended."""

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lemo.commands.output import Format, FormatOption, messages, show, show_one
from lemo.domain.scenario import Template

if TYPE_CHECKING:
    from lemo.domain.scenario import Scenario

app = typer.Typer(no_args_is_help=True, help="Places where items are recommended, each with its rules.")

COLUMNS = ("scenario_id", "template", "actions", "active_days", "created_at")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, '-' and '_'; at most 63.")],
    template: Annotated[Template, typer.Option(help="Brings the actions that count, and their weights.")],
    format: FormatOption = Format.table,
) -> None:
    """Create a scenario, e.g. `lemo scenarios create shop --template ecommerce`."""
    from lemo.domain.scenario import scenario_from_template
    from lemo.settings import Settings
    from lemo.stores.bootstrap import credential
    from lemo.stores.connect import Stores

    settings = Settings()
    scenario = scenario_from_template(name, template)
    with closing(Stores(settings)) as stores:
        stores.scenarios.create(credential(settings, stores.tenants), scenario)
    show_one(_row(scenario) if format is Format.table else scenario.model_dump(mode="json"), format, "Created")
    if format is Format.table:
        messages.print(
            f"Next: lemo import items FILE --scenario {name}, then lemo import events FILE --scenario {name}"
        )


@app.command("list")
def list_scenarios(format: FormatOption = Format.table) -> None:
    """List the scenarios with the actions that each knows and what they weigh."""
    from lemo.settings import Settings
    from lemo.stores.bootstrap import credential
    from lemo.stores.connect import Stores

    settings = Settings()
    with closing(Stores(settings)) as stores:
        scenarios = stores.scenarios.list(credential(settings, stores.tenants))
    if format is Format.json:
        show([scenario.model_dump(mode="json") for scenario in scenarios], format)
    elif scenarios:
        show([_row(scenario) for scenario in scenarios], format, "Scenarios", COLUMNS)
    else:
        messages.print("There is no scenario yet: lemo scenarios create NAME --template ecommerce")


def _row(scenario: "Scenario") -> dict[str, Any]:
    actions = (f"{name} {rule.weight:g}" for name, rule in scenario.actions.items())
    return {
        "scenario_id": scenario.scenario_id,
        "template": scenario.template,
        "actions": ", ".join(actions),
        "active_days": scenario.active_days,
        "created_at": f"{scenario.created_at:%Y-%m-%d %H:%M}",
    }
