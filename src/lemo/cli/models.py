"""`lemo models`: the registry of trained models, and which one serves."""

from typing import TYPE_CHECKING, Annotated

import typer

from lemo.cli.output import Format, FormatOption, ScenarioOption, messages, show, show_one
from lemo.cli.session import open_scenario

if TYPE_CHECKING:
    from lemo.domain.scope import Scope
    from lemo.stores.documents.model_changes import ModelChange

app = typer.Typer(no_args_is_help=True, help="Trained models of a scenario, and which one serves.")

VersionArgument = Annotated[str, typer.Argument(help="Version of a model, as in `lemo models list`.")]


@app.command("list")
def list_models(
    scenario: ScenarioOption,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    format: FormatOption = Format.table,
) -> None:
    """List the models of a scenario, newest first; the champion serves.

    The JSON form tells more: parameters, data window, and each metric with its interval and by segment.
    """
    from lemo.models.registry import registered

    stores, scope = open_scenario(scenario)
    rows = []
    for model in registered(stores, scope, limit):
        state = "champion" if model.champion else "rollback goes here" if model.rollback else ""
        rows.append(model.model_dump(mode="json") | {"state": state if model.kept else "snapshot dropped"})
    columns = ("version", "state", "ndcg_at_10", "popularity_ndcg_at_10", "events", "seconds", "why")
    if format is Format.json:
        show([{name: value for name, value in row.items() if name != "state"} for row in rows], format)
        return
    show(rows, format, f"Models of {scenario}", columns)


@app.command("show")
def show_model(version: VersionArgument, scenario: ScenarioOption, format: FormatOption = Format.table) -> None:
    """Show one model: parameters, data window, and how good it was, beside what was possible on the same test."""
    from lemo.cli.evaluate import words
    from lemo.models.registry import registered_model

    stores, scope = open_scenario(scenario)
    model = registered_model(stores, scope, version)
    row = model.model_dump(mode="json")
    if format is Format.table:
        row["ndcg_interval"] = model.ndcg_interval and "{:.4f}–{:.4f}".format(*model.ndcg_interval)
        row["sources_alone"] = ", ".join(f"{name} {value:.4f}" for name, value in model.sources_alone.items())
        row["regret"] = None if model.regret is None else f"{100 * model.regret:.1f} %"
        row["cold_start"] = ", ".join(
            f"{name.replace('_', ' ')} {words(each)}" for name, each in model.cold_start.items()
        )
    show_one(row, format, "Model")


@app.command()
def promote(version: VersionArgument, scenario: ScenarioOption, format: FormatOption = Format.table) -> None:
    """Put a model in service, whatever the tests say; the API takes it up within two seconds."""
    from lemo.models.promotion import promote

    stores, scope = open_scenario(scenario)
    change = promote(stores, scope, version, _by(scope))
    if change is None:
        messages.print("Nothing to change: it serves already.")
        return
    _tell(change, format)


@app.command()
def rollback(scenario: ScenarioOption, format: FormatOption = Format.table) -> None:
    """Put back the model that served before; again, the one before that.

    Training then promotes nothing that is no better than what was rolled back.
    """
    from lemo.models.promotion import rollback

    stores, scope = open_scenario(scenario)
    _tell(rollback(stores, scope, _by(scope)), format)


@app.command()
def history(
    scenario: ScenarioOption,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    format: FormatOption = Format.table,
) -> None:
    """Show which model served when, who put it there, and why."""
    stores, scope = open_scenario(scenario)
    changes = [change.model_dump() for change in stores.model_changes.history(scope, limit)]
    columns = ("changed_at", "action", "version", "previous", "changed_by", "why")
    show(changes, format, f"What served {scenario} (UTC)", columns)


def _tell(change: "ModelChange", format: Format) -> None:
    show_one(change.model_dump(), format, "In service")


def _by(scope: "Scope") -> str:
    from lemo.cli.operator import operator

    return operator(scope.tenant_id)
