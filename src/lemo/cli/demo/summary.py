"""What the demo found: a table for people, one JSON line for programs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lemo.domain.run import Run


@dataclass(frozen=True, slots=True)
class ShownItem:
    """One recommended item as people read it."""

    item_id: str
    title: str
    score: float
    why: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One user's recommendations with titles."""

    scenario_id: str
    user_id: str
    items: list[ShownItem]


@dataclass
class Summary:
    """Counts, jobs, quality and samples of one demo."""

    items: int = 0
    events: int = 0
    runs: list[Run] = field(default_factory=list)
    samples: list[Shown] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def jobs(self) -> dict[str, str]:
        """`ok` per job where every scenario's run ended well, else `failed`."""
        outcomes: dict[str, str] = {}
        for run in self.runs:
            good = run.outcome == "ok" and outcomes.get(run.entry, "ok") == "ok"
            outcomes[run.entry] = "ok" if good else "failed"
        return outcomes

    @property
    def recommended_users(self) -> int:
        """Users with precomputed recommendations, over all scenarios."""
        return sum(run.rows_written for run in self.runs if run.entry == "precompute-recommendations-4hours")

    def ndcg(self, of: str) -> float | None:
        """NDCG@10 of the promoted models or of popularity: the mean over all users that the tests asked about."""
        measured = [
            run.detail for run in self.runs if run.entry == "train-model-daily" and run.detail.get("test_users")
        ]
        users = sum(detail["test_users"] for detail in measured)
        return sum(detail[of] * detail["test_users"] for detail in measured) / users if users else None

    def as_json(self) -> dict[str, Any]:
        """The summary line."""
        model, popularity = self.ndcg("ndcg_at_10"), self.ndcg("popularity_ndcg_at_10")
        return {
            "items": self.items,
            "events": self.events,
            "jobs": self.jobs,
            "recommended_users": self.recommended_users,
            "ndcg_at_10": {
                "model": None if model is None else round(model, 6),
                "popularity": None if popularity is None else round(popularity, 6),
            },
            "seconds": round(self.seconds, 1),
        }

    @property
    def failed(self) -> bool:
        """Whether a job failed."""
        return "failed" in self.jobs.values()

    def print(self, console: Console) -> None:
        """Prints the tables, each of which fits into 80 columns."""
        console.print(self._facts(), self._jobs(), self._quality())
        for run in self.runs:
            if run.outcome != "ok":
                console.print(f"[red]{run.entry} {run.outcome} for {run.scenario_id}:[/] {escape(run.error)}")
        for sample in self.samples:
            console.print(_recommendations(sample))

    def _facts(self) -> Table:
        table = Table(title="What happened", title_justify="left", show_header=False)
        table.add_row("items", f"{self.items:,}")
        table.add_row("events", f"{self.events:,}")
        table.add_row("users with recommendations", f"{self.recommended_users:,}")
        return table

    def _jobs(self) -> Table:
        table = _table("Jobs", ("job", "outcome"), ("runs", "seconds", "rows"))
        for entry, outcome in self.jobs.items():
            runs = [run for run in self.runs if run.entry == entry]
            table.add_row(
                entry,
                outcome if outcome == "ok" else f"[red]{outcome}[/]",
                str(len(runs)),
                f"{sum(run.seconds or 0.0 for run in runs):.1f}",
                f"{sum(run.rows_written for run in runs):,}",
            )
        return table

    def _quality(self) -> Table:
        table = _table(
            "NDCG@10 on the last 20 % of the events", ("scenario",), ("users asked", "promoted model", "popularity")
        )
        for run in self.runs:
            if run.detail.get("test_users"):
                table.add_row(
                    run.scenario_id,
                    f"{run.detail['test_users']:,}",
                    f"{run.detail['ndcg_at_10']:.4f}",
                    f"{run.detail['popularity_ndcg_at_10']:.4f}",
                )
        return table


def _table(title: str, words: Sequence[str], figures: Sequence[str]) -> Table:
    """A table with a column for each of the words, and right-aligned ones for the figures."""
    table = Table(*words, title=title, title_justify="left")
    for name in figures:
        table.add_column(name, justify="right")
    return table


def _recommendations(sample: Shown) -> Table:
    title = f"For {escape(sample.user_id)} in {sample.scenario_id}"
    table = Table("", "item", "title", "score", "why", title=title, title_justify="left")
    for rank, item in enumerate(sample.items, 1):
        table.add_row(str(rank), escape(item.item_id), escape(item.title), f"{item.score:.2f}", escape(item.why))
    return table
