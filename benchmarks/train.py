"""How long models take to fit: our item-kNN and ridge beside implicit's ALS and BPR and a plain EASE.

Each is fitted in a process of its own, in turns, on the same weighted matrix with the same processors. Seconds are the
best of the rounds; memory is what fitting took at its peak. Ratios are against our item-kNN.
"""

import argparse
import json
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from populations import SIZES, interactions
from processes import in_a_process, measure

CSR = sparse.csr_matrix

OURS = "lemo item-kNN"
FACTORS = 64
LARGEST = {"lemo ridge": 30_000, "EASE": 10_000}
"""Items: beyond that training leaves the ridge out, and EASE's inverse alone takes minutes and gigabytes."""


def main() -> None:
    """Prints the table, or, as a process of the benchmark, what one fit took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES), help="interactions (default: all)")
    parser.add_argument("--rounds", type=int, default=2, help="of each model, in turns (default: 2)")
    parser.add_argument("--one", choices=MODELS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        matrix = sparse.csr_matrix(sparse.load_npz(arguments.folder / f"{arguments.sizes[0]}.npz"))
        fit = MODELS[arguments.one]
        fit(matrix[:500, :500])  # loads and compiles
        print(json.dumps(measure(lambda: fit(matrix))[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            compare(arguments.sizes, arguments.rounds, Path(folder))


def compare(sizes: list[str], rounds: int, folder: Path) -> None:
    """Runs all in turns and prints their seconds, memory and ratios."""
    print(f"{'interactions':>12}  {'model':<16}{'seconds':>9}{'times ours':>12}{'peak MB':>9}")
    for size in sizes:
        users, items, weights = interactions(size)
        matrix = sparse.csr_matrix((weights, (users, items)), shape=SIZES[size][1:])
        sparse.save_npz(folder / f"{size}.npz", matrix, compressed=False)
        names = [name for name in MODELS if matrix.shape[1] <= LARGEST.get(name, matrix.shape[1])]
        found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for _ in range(rounds):
            for name in names:
                found[name].append(in_a_process(__file__, "--one", name, "--sizes", size, "--folder", str(folder)))
        best = {name: min(each["seconds"] for each in rows) for name, rows in found.items()}
        for name, rows in found.items():
            megabytes = max(each["megabytes"] for each in rows)
            print(
                f"{size:>12}  {name:<16}{best[name]:>9.3f}{best[name] / best[OURS]:>12.2f}{megabytes:>9.0f}", flush=True
            )


def item_knn(matrix: CSR) -> Any:
    """What the blend's behaviour part is fitted with."""
    from lemo.recommenders.sources.item_knn import item_similarity

    return item_similarity(matrix, 20.0, 100)


def ridge(matrix: CSR) -> Any:
    """The neighbourhood ridge that the ranker's evidence holds, with the similarity that finds the neighbours."""
    from lemo.recommenders.sources.item_knn import Ranked, counting
    from lemo.recommenders.sources.ridge import neighbourhood_ridges

    likes = counting(matrix)
    near, _ = Ranked.of(likes).nearest(np.arange(likes.shape[1]), 20.0, 30)
    return neighbourhood_ridges(likes, near, [30], [(100.0, 0.0)])


def als(matrix: CSR) -> Any:
    """implicit's ALS as it comes, but for the number of factors."""
    from implicit.cpu.als import AlternatingLeastSquares

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about OpenBLAS's threads
        AlternatingLeastSquares(factors=FACTORS).fit(matrix, show_progress=False)


def bpr(matrix: CSR) -> Any:
    """implicit's BPR as it comes, but for the number of factors."""
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    BayesianPersonalizedRanking(factors=FACTORS).fit(matrix, show_progress=False)


def ease(matrix: CSR) -> Any:
    """EASE (Steck, 2019): one inverse of items x items."""
    gram = (matrix.T @ matrix).toarray().astype(np.float64)
    gram[np.diag_indices(len(gram))] += 200
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


MODELS: dict[str, Callable[[CSR], Any]] = {
    OURS: item_knn,
    "lemo ridge": ridge,
    "implicit ALS": als,
    "implicit BPR": bpr,
    "EASE": ease,
}


if __name__ == "__main__":
    main()
