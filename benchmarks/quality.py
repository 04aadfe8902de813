"""`make bench-quality`: what users get beside the usual baselines, on real data, by full ranking.

Ours goes the way of a user: positive acts imported by the command line, trained, exported; then each source alone, the
hybrid without its ranker, and the best mixture of the whole grid, chosen on the test, which shows the regret. Baselines
have the usual parameters, given in their names. Each fit runs in a process of its own, which gives its peak memory.
Sets with time ask about everything after one moment; goodbooks, which has none, about each user's last fifth.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
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
from lemo.recommenders.evaluation.metrics import DEPTH, Metrics, answers, measured
from lemo.recommenders.evaluation.splits import Protocol, Split, split
from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
from lemo.recommenders.selection.search_space import SearchSpace, evaluate_space
from lemo.recommenders.sources.item_knn import ItemKnnConfig, Ranked, counting
from lemo.recommenders.sources.ridge import neighbourhood_ridges
from servers import environment

Array = np.ndarray[Any, Any]
Row = dict[str, Any]
RULES = {"like": ActionRule(weight=1)}
SETS = ("goodbooks-10k", "movietweetings-latest", "online-retail")
SEEDS = (0, 1, 2)
BATCH = 500


def read(folder: Path) -> Interactions:
    """The positive acts of a data set folder, as a team imports them: nothing tells what was seen and not liked."""
    if folder.name == "goodbooks-10k":
        rows = pl.read_csv(folder / "ratings_sample.csv").filter(pl.col("rating") >= 4)
        rows = rows.select(user_id="user_id", item_id="book_id", timestamp=pl.lit(1_700_000_000_000))
    elif folder.name == "movietweetings-latest":
        lines = [line.split("::") for line in (folder / "ratings.dat").read_text().splitlines()]
        rows = pl.DataFrame(lines, schema=["user_id", "item_id", "value", "timestamp"], orient="row")
        rows = rows.filter(pl.col("value").cast(pl.Int64) >= 7).select(
            "user_id", "item_id", timestamp=pl.col("timestamp").cast(pl.Int64) * 1000
        )
    else:
        rows = (
            pl.read_parquet(folder / "online_retail.parquet")
            .filter(pl.col("CustomerID").is_not_null() & (pl.col("Quantity") > 0))
            .select(
                user_id=pl.col("CustomerID").cast(pl.Int64),
                item_id="StockCode",
                timestamp=pl.col("InvoiceDate").dt.epoch("ms"),
            )
            .sort("timestamp")
        )
    rows = rows.unique(["user_id", "item_id"], keep="first", maintain_order=True)
    columns = rows.with_columns(action=pl.lit("like"), value=pl.lit(None, dtype=pl.Float64))
    return Interactions.from_table(columns.with_columns(pl.col("user_id", "item_id").cast(pl.String)).to_arrow(), RULES)


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
    """What users get: import, train and export by the command line; then what it is made of, fitted in this process."""
    data = split(read(folder), protocol=protocol)
    started = time.perf_counter()
    found, hybrid, kind = served(data)
    seconds = time.perf_counter() - started
    got = measured(found, data.relevant, data.relevant.shape[1])
    best = best_of_grid(data, protocol)
    rows: list[Row] = [{"model": f"ours: {name}", "metrics": metrics} for name, metrics in alone(data, hybrid)]
    what = f"OURS, SERVED BY CLI ({kind}), regret {1 - got.ndcg_at_10 / best:.1%}"
    rows += [
        {"model": "ours: hybrid", "metrics": fitted(data, hybrid)},
        {"model": "best mixture of the grid, chosen on the test", "ndcg": best},
        {"model": what, "metrics": got, "seconds": seconds},
    ]
    return [_filled(row) | memory() for row in rows]


def _filled(row: Row) -> Row:
    metrics = row.pop("metrics", None)
    known = {"ndcg": metrics.ndcg_at_10, "recall": metrics.recall_at_20} if metrics else {}
    return {"spread": 0.0, "seconds": None, "recall": None} | known | row


def served(data: Split) -> tuple[Array, HybridConfig, str]:
    """The export's answers to the users of the split, of an installation of its own; its hybrid; what serves."""
    train = data.train.where(data.train.positive)
    with tempfile.TemporaryDirectory(prefix="lemo-bench-") as name:
        folder = Path(name)
        pl.DataFrame({"item_id": data.train.item_ids}).write_csv(folder / "items.csv")
        users, items = np.array(data.train.user_ids), np.array(data.train.item_ids)
        events = {"user_id": users[train.users], "item_id": items[train.items], "timestamp": train.timestamps}
        pl.DataFrame(events).with_columns(action=pl.lit("like")).write_csv(folder / "events.csv")
        asked = users[data.users].tolist()
        (folder / "users.txt").write_text("\n".join(asked) + "\n")
        env = environment(folder / "home")

        def lemo(*words: str) -> str:
            command = [sys.executable, "-m", "lemo.cli.main", *words]
            return subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True, text=True).stdout

        lemo("up", "--detach")
        try:
            lemo("scenarios", "create", "s", "--template", "custom")
            lemo("import", "items", "items.csv", "--scenario", "s")
            lemo("import", "events", "events.csv", "--scenario", "s")
            for job in ("compute-item-similarity-hourly", "train-model-daily"):
                lemo("jobs", "run", job, "--scenario", "s", "--wait")
            lemo("recommend", "--scenario", "s", "--users", "users.txt", "-n", str(DEPTH), "--out", "out.jsonl")
            (model,) = json.loads(lemo("models", "list", "--scenario", "s", "--limit", "1", "--format", "json"))
        finally:
            lemo("down")
        codes = {item_id: code for code, item_id in enumerate(data.train.item_ids)}
        lists = {row["user_id"]: row["items"] for row in map(json.loads, (folder / "out.jsonl").open())}
        found = np.full((len(asked), DEPTH), -1, dtype=np.int32)
        for row, user_id in enumerate(asked):
            shown = [codes[item["item_id"]] for item in lists[user_id]]
            found[row, : len(shown)] = shown
    ranked = " and ranker" if model["config"]["ranker"] else ""
    return found, HybridConfig.model_validate(model["config"] | {"ranker": None}), f"hybrid{ranked}"


def fitted(data: Split, config: HybridConfig) -> Metrics:
    """What this configuration reaches when fitted on the training part."""
    model = HybridRecommender.fit(data.train, config, RULES)
    return measured(answers(model, data), data.relevant, len(data.train.item_ids))


def alone(data: Split, hybrid: HybridConfig) -> Iterator[tuple[str, Metrics]]:
    """Each source of the hybrid by itself."""
    for source in hybrid.sources:
        one = hybrid.model_copy(update={"sources": (source.model_copy(update={"weight": 1.0}),)})
        yield source.source, fitted(data, one)


def best_of_grid(data: Split, protocol: Protocol) -> float:
    """NDCG@10 on the test of the mixture of the search space that is best there, which nobody can know before."""
    in_time = protocol == "time"
    space = SearchSpace.of(data.train.span if in_time else 0)
    gains = evaluate_space(data, space)
    best = max((mixture for mixture in gains if mixture.personal), key=lambda mixture: float(gains[mixture].mean()))
    if isinstance(similar := best.personal[0], ItemKnnConfig):
        gains |= evaluate_space(data, SearchSpace.ridges(data.train, space.popularity, similar, wide=not in_time))
    return max(float(values.mean()) for values in gains.values())


def memory() -> Row:
    """Peak memory of this process, in megabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"memory": peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)}


def main() -> None:
    """Prints one table per data set."""
    console = Console(width=120)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/datasets"), help="where the data set folders are")
    parser.add_argument("--only", choices=SETS, action="append", help="only this data set")
    arguments = parser.parse_args()
    for name in arguments.only or SETS:
        folder = arguments.data / name
        if not folder.is_dir():
            console.print(f"{name}: no folder {folder}, left out")
            continue
        protocol: Protocol = "user" if name == "goodbooks-10k" else "time"
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
        recall = "" if row["recall"] is None else f"{row['recall']:.4f}"
        figures = (f"{row['ndcg']:.4f}", spread, recall, f"{row['ndcg'] / best:.2f}", seconds)
        table.add_row(row["model"], *figures, f"{row['memory']:.0f}")
    console.print(table)


if __name__ == "__main__":
    main()
