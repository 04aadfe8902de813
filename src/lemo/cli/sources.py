"""`lemo sources`: the installed sources of candidates, and whether one keeps the contract."""

from typing import Annotated

import typer

from lemo.cli.output import Format, FormatOption, Row, messages, show

app = typer.Typer(no_args_is_help=True, help="Sources of candidates: Lemo's own and those of installed packages.")


@app.command("list")
def list_sources(format: FormatOption = Format.table) -> None:
    """List the installed sources; a scenario's `sources` name those among which its training chooses."""
    from lemo.recommenders.registry import MissingSource, origin, source_class, source_names

    rows: list[Row] = []
    for name in source_names():
        try:
            source = source_class(name)
        except MissingSource as error:
            rows.append({"source": name, "personal": None, "from": origin(name), "about": error.message})
            continue
        about = (source.__doc__ or "").strip().splitlines() or [""]
        rows.append({"source": name, "personal": source.personal, "from": origin(name), "about": about[0]})
    show(rows, format, "Sources")


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="Name of a source, as in `lemo sources list`.")],
    format: FormatOption = Format.table,
) -> None:
    """Test a source against the contract that training and serving rely on; exit code 1 where it breaks it."""
    from lemo.recommenders.conformance import check_source
    from lemo.recommenders.registry import source_class

    source = source_class(name)
    rows = [each._asdict() for each in check_source(source)]
    named = source.Config().source
    found = "" if named == name else f"Config().source is {named!r}"
    rows.append({"name": "is named as it is registered", "passed": not found, "found": found})
    show(rows, format, f"Source {name}")
    if not all(row["passed"] for row in rows):
        messages.print(f"{name} does not keep the contract: training may fail or serve other scores than it measured.")
        raise typer.Exit(1)
