"""Floors on real data: what training would serve against popularity, plain and decayed, on the global split in time."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from lemo.domain.scenario import ActionRule
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.selection.hyperparameter_search import Assessment, assess

DATASETS = Path(__file__).parents[4] / "shared" / "datasets"
AS_GOOD = 0.98
"""Of popularity's NDCG: the test's hundreds of users tell no smaller differences."""


def movietweetings(folder: str, part: int) -> Assessment | None:
    rows = [line.split("::") for line in (DATASETS / folder / "ratings.dat").read_text().splitlines()]
    data = pl.DataFrame(rows, schema=["user_id", "item_id", "value", "timestamp"], orient="row").with_columns(
        pl.col("value").cast(pl.Float64),
        pl.col("timestamp").cast(pl.Int64) * 1000,
        action=pl.lit("rate"),
    )
    return assessed(data, part, {"rate": ActionRule(weight=1, min_value=7)})


def online_retail(folder: str, part: int) -> Assessment | None:
    data = (
        pl.scan_parquet(DATASETS / folder / "online_retail.parquet")
        .filter(pl.col("CustomerID").is_not_null() & ~pl.col("InvoiceNo").str.starts_with("C"))
        .select(
            user_id=pl.col("CustomerID").cast(pl.Int64).cast(pl.String),
            item_id="StockCode",
            action=pl.lit("purchase"),
            timestamp=pl.col("InvoiceDate").dt.epoch("ms"),
            value=pl.lit(None, dtype=pl.Float64),
        )
        .collect()
    )
    return assessed(data, part, {"purchase": ActionRule(weight=5)})


def assessed(data: pl.DataFrame, part: int, rules: dict[str, ActionRule]) -> Assessment | None:
    """Of every `part`-th user, always the same ones."""
    kept = data.filter(pl.col("user_id").cast(pl.Int64) % part == 0)
    return assess(Interactions.from_table(kept.to_arrow(), rules), rules, to_serve=False)


@pytest.mark.parametrize(
    ("folder", "read", "part", "floor"),
    [
        ("movietweetings-10K", movietweetings, 1, 0.096),
        pytest.param("movietweetings-latest", movietweetings, 3, 0.092, marks=pytest.mark.long),
        pytest.param("online-retail", online_retail, 3, 0.115, marks=pytest.mark.long),
    ],
)
def test_what_would_serve_is_ahead(
    folder: str, read: Callable[[str, int], Assessment | None], part: int, floor: float
) -> None:
    if not (DATASETS / folder).is_dir():
        pytest.skip(f"no {folder} in {DATASETS.name}: the folder of real data is absent")
    assessment = read(folder, part)
    assert assessment is not None
    assert assessment.model.ndcg_at_10 > floor
    assert assessment.model.ndcg_at_10 > AS_GOOD * assessment.popularity.ndcg_at_10
    assert assessment.model.ndcg_at_10 > AS_GOOD * assessment.decayed_popularity.ndcg_at_10
