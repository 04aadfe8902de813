"""`lemo replay`: what a pipeline would have earned, estimated from what was served."""

from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lemo.cli.output import Format, FormatOption, Row, ScenarioOption, console, messages, show, show_json
from lemo.cli.session import open_scenario

if TYPE_CHECKING:
    from lemo.experiments.replay import ReplayReport


class Reward(StrEnum):
    """What an item earns."""

    clicks = "clicks"
    conversions = "conversions"
    value = "value"


def replay(
    pipeline: Annotated[Path, typer.Option("--pipeline", "-p", help="The pipeline, YAML or JSON.", show_default=False)],
    scenario: ScenarioOption,
    days: Annotated[int, typer.Option(min=1, max=90, help="Answers of so many last days.")] = 7,
    answers: Annotated[int, typer.Option(min=100, max=50_000, help="So many of them at most, the newest.")] = 5_000,
    metric: Annotated[Reward, typer.Option(help="What an item that was shown earns.")] = Reward.clicks,
    format: FormatOption = Format.table,
) -> None:
    """Estimate a pipeline before anybody is shown it, from what was served and clicked. Changes nothing.

    [bold]lemo replay -s shop --pipeline pipeline.yaml[/]

    Each logged answer is answered again by the pipeline, for the user as the user was then. What the log never showed
    cannot be estimated: warnings say so, and an experiment finds out.
    """
    from lemo.experiments.replay import replay
    from lemo.files.pipeline_file import PipelineFile
    from lemo.serving.service import RecommendationService

    read = PipelineFile(pipeline)
    stores, scope = open_scenario(scenario, "redis", "events")
    with closing(stores), RecommendationService(stores, watch=False) as served:
        found = replay(stores, served.choices, scope, read.pipeline, days, answers, metric.value)
    if format is Format.json:
        show_json(found.model_dump(mode="json"))
    else:
        _show(found)


def _show(found: "ReplayReport") -> None:
    rows: list[Row] = [
        {"estimate": "as it was", "per_item": found.logged, "low": None, "high": None, "effective": None}
    ]
    rows += [
        {"estimate": each.name, "per_item": each.value, "low": each.low, "high": each.high, "effective": each.effective}
        for each in found.estimates
    ]
    title = f"{found.metric} per item shown, of {found.answers:,} answers with {found.rows:,} items"
    show(rows, Format.table, title)
    console.print(
        f"The log has shown {found.overlap:.0%} of what this pipeline would show. Replayed, the pipeline in service"
        f" shows {found.reproduced:.0%} of what was shown.",
        highlight=False,
    )
    said = [*found.warnings, *(f"{each.name}: {line}" for each in found.estimates for line in each.warnings)]
    for line in said:
        messages.print(f"[yellow]Warning:[/] {line}", highlight=False, soft_wrap=True)
