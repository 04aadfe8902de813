"""`lemo pipeline`: the rules by which candidates become an answer."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.syntax import Syntax

from lemo.cli.assignments import assigned
from lemo.cli.operator import operator
from lemo.cli.output import Format, FormatOption, ScenarioOption, console, messages, show, show_json
from lemo.cli.session import open_scenario

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lemo.domain.pipeline import Pipeline, PipelineVersion
    from lemo.domain.recommendation import ChosenAnswer
    from lemo.domain.scope import Scope
    from lemo.stores.connect import Stores

app = typer.Typer(no_args_is_help=True, help="How candidates become an answer: filters, boosts, diversity, pins.")

FileOption = Annotated[
    Path | None, typer.Option("--file", "-f", help="A whole pipeline, YAML or JSON.", show_default=False)
]
SetOption = Annotated[
    list[str], typer.Option(help="FIELD=VALUE, the value as JSON or text; null removes. May be given several times.")
]


@app.command("show")
def show_pipeline(
    scenario: ScenarioOption,
    version: Annotated[int | None, typer.Option(help="An earlier version.", show_default=False)] = None,
    format: FormatOption = Format.table,
) -> None:
    """Show the pipeline in service as YAML, which `lemo pipeline edit --file` takes."""
    stores, scope = open_scenario(scenario)
    with closing(stores):
        found = stores.pipelines.current(scope) if version is None else stores.pipelines.get(scope, version)
    _show(found, format)


@app.command()
def edit(
    scenario: ScenarioOption,
    set: SetOption = [],  # noqa: B006 - Typer copies it
    file: FileOption = None,
    why: Annotated[str, typer.Option(help="Why, for the history.")] = "",
    format: FormatOption = Format.table,
) -> None:
    """Put a changed pipeline in service; every process answers by it within a second.

    [bold]lemo pipeline edit -s shop --set 'filter=item.in_stock' --set diversity.strength=0.3[/]
    [bold]lemo pipeline edit -s shop --file pipeline.yaml --why "spring campaign"[/]

    Fields: `recall` (`candidates`, `popular`, `newest`), `filter` (CEL), `variables`, `boost` (list of `filter`,
    `weight`), `freshness` (`weight`, `half_life_days`), `diversity` (`strength`, `by`), `cap` (list of `by`, `most`),
    `promote` (list of `filter`, `share`) and `pin` (list of `item_id`, `position`). Lists are replaced whole.
    """
    stores, scope = open_scenario(scenario)
    with closing(stores):
        serving = stores.pipelines.current(scope)
        pipeline = _wanted(stores, scope, serving.pipeline, set, file)
        if pipeline == serving.pipeline:
            messages.print("Nothing to change: this pipeline serves already.")
            return
        changed = stores.pipelines.put(scope, pipeline, operator(scope.tenant_id), why, after=serving.version)
    _show(changed, format)


@app.command()
def check(
    scenario: ScenarioOption,
    user: Annotated[str, typer.Option("--user", "-u", help="For whom to try it.", show_default=False)],
    set: SetOption = [],  # noqa: B006 - Typer copies it
    file: FileOption = None,
    n: Annotated[int, typer.Option("-n", min=1, max=200, help="Items of the answers.")] = 10,
    format: FormatOption = Format.table,
) -> None:
    """Try a pipeline for a user, before it serves: the answers before and after, side by side. Changes nothing.

    [bold]lemo pipeline check -s shop --user 42 --set diversity.strength=0.5[/]
    """
    from lemo.domain.request import RecommendationRequest
    from lemo.serving.service import RecommendationService

    stores, scope = open_scenario(scenario, "redis")
    with closing(stores), RecommendationService(stores, watch=False) as served:
        serving = stores.pipelines.current(scope)
        pipeline = _wanted(stores, scope, serving.pipeline, set, file)
        types = stores.scenarios.get(scope).attribute_types
        request = RecommendationRequest(user_id=user, n=n, fields=["title"], explain=True)
        before = served.choices.recommend(scope, request, types)
        after = served.choices.recommend(scope, request, types, pipeline)
    if format is Format.json:
        show_json({"before": before.model_dump(), "after": after.model_dump()})
        return
    show(_side_by_side(before, after), format, f"Before (version {serving.version}) and after, for {user}")


@app.command()
def history(
    scenario: ScenarioOption,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    format: FormatOption = Format.table,
) -> None:
    """List the versions that served: who put each in service, when and why."""
    stores, scope = open_scenario(scenario)
    with closing(stores):
        versions = stores.pipelines.history(scope, limit)
    rows = [each.model_dump(mode="json" if format is Format.json else "python") for each in versions]
    if format is Format.table:
        rows = [row | {"stages": _stages(each.pipeline)} for row, each in zip(rows, versions, strict=True)]
    if not rows and format is Format.table:
        messages.print(f"The default serves: {scenario} never had a pipeline of its own.", markup=False)
        return
    columns = ("version", "changed_at", "changed_by", "why", "stages")
    show(rows, format, f"Pipelines of {scenario} (UTC)", columns)


@app.command()
def rollback(
    scenario: ScenarioOption,
    to: Annotated[
        int | None, typer.Option(min=0, help="The version to go back to; 0 is the default.", show_default="the last")
    ] = None,
    format: FormatOption = Format.table,
) -> None:
    """Put an earlier pipeline back in service, as a new version."""
    stores, scope = open_scenario(scenario)
    with closing(stores):
        _show(stores.pipelines.roll_back(scope, operator(scope.tenant_id), to), format)


def _wanted(
    stores: "Stores", scope: "Scope", serving: "Pipeline", settings: "Sequence[str]", file: Path | None
) -> "Pipeline":
    """The pipeline that a command is given, if it fits the catalogue; raises InvalidInput."""
    from lemo.domain.pipeline import WrongPipeline, edited_pipeline
    from lemo.files.pipeline_file import PipelineFile
    from lemo.serving.catalogue.columns import columns_of
    from lemo.serving.pipeline.check import check_fits

    if not settings and file is None:
        raise typer.BadParameter("Say what to change: --set FIELD=VALUE, or --file FILE.")
    read = PipelineFile(file) if file is not None else None
    pipeline = read.pipeline if read is not None else serving
    if settings:
        pipeline = edited_pipeline(pipeline, assigned(settings, "diversity.strength=0.3"))
    if pipeline.filters or pipeline.attributes:
        types = stores.scenarios.get(scope).attribute_types
        try:
            check_fits(pipeline, columns_of(stores.items.scan(scope), fixed=types))
        except WrongPipeline as error:
            raise (read.located(error) if read is not None and not settings else error) from error
    return pipeline


def _show(found: "PipelineVersion", format: Format) -> None:
    if format is Format.json:
        show_json(found.model_dump(mode="json"))
        return
    from lemo.files.pipeline_file import pipeline_text

    text = pipeline_text(found.pipeline) or "# what the model says, as it says it"
    if found.version == 0:
        head = "# the default: this scenario has no pipeline of its own"
    else:
        head = f"# version {found.version}, {found.changed_at:%Y-%m-%d %H:%M} UTC, {found.changed_by}"
        head += f"\n# {' '.join(found.why.split())}" if found.why else ""
    if console.is_terminal:
        console.print(Group(*(Syntax(part, "yaml", background_color="default") for part in (head, text))))
    else:
        console.out(f"{head}\n{text.rstrip()}", highlight=False)


def _stages(pipeline: "Pipeline") -> str:
    return ", ".join(pipeline.model_dump(exclude_defaults=True)) or "none"


def _side_by_side(before: "ChosenAnswer", after: "ChosenAnswer") -> list[dict[str, Any]]:
    places = {item.item_id: place for place, item in enumerate(before.items, start=1)}
    rows = []
    for place in range(max(len(before.items), len(after.items))):
        old = before.items[place] if place < len(before.items) else None
        new = after.items[place] if place < len(after.items) else None
        was = places.get(new.item_id) if new is not None else None
        moved = "" if new is None else "new" if was is None else "" if was == place + 1 else f"from {was}"
        rows.append(
            {
                "place": place + 1,
                "before": _name(old),
                "after": _name(new),
                "moved": moved,
                "reason": new.reason if new is not None else "",
            }
        )
    return rows


def _name(item: Any) -> str:
    return "" if item is None else getattr(item, "title", "") or item.item_id
