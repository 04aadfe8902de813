"""`lemo export`: items and events into files that `lemo import` reads back, and what Lemo made of them."""

from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lemo.cli.export_to import export_to
from lemo.cli.output import ScenarioOption, messages

if TYPE_CHECKING:
    import pyarrow as pa

app = typer.Typer(no_args_is_help=True, help="Write what a scenario holds into files: CSV, JSONL or Parquet.")
app.callback(invoke_without_command=True)(export_to)

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="A name with .csv, .jsonl or .parquet.", show_default=False)
]


@app.command()
def items(file: FileArgument, scenario: ScenarioOption) -> None:
    """Write the catalogue, e.g. `lemo export items items.csv --scenario shop`.

    The columns are those of `lemo import items`; deleted items and the versions (updated_at) are left out, so that what
    is corrected in the file can be imported again. JSONL and Parquet keep the types of attributes, CSV has texts.
    """
    from lemo.cli.session import open_scenario
    from lemo.files.exported import ItemColumns, item_object
    from lemo.files.form import Form
    from lemo.files.writing import checked_form_to_write, write_rows

    form = checked_form_to_write(file)
    stores, scope = open_scenario(scenario)
    with closing(stores):
        columns = ItemColumns(() if form is Form.jsonl else stores.items.scan(scope))
        row = item_object if form is Form.jsonl else columns.row
        count = write_rows(file, columns.schema, (row(item) for item in stores.items.scan(scope) if not item.deleted))
    messages.print(f"Wrote {count:,} items to {file}.", highlight=False, markup=False)


@app.command()
def events(file: FileArgument, scenario: ScenarioOption) -> None:
    """Write all events in the order of time, e.g. `lemo export events events.parquet --scenario shop`.

    The columns are those of `lemo import events`, with event_id: imported again, each counts once.
    """
    from lemo.cli.session import open_scenario
    from lemo.files.exported import EVENT_SCHEMA, event_row
    from lemo.files.form import Form
    from lemo.files.writing import checked_form_to_write, write_rows

    as_objects = checked_form_to_write(file) is Form.jsonl
    stores, scope = open_scenario(scenario, "events")
    with closing(stores):
        rows = (event_row(row, as_objects) for row in stores.events.all_rows(scope))
        count = write_rows(file, EVENT_SCHEMA, rows)
    messages.print(f"Wrote {count:,} events to {file}.", highlight=False, markup=False)


@app.command()
def similarities(file: FileArgument, scenario: ScenarioOption) -> None:
    """Write each item's similar items, e.g. `lemo export similarities similar.parquet --scenario shop`.

    Columns: item_id, rank, similar_id, score, by (behaviour or content).
    """
    from lemo.cli.session import open_scenario
    from lemo.files.writing import checked_form_to_write
    from lemo.serving.derived_export import SIMILARITIES, similarity_rows

    checked_form_to_write(file)
    stores, scope = open_scenario(scenario)
    with closing(stores):
        _write(file, SIMILARITIES, similarity_rows(stores, scope), "pairs of similar items")


@app.command()
def embeddings(file: FileArgument, scenario: ScenarioOption) -> None:
    """Write the vector of each item, e.g. `lemo export embeddings embeddings.parquet --scenario shop`.

    Columns: item_id, embedding: a list of numbers, in CSV with | between them.
    """
    from lemo.cli.session import open_scenario
    from lemo.files.writing import checked_form_to_write
    from lemo.serving.derived_export import EMBEDDINGS, embedding_rows

    checked_form_to_write(file)
    stores, scope = open_scenario(scenario)
    with closing(stores):
        _write(file, EMBEDDINGS, embedding_rows(stores, scope), "embeddings")


@app.command()
def histories(file: FileArgument, scenario: ScenarioOption) -> None:
    """Write the recent history of each user that answers are made of, e.g. `lemo export histories h.csv -s shop`.

    Columns: user_id, rank (1 is the newest), item_id, action, value, timestamp, weight (by the scenario's rules).
    `lemo export events` writes all that ever happened.
    """
    from lemo.cli.session import open_scenario
    from lemo.files.writing import checked_form_to_write
    from lemo.serving.derived_export import HISTORIES, history_rows

    checked_form_to_write(file)
    stores, scope = open_scenario(scenario, "redis")
    with closing(stores):
        _write(file, HISTORIES, history_rows(stores, scope), "interactions")


@app.command()
def recommendations(
    file: FileArgument,
    scenario: ScenarioOption,
    n: Annotated[int, typer.Option("-n", min=1, max=200, help="Items for each user.")] = 10,
) -> None:
    """Write the model's list for each user who has events, e.g. `lemo export recommendations lists.csv -s shop`.

    Columns: user_id, rank, item_id, score, reason, model_version: one row an item. The same answers that the API gives.
    `lemo recommend --all --out FILE` writes one row a user, and takes filters.
    """
    from rich.progress import track

    from lemo.cli.session import check_engines, known_scenario
    from lemo.files.writing import checked_form_to_write
    from lemo.serving.derived_export import RECOMMENDATIONS, recommendation_rows
    from lemo.serving.service import RecommendationService
    from lemo.stores.connect import Stores

    checked_form_to_write(file)
    settings, scope, found = known_scenario(scenario)
    check_engines(settings, "redis", "events")
    with closing(Stores(settings)) as stores, RecommendationService(stores, watch=False) as served:
        users = sorted(stores.events.active_users(scope))
        answers = served.recommend_many(scope, users, n, "", found.attribute_types)
        shown = track(answers, f"Recommending in {scenario}", len(users), console=messages)
        _write(file, RECOMMENDATIONS, recommendation_rows(shown), "recommendations")


def _write(file: Path, schema: "pa.Schema", rows: "Iterable[Mapping[str, Any]]", what: str) -> None:
    from lemo.files.writing import write_rows

    count = write_rows(file, schema, rows)
    messages.print(f"Wrote {count:,} {what} to {file}.", highlight=False, markup=False)
