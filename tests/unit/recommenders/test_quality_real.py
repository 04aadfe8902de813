"""Floors on real data: the chosen model against popularity, plain and decayed, on the global split in time."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from lemo.domain.scenario import ActionRule
from lemo.recommenders.interactions import Interactions
from lemo.recommenders.selection import Assessment, assess

DATASETS = Path(__file__).parents[4] / "shared" / "datasets"


def movietweetings(folder: str) -> Assessment | None:
    rows = [line.split("::") for line in (DATASETS / folder / "ratings.dat").read_text().splitlines()]
    data = pl.DataFrame(rows, schema=["user_id", "item_id", "value", "timestamp"], orient="row").with_columns(
        pl.col("value").cast(pl.Float64),
        pl.col("timestamp").cast(pl.Int64) * 1000,
        action=pl.lit("rate"),
    )
    rules = {"rate": ActionRule(weight=1, min_value=7)}
    return assess(Interactions.from_table(data.to_arrow(), rules), rules)


def online_retail() -> Assessment | None:
    data = (
        pl.scan_parquet(DATASETS / "online-retail" / "online_retail.parquet")
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
    rules = {"purchase": ActionRule(weight=5)}
    return assess(Interactions.from_table(data.to_arrow(), rules), rules)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("folder", "read", "floor"),
    [
        ("movietweetings-10K", movietweetings, 0.098),
        ("movietweetings-latest", movietweetings, 0.105),
        ("online-retail", lambda _: online_retail(), 0.145),
    ],
)
def test_the_chosen_model_is_ahead(folder: str, read: Callable[[str], Assessment | None], floor: float) -> None:
    if not (DATASETS / folder).is_dir():
        pytest.skip(f"no {folder} in {DATASETS.name}: the folder of real data is absent")
    assessment = read(folder)
    assert assessment is not None
    assert assessment.best()[1].ndcg_at_10 > floor
    assert assessment.model.ndcg_at_10 > assessment.popularity.ndcg_at_10
    assert assessment.model.ndcg_at_10 >= assessment.decayed_popularity.ndcg_at_10
