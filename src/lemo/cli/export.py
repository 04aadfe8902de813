"""`lemo export`: items and events into files that `lemo import` reads back."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from lemo.cli.export_to import export_to
from lemo.cli.output import ScenarioOption, messages

app = typer.Typer(no_args_is_help=True, help="Write items and events into files: CSV, JSONL or Parquet.")
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
