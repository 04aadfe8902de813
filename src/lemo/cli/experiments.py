"""`lemo experiments`: arms that serve other pipelines or models, and what came of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lemo.cli.assignments import assigned
from lemo.cli.experiment_output import show_plan, show_preference, show_results, tell
from lemo.cli.operator import operator
from lemo.cli.output import Format, FormatOption, Row, ScenarioOption, show, show_json
from lemo.cli.session import open_scenario

if TYPE_CHECKING:
    from lemo.domain.pipeline import Pipeline
    from lemo.domain.scope import Scope
    from lemo.stores.connect import Stores

app = typer.Typer(no_args_is_help=True, help="Experiments: which of two pipelines or models is better, found by users.")

NameArgument = Annotated[str, typer.Argument(help="Name of the experiment.")]


@app.command()
def create(
    name: NameArgument,
    scenario: ScenarioOption,
    arm: Annotated[
        list[str],
        typer.Option(
            "--arm",
            help="NAME, NAME=FILE with a pipeline, NAME=VERSION of a pipeline, or NAME=model:VERSION. The first is the"
            " control.",
            show_default=False,
        ),
    ] = [],  # noqa: B006 - Typer copies it
    set: Annotated[list[str], typer.Option(help="FIELD=VALUE, the value as JSON or text.", show_default=False)] = [],  # noqa: B006
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="A whole experiment, YAML or JSON.", show_default=False)
    ] = None,
    start: Annotated[bool, typer.Option("--start", help="Start it at once.")] = False,
    format: FormatOption = Format.table,
) -> None:
    """Make an experiment, and start it with --start. Who gets which arm is decided by a hash of the user.

    [bold]lemo experiments create fresher -s shop --arm control --arm fresh=fresh.yaml --set metric=ctr --start[/]

    Fields: `why`, `kind` (split or interleaving), `answers` (recommendations, similar, popular), `metric`, `effect`
    (the lift that is to be found), `guardrails` (list of `metric`, `most_worse`), `unit` (user or session), `ramp`,
    `group`, `share`, `holdout`, `salt`.
    """
    from lemo.experiments import service
    from lemo.files.yaml_file import read_yaml

    content: dict[str, Any] = read_yaml(file, "an experiment") if file is not None else {}
    content |= {"name": name} | assigned(set, "metric=ctr")
    if arm:
        content["arms"] = [_arm(each) for each in arm]
    stores, scope = open_scenario(scenario)
    draft = service.draft(content)
    by = operator(scope.tenant_id)
    experiment = service.create(stores, scope, draft, by, lambda pipeline: _check(stores, scope, pipeline))
    if start:
        experiment = service.start(stores, scope, name, by)
    tell(experiment, format)


@app.command("list")
def list_experiments(scenario: ScenarioOption, format: FormatOption = Format.table) -> None:
    """List the experiments of a scenario, the newest first."""
    stores, scope = open_scenario(scenario)
    found = stores.experiments.list(scope)
    if format is Format.json:
        show([each.model_dump(mode="json") for each in found], format)
        return
    rows: list[Row] = [
        {
            "name": each.name,
            "state": each.state,
            "arms": ", ".join(arm.name + (" (stopped)" if arm.stopped_at else "") for arm in each.arms),
            "metric": each.metric,
            "started_at": each.started_at,
            "ended_at": each.ended_at,
            "why_ended": each.ended_why,
        }
        for each in found
    ]
    show(
        rows,
        format,
        f"Experiments of {scenario} (UTC)",
        ("name", "state", "arms", "metric", "started_at", "ended_at", "why_ended"),
    )


@app.command("show")
def show_experiment(
    name: NameArgument,
    scenario: ScenarioOption,
    kind: Annotated[
        str | None,
        typer.Option(help="Only by answers of this kind: recommendations, similar, popular.", show_default=False),
    ] = None,
    placement: Annotated[str | None, typer.Option(help="Only by answers at this place.", show_default=False)] = None,
    format: FormatOption = Format.table,
) -> None:
    """Show what a draft needs, or what an experiment has shown. Looking often makes it no less right."""
    from lemo.domain.experiment import answer_kind
    from lemo.experiments.plan import plan_of
    from lemo.experiments.preference import preference_of
    from lemo.experiments.results import results_of

    stores, scope = open_scenario(scenario, "events")
    experiment = stores.experiments.get(scope, name)
    plan = plan_of(stores, scope, experiment) if experiment.state == "draft" else None
    of_kind = answer_kind(kind) if kind is not None else None
    results = results_of(stores, scope, experiment, kind=of_kind, placement=placement)
    preference = preference_of(stores, scope, experiment)
    if format is Format.json:
        found = {
            "experiment": experiment.model_dump(mode="json"),
            "plan": plan.model_dump(mode="json") if plan is not None else None,
            "results": results.model_dump(mode="json") if results is not None else None,
            "preference": preference.model_dump(mode="json") if preference is not None else None,
            "changes": [each.model_dump(mode="json") for each in stores.experiments.changes(scope, name)],
        }
        show_json(found)
        return
    tell(experiment, format)
    if results is not None:
        show_results(results)
    elif preference is not None:
        show_preference(preference)
    elif experiment.state == "draft":
        show_plan(plan)


@app.command()
def start(name: NameArgument, scenario: ScenarioOption, format: FormatOption = Format.table) -> None:
    """Start an experiment; every process serves its arms within a second."""
    from lemo.experiments import service

    stores, scope = open_scenario(scenario)
    tell(service.start(stores, scope, name, operator(scope.tenant_id)), format)


@app.command()
def edit(
    name: NameArgument,
    scenario: ScenarioOption,
    set: Annotated[list[str], typer.Option(help="FIELD=VALUE, the value as JSON or text.", show_default=False)],
    format: FormatOption = Format.table,
) -> None:
    """Change an experiment: of one that runs `ramp` (it may grow), `guardrails` and `why`.

    [bold]lemo experiments edit fresher -s shop --set ramp=0.5[/]
    """
    from lemo.experiments import service

    stores, scope = open_scenario(scenario)
    changes = assigned(set, "ramp=0.5")
    tell(service.edit(stores, scope, name, changes, operator(scope.tenant_id)), format)


@app.command()
def stop(
    name: NameArgument,
    scenario: ScenarioOption,
    arm: Annotated[str | None, typer.Option(help="Only this arm.", show_default=False)] = None,
    why: Annotated[str, typer.Option(help="Why, for the history.")] = "",
    format: FormatOption = Format.table,
) -> None:
    """Stop an experiment or one of its arms: everybody gets what is in service again, within a second."""
    from lemo.experiments import service

    stores, scope = open_scenario(scenario)
    tell(service.stop(stores, scope, name, operator(scope.tenant_id), why, arm), format)


@app.command()
def ship(
    name: NameArgument,
    scenario: ScenarioOption,
    arm: Annotated[str | None, typer.Option(help="The arm to put in service.", show_default=False)] = None,
    back: Annotated[bool, typer.Option("--back", help="Take back what was shipped.")] = False,
    format: FormatOption = Format.table,
) -> None:
    """Put an arm's pipeline and model in service for everybody, as new versions; with --back, what was there before.

    [bold]lemo experiments ship fresher -s shop --arm fresh[/]
    """
    from lemo.experiments import service

    if (arm is None) == (not back):
        raise typer.BadParameter("Name the winner with --arm, or take it back with --back.")
    stores, scope = open_scenario(scenario)
    by = operator(scope.tenant_id)
    if arm is None:
        tell(service.take_back(stores, scope, name, by), format)
    else:
        tell(service.ship(stores, scope, name, arm, by), format)


def _arm(text: str) -> dict[str, Any]:
    """An arm as it is written after --arm."""
    from lemo.files.pipeline_file import PipelineFile

    name, equals, what = text.partition("=")
    if not equals:
        return {"name": name}
    if what.startswith("model:"):
        return {"name": name, "model_version": what.removeprefix("model:")}
    if what.isdecimal():
        return {"name": name, "pipeline_version": int(what)}
    return {"name": name, "pipeline": PipelineFile(Path(what)).pipeline.model_dump(mode="json", exclude_defaults=True)}


def _check(stores: "Stores", scope: "Scope", pipeline: "Pipeline") -> None:
    from lemo.serving.catalogue.columns import columns_of
    from lemo.serving.pipeline.check import check_fits

    if pipeline.filters or pipeline.attributes:
        check_fits(pipeline, columns_of(stores.items.scan(scope), fixed=stores.scenarios.get(scope).attribute_types))
