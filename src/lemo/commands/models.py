"""`lemo models`: the registry of trained models."""

import typer

from lemo.commands.output import Format, FormatOption, ScenarioOption, show

app = typer.Typer(no_args_is_help=True, help="Trained models of a scenario, and which one serves.")


@app.callback()
def models() -> None:
    """Trained models of a scenario, and which one serves."""


@app.command("list")
def list_models(scenario: ScenarioOption, format: FormatOption = Format.table) -> None:
    """List the models of a scenario, newest first; the champion serves."""
    from lemo.domain.scope import Scope
    from lemo.settings import Settings
    from lemo.stores.bootstrap import credential
    from lemo.stores.connect import Stores
    from lemo.stores.models import KIND

    settings = Settings()
    stores = Stores(settings)
    scope = Scope(credential(settings), scenario)
    stores.scenarios.get(scope)
    champion = stores.snapshots.current(scope, KIND)
    rows = []
    for record in stores.models.list(scope):
        measured = {
            "champion": record.version == champion,
            "ndcg_at_10": record.metrics.get("model", {}).get("ndcg_at_10"),
            "popularity_ndcg_at_10": record.metrics.get("popularity", {}).get("ndcg_at_10"),
        }
        rows.append(record.model_dump(mode="json") | measured)
    columns = ("version", "champion", "ndcg_at_10", "popularity_ndcg_at_10", "events", "seconds", "promoted")
    show(rows, format, f"Models of {scenario}", columns)
