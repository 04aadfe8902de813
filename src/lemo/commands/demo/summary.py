"""What the demo found: a table for people, one JSON line for programs."""

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
        """Prints the tables."""
        console.print(self._facts())
        console.print(self._jobs())
        for sample in self.samples:
            console.print(_recommendations(sample))

    def _facts(self) -> Table:
        table = Table(title="What happened", title_justify="left", show_header=False)
        table.add_row("items", f"{self.items:,}")
        table.add_row("events", f"{self.events:,}")
        table.add_row("users with recommendations", f"{self.recommended_users:,}")
        model, popularity = self.ndcg("ndcg_at_10"), self.ndcg("popularity_ndcg_at_10")
        if model is not None and popularity is not None:
            table.add_row("NDCG@10 of the model, last 20 % of time", f"{model:.4f}")
            table.add_row("NDCG@10 of popularity", f"{popularity:.4f}")
        return table

    def _jobs(self) -> Table:
        table = Table(title="Jobs", title_justify="left")
        table.add_column("job", no_wrap=True)
        for name in ("scenario", "outcome"):
            table.add_column(name, overflow="fold")
        for name in ("seconds", "rows", "NDCG@10", "of popularity"):
            table.add_column(name, justify="right")
        for run in self.runs:
            failure = "" if run.outcome == "ok" else f"[red]{run.outcome}[/] {escape(run.error[:100])}"
            table.add_row(
                run.entry,
                run.scenario_id,
                failure or "ok",
                f"{run.seconds:.1f}" if run.seconds is not None else "",
                f"{run.rows_written:,}",
                _figure(run.detail.get("ndcg_at_10")),
                _figure(run.detail.get("popularity_ndcg_at_10")),
            )
        return table


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _recommendations(sample: Shown) -> Table:
    table = Table("", "item", "title", "score", "why", title=f"For {escape(sample.user_id)} in {sample.scenario_id}")
    table.title_justify = "left"
    for rank, item in enumerate(sample.items, 1):
        table.add_row(str(rank), escape(item.item_id), escape(item.title), f"{item.score:.2f}", escape(item.why))
    return table
