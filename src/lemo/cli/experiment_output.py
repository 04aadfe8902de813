"""What `lemo experiments` prints: an experiment, its plan and what it has shown."""

from typing import TYPE_CHECKING, Any

from lemo.cli.output import Format, Row, console, messages, show, show_json, show_one

if TYPE_CHECKING:
    from lemo.domain.experiment import Experiment
    from lemo.experiments.plan import Plan
    from lemo.experiments.preference import PreferenceResults
    from lemo.experiments.results import Results


def tell(experiment: "Experiment", format: Format) -> None:
    """Prints an experiment."""
    row = experiment.model_dump(mode="json" if format is Format.json else "python")
    if format is Format.json:
        show_json(row)
        return
    row["arms"] = ", ".join(map(_arm_in_words, row["arms"]))
    row["guardrails"] = ", ".join(map(_guardrail_in_words, row["guardrails"]))
    row["slice"] = "{start:.0%} to {end:.0%}".format(**row["slice"]) if row["slice"] else None
    left_out = ("salt", "tightest_at", "created_by")
    show_one(
        {key: value for key, value in row.items() if key not in left_out and value not in (None, "")},
        format,
        "Experiment (UTC)",
    )


def _arm_in_words(arm: dict[str, Any]) -> str:
    what = [f"pipeline {arm['pipeline_version']}"] if arm["pipeline_version"] is not None else []
    what += [f"model {arm['model_version']}"] if arm["model_version"] else []
    what += ["stopped"] if arm["stopped_at"] else []
    return f"{arm['name']} ({', '.join(what)})" if what else str(arm["name"])


def _guardrail_in_words(guardrail: dict[str, Any]) -> str:
    return f"{guardrail['metric']} (worse by {guardrail['most_worse']:.0%} or {guardrail['most_worse_by']:g} at most)"


def show_plan(plan: "Plan | None") -> None:
    """Prints how long an experiment must run."""
    if plan is None:
        messages.print("The last two weeks tell nothing of its metric: how long it must run is not known.")
    else:
        console.print(plan.words, markup=False, highlight=False)


def show_results(results: "Results") -> None:
    """Prints what the arms have shown."""
    until = f"{results.until:%Y-%m-%d %H:%M} UTC"
    rows: list[Row] = []
    for arm in results.arms:
        for name, each in arm.metrics.items():
            if each.value is None:
                continue
            rows.append(
                {
                    "arm": arm.name,
                    "units": arm.units,
                    "metric": name + (" *" if name == results.metric else ""),
                    "value": each.value,
                    "lift": _share(each.lift),
                    "interval": f"{_share(each.lift_low)} to {_share(each.lift_high)}" if each.lift is not None else "",
                    "p_value": each.p_value,
                }
            )
    show(rows, Format.table, f"Results up to {until} (* decides; intervals hold at every look)")
    for arm in results.arms:
        for line in [*arm.words, *(f"Guardrail: {each.words}" for each in arm.guardrails)]:
            console.print(f"{arm.name}: {line}", markup=False, highlight=False)
    if results.crossed:
        console.print(f"{results.crossed:,} were in several arms and are left out.", highlight=False)
    if results.days_left:
        console.print(f"About {results.days_left:,.0f} days until the planned units are exposed.", highlight=False)


def show_preference(found: "PreferenceResults") -> None:
    """Prints which list users prefer."""
    rows: list[Row] = [{"arm": arm.name, "answers_won": arm.won, "items_clicked": arm.clicks} for arm in found.arms]
    until = f"{found.until:%Y-%m-%d %H:%M} UTC"
    show(rows, Format.table, f"{found.answers:,} interleaved answers up to {until} (the interval holds at every look)")
    for line in found.words:
        console.print(line, markup=False, highlight=False)
    if found.days_left:
        console.print(f"About {found.days_left:,.0f} days until the planned units have clicked.", highlight=False)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:+.1%}"
