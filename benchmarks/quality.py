"""`make bench-quality`: every model of ours beside the usual baselines, on real data, by full ranking.

Each fit runs in a process of its own, which gives its peak memory. Parameters of ours are chosen on validation inside
the training part; baselines have the usual ones, given in their names. The protocol `time` asks about everything after
one moment, `user` about each user's last fifth.
"""

import argparse
import resource
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table
from scipy import sparse
from threadpoolctl import threadpool_limits

from lemo.domain.scenario import ActionRule
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.evaluation.metrics import DEPTH, answers, measured
from lemo.recommenders.evaluation.splits import Protocol, Split, split
from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
from lemo.recommenders.selection.hyperparameter_search import assess
from lemo.recommenders.selection.search_space import Mixture
from lemo.recommenders.sources.item_knn import ItemKnnConfig, Ranked, counting
from lemo.recommenders.sources.ridge import RidgeConfig, neighbourhood_ridges

Array = np.ndarray[Any, Any]
Row = dict[str, Any]
RULES = {
    "goodbooks-10k": ActionRule(weight=1, min_value=4),
    "movietweetings-latest": ActionRule(weight=1, min_value=7),
    "online-retail": ActionRule(weight=1),
}
SEEDS = (0, 1, 2)
BATCH = 500


def read(folder: Path) -> Interactions:
    """A data set folder as interactions with one action, `act`."""
    if folder.name == "goodbooks-10k":
        rows = pl.read_csv(folder / "ratings_sample.csv").select(
            user_id="user_id", item_id="book_id", value="rating", timestamp=pl.lit(0)
        )
    elif folder.name == "movietweetings-latest":
        lines = [line.split("::") for line in (folder / "ratings.dat").read_text().splitlines()]
        rows = pl.DataFrame(lines, schema=["user_id", "item_id", "value", "timestamp"], orient="row").with_columns(
            timestamp=pl.col("timestamp").cast(pl.Int64) * 1000
        )
    else:
        bought = pl.col("CustomerID").is_not_null() & ~pl.col("InvoiceNo").str.starts_with("C")
        rows = (
            pl.read_parquet(folder / "online_retail.parquet")
            .filter(bought)
            .select(
                user_id=pl.col("CustomerID").cast(pl.Int64),
                item_id="StockCode",
                value=pl.lit(None),
                timestamp=pl.col("InvoiceDate").dt.epoch("ms"),
            )
        )
    columns = rows.with_columns(pl.col("value").cast(pl.Float64), action=pl.lit("act"))
    return Interactions.from_table(
        columns.with_columns(pl.col("user_id", "item_id").cast(pl.String)).to_arrow(), {"act": RULES[folder.name]}
    )


def ranked(split: Split, scores: Callable[[Array], Array]) -> Array:
    """int32 (users, 20): the best unseen items by `scores`, which gives users x items for some of the users."""
    seen = split.train.seen_csr()[split.users]
    found = np.full((len(split.users), DEPTH), -1, dtype=np.int32)
    for start in range(0, len(split.users), BATCH):
        block = np.array(scores(split.users[start : start + BATCH]), dtype=np.float32)
        block[seen[start : start + BATCH].toarray()] = -np.inf
        best = np.argpartition(-block, DEPTH, axis=1)[:, :DEPTH]
        order = np.argsort(-np.take_along_axis(block, best, axis=1), axis=1, kind="stable")
        found[start : start + BATCH] = np.take_along_axis(best, order, axis=1)
    return found


def by_matrix(split: Split, likes: sparse.csr_matrix, matrix: Any) -> Array:
    """Answers of an item-item matrix: a user's likes times the matrix."""

    def scores(users: Array) -> Array:
        found = likes[users] @ matrix
        return np.asarray(found if isinstance(matrix, np.ndarray) else found.toarray())

    return ranked(split, scores)


def popularity(split: Split, _seed: int) -> Array:
    """How many users like an item."""
    counts = likes_of(split).sum(axis=0)
    return ranked(split, lambda users: np.tile(counts, (len(users), 1)))


def item_knn(split: Split, _seed: int) -> Array:
    """implicit's cosine similarity, 20 neighbours."""
    from implicit.nearest_neighbours import CosineRecommender

    likes = likes_of(split)
    model = CosineRecommender(K=20, num_threads=2)
    model.fit(likes, show_progress=False)
    return by_matrix(split, likes, model.similarity.tocsr())


def ridge(split: Split, _seed: int) -> Array:
    """Neighbourhood ridge, undecayed, 100 neighbours."""
    likes = likes_of(split)
    near, _ = Ranked.of(counting(likes)).nearest(np.arange(likes.shape[1]), 20.0, 100)
    (found,) = neighbourhood_ridges(counting(likes), near, [100], [(20.0, 0.0)])
    return by_matrix(split, likes, found.T.tocsr())


def ease(split: Split, _seed: int) -> Array:
    """EASE (Steck, 2019) over all items."""
    likes = likes_of(split)
    gram = (likes.T @ likes).toarray() + 200 * np.eye(likes.shape[1], dtype=np.float32)
    inverse = np.linalg.inv(gram)
    matrix = -inverse / np.diag(inverse)
    np.fill_diagonal(matrix, 0)
    return by_matrix(split, likes, matrix)


def als(split: Split, seed: int) -> Array:
    """implicit's ALS, 64 factors."""
    from implicit.als import AlternatingLeastSquares

    return by_factors(
        split, AlternatingLeastSquares(64, regularization=0.05, alpha=5, num_threads=2, random_state=seed)
    )


def bpr(split: Split, seed: int) -> Array:
    """implicit's BPR, 64 factors."""
    from implicit.bpr import BayesianPersonalizedRanking

    return by_factors(split, BayesianPersonalizedRanking(64, num_threads=2, random_state=seed))


def by_factors(split: Split, model: Any) -> Array:
    """Fits and answers by the products of factors."""
    with threadpool_limits(limits=1, user_api="blas"):  # implicit brings threads of its own
        model.fit(likes_of(split), show_progress=False)
    return ranked(split, lambda users: model.user_factors[users] @ model.item_factors.T)


def likes_of(split: Split) -> sparse.csr_matrix:
    """float32, users x items: 1 where a user likes an item."""
    return split.train.user_item_matrix().sign().astype(np.float32)


BASELINES: dict[str, tuple[Callable[[Split, int], Array], bool]] = {
    "popularity": (popularity, False),
    "implicit BPR, 64 factors": (bpr, True),
    "implicit ALS, 64 factors": (als, True),
    "implicit item-kNN, k 20": (item_knn, False),
    "EASE, lambda 200": (ease, False),
    "neighbourhood ridge, k 100, lambda 20": (ridge, False),
}


def baseline(folder: Path, protocol: Protocol, name: str) -> list[Row]:
    """NDCG@10 and Recall@20 of a baseline, means over the seeds where seeds matter."""
    data = split(read(folder), protocol=protocol)
    fit, seeded = BASELINES[name]
    warnings.simplefilter("ignore")  # implicit complains of matrices that it has made itself
    started = time.perf_counter()
    found = [
        measured(fit(data, seed), data.relevant, data.relevant.shape[1]) for seed in (SEEDS if seeded else SEEDS[:1])
    ]
    ndcg = [metrics.ndcg_at_10 for metrics in found]
    row = {
        "model": name,
        "ndcg": float(np.mean(ndcg)),
        "spread": float(np.std(ndcg)),
        "recall": float(np.mean([metrics.recall_at_20 for metrics in found])),
        "seconds": (time.perf_counter() - started) / len(found),
    }
    return [row | memory()]


def ours(folder: Path, protocol: Protocol) -> list[Row]:
    """What training would do: choose, teach, measure; then what each relation of items reaches alone."""
    data = read(folder)
    rules = {"act": RULES[folder.name]}
    started = time.perf_counter()
    assessment = assess(data, rules, protocol=protocol)
    seconds = time.perf_counter() - started
    if assessment is None:
        raise ValueError(f"{folder}: nobody can be asked")
    best, promoted = assessment.config, assessment.model
    parts = split(data, protocol=protocol)
    chosen = assessment.validation.config
    rows = [
        {"model": "ours: decayed popularity", "metrics": assessment.decayed_popularity},
        *alone(parts, chosen, rules),
        {"model": "ours: hybrid", "metrics": assessment.hybrid},
        {"model": "ours: hybrid and ranker", "metrics": assessment.model} if assessment.config.ranker else {},
        {"model": f"OURS, PROMOTED ({'ranker' if best.ranker else 'hybrid'})", "metrics": promoted, "seconds": seconds},
    ]
    return [
        {"ndcg": row["metrics"].ndcg_at_10, "recall": row["metrics"].recall_at_20, "spread": 0.0, "seconds": None}
        | row
        | memory()
        for row in rows
        if row
    ]


def alone(parts: Split, chosen: HybridConfig, rules: dict[str, ActionRule]) -> list[Row]:
    """Each personal source alone, with the decay that validation chose."""
    rows: list[Row] = []
    half_life = chosen.query_half_life_ms
    for personal, name in (
        (ItemKnnConfig(half_life_ms=half_life), "ours: item-kNN, decayed"),
        (RidgeConfig(half_life_ms=half_life), "ours: ridge, decayed"),
    ):
        config = Mixture((personal,), None, 1.0).config()
        started = time.perf_counter()
        found = answers(HybridRecommender.fit(parts.train, config, rules), parts)
        metrics = measured(found, parts.relevant, parts.relevant.shape[1])
        rows.append({"model": name, "metrics": metrics, "seconds": time.perf_counter() - started})
    return rows


def memory() -> Row:
    """Peak memory of this process, in megabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"memory": peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)}


def main() -> None:
    """Prints one table per data set and protocol."""
    console = Console(width=120)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/datasets"), help="where the data set folders are")
    parser.add_argument("--only", choices=RULES, action="append", help="only this data set")
    arguments = parser.parse_args()
    for name in arguments.only or RULES:
        folder = arguments.data / name
        if not folder.is_dir():
            console.print(f"{name}: no folder {folder}, left out")
            continue
        protocols: tuple[Protocol, ...] = ("user",) if name == "goodbooks-10k" else ("time", "user")
        for protocol in protocols:
            rows: list[Row] = []
            for what in [*BASELINES, None]:
                console.print(f"[dim]{name}, {protocol}: {what or 'ours'}[/dim]")
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                    job = process.submit(baseline, folder, protocol, what) if what else None
                    rows += (job or process.submit(ours, folder, protocol)).result()
            show(console, f"{name}, protocol {protocol}", rows)


def show(console: Console, title: str, rows: list[Row]) -> None:
    """The table, each row beside the best baseline."""
    table = Table("model", "NDCG@10", "+-", "Recall@20", "x best baseline", "seconds", "peak MB", title=title)
    best = max(row["ndcg"] for row in rows if row["model"] in BASELINES)
    for row in rows:
        seconds = "" if row["seconds"] is None else f"{row['seconds']:.1f}"
        spread = f"{row['spread']:.4f}" if row["spread"] else ""
        figures = (f"{row['ndcg']:.4f}", spread, f"{row['recall']:.4f}", f"{row['ndcg'] / best:.2f}", seconds)
        table.add_row(row["model"], *figures, f"{row['memory']:.0f}")
    console.print(table)


if __name__ == "__main__":
    main()
