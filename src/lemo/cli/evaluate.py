"""`lemo evaluate`: how good recommendations would have been on the scenario's own past."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lemo.cli.output import Format, FormatOption, Row, ScenarioOption, messages, show, show_json

if TYPE_CHECKING:
    from lemo.jobs.evaluation import Evaluation
    from lemo.recommenders.evaluation.cold_start import Cold
    from lemo.recommenders.evaluation.metrics import Metrics, Scorecard
    from lemo.recommenders.selection.reference import Reference

METRICS = {
    "ndcg_at_10": "NDCG@10",
    "recall_at_10": "recall@10",
    "recall_at_20": "recall@20",
    "map_at_10": "MAP@10",
    "mrr": "MRR",
    "coverage": "coverage@10",
    "novelty": "novelty@10 (bits)",
    "diversity": "diversity@10",
    "users": "users asked",
}


def evaluate(
    scenario: ScenarioOption,
    protocol: Annotated[
        Literal["time", "user"] | None,
        typer.Option(
            help="`time`: the last 20 % of all events, everybody's at one moment; `user`: the last 20 % of each user's."
            " Without it `time`, where the events have times.",
            show_default=False,
        ),
    ] = None,
    format: FormatOption = Format.table,
) -> None:
    """Measure a newly chosen model on held-out events, beside the champion and popularity; nothing is promoted.

    All items are ranked, and a user's known ones are left out. Intervals are 95 %, by bootstrap over the users; p is
    how probable the model's lead is by chance (paired t-test).
    """
    from lemo.cli.session import check_engines, known_scenario
    from lemo.cli.waiting import progress_bar
    from lemo.stores.connect import Stores

    settings, scope, _ = known_scenario(scenario)
    check_engines(settings, "events")
    stores = Stores(settings)
    from lemo.jobs.evaluation import evaluate_scenario  # takes seconds to import

    with progress_bar(f"Evaluating {scenario}") as report:
        found = evaluate_scenario(stores, scope, protocol, report)
    if found is None:
        messages.print("There are too few events to measure anything: nobody came back for something new.")
        raise typer.Exit(1)
    if format is Format.json:
        show_json(found.model_dump(mode="json"))
        return
    if found.without:
        messages.print(found.without, markup=False)
    show(_rows(found), format, f"{scenario}: full ranking, split by {found.protocol}")
    show(_segments(found), format, "NDCG@10 by segment")
    if found.cold_start:
        show(_cold_start(found), format, "New items among themselves, and new users by what they have liked: NDCG@10")
    if found.reference:
        show(_reference(found.reference), format, f"What was possible, NDCG@10 of {found.reference.users:,} users")


def _rows(found: "Evaluation") -> list[Row]:
    """A line for each metric, a column for each recommender: it fits into a terminal."""
    cards = found.scorecards
    rows: list[Row] = []
    for metric, words in METRICS.items():
        rows.append({"": words} | {name: getattr(card, metric) for name, card in cards.items()})
        if metric in found.model.intervals:
            rows.append({"": "  95 % interval"} | {name: _range(card, metric) for name, card in cards.items()})
    rows.append({"": "model leads by"} | {name: f"{each.difference:+.4f}" for name, each in found.compared.items()})
    return [*rows, {"": "  p by chance"} | {name: f"{each.p_value:.2g}" for name, each in found.compared.items()}]


def _segments(found: "Evaluation") -> list[Row]:
    return [
        {"segment": segment.replace("_", " "), "users asked": about.users}
        | {
            name: _judged(card.segments[segment]) if segment in card.segments else None
            for name, card in found.scorecards.items()
        }
        for segment, about in found.model.segments.items()
    ]


def _judged(metrics: "Metrics") -> str:
    """NDCG@10, or that there are too few users to speak of."""
    from lemo.recommenders.evaluation.cold_start import FEWEST_USERS

    return f"{metrics.ndcg_at_10:.4f}" if metrics.users >= FEWEST_USERS else "too few users to judge"


def _cold_start(found: "Evaluation") -> list[Row]:
    return [
        {"question": question.replace("_", " "), "items": about.items, "users asked": about.users}
        | {name: words(each[question]) for name, each in found.cold_start.items() if question in each}
        for question, about in found.cold_start["model"].items()
    ]


def words(cold: "Cold") -> str:
    """NDCG@10 with its interval, or why there is none."""
    if not cold.judged:
        return f"too few users to judge ({cold.users})"
    return "{:.4f} ({:.4f}–{:.4f})".format(cold.ndcg_at_10, *cold.interval)


def _reference(found: "Reference") -> list[Row]:
    rows: list[Row] = [{"": f"{name} alone", "NDCG@10": f"{value:.4f}"} for name, value in found.alone.items()]
    rows.append({"": "best mixture, chosen on the test itself", "NDCG@10": f"{found.best_mixture:.4f}"})
    rows.append({"": "model", "NDCG@10": f"{found.model:.4f} (standard error {found.standard_error:.4f})"})
    return [*rows, {"": "regret: what the model misses of the best mixture", "NDCG@10": f"{100 * found.regret:.1f} %"}]


def _range(card: "Scorecard", metric: str) -> str:
    low, high = card.intervals[metric]
    return f"{low:.4f}–{high:.4f}"
