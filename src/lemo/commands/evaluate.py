"""`lemo evaluate`: how good recommendations would have been on the scenario's own recent past."""

import typer

from lemo.commands.output import Format, FormatOption, ScenarioOption, messages, show, show_json


def evaluate(scenario: ScenarioOption, format: FormatOption = Format.table) -> None:
    """Measure the model against popularity on the last 20 % of the events; nothing is promoted."""
    from lemo.domain.scope import Scope
    from lemo.jobs.training import read_interactions
    from lemo.recommenders.selection import assess
    from lemo.settings import Settings
    from lemo.stores.bootstrap import credential
    from lemo.stores.connect import Stores

    settings = Settings()
    stores = Stores(settings)
    scope = Scope(credential(settings), scenario)
    found = stores.scenarios.get(scope)
    with messages.status(f"Choosing and measuring a model for {scenario}"):
        assessment = assess(read_interactions(stores, scope, found), found.actions)
    if assessment is None:
        messages.print("There are too few events to measure anything: nobody came back for something new.")
        raise typer.Exit(1)
    if format is Format.json:
        show_json(assessment.model_dump(mode="json"))
        return
    rows = [
        {"answers by": name.replace("_", " "), **getattr(assessment, name).model_dump()}
        for name in ("model", "blend", "popularity", "decayed_popularity")
    ]
    show(rows, format, f"{scenario}: full ranking, split by {assessment.protocol}")
