"""All pairs of items by cosine, each with its 100 nearest: our kernel beside implicit and sparse_dot_topn.

Each runs in a process of its own, in turns, on the same weighted matrix with the same processors. Seconds are the best
of the rounds and hold all that a library does from users x items to its answer; memory is what the process took at its
peak beyond what it had before. Ours is checked against sparse_dot_topn's answer.
"""

import argparse
import json
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from populations import SIZES, interactions
from processes import in_a_process, measure

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

NEIGHBOURS = 100
OURS = "lemo"


def main() -> None:
    """Prints the table, or, as a process of the benchmark, what one library needed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES), help="interactions (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="of each library, in turns (default: 3)")
    parser.add_argument("--one", choices=LIBRARIES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measured(arguments.one, arguments.sizes[0], arguments.folder)))
    else:
        with tempfile.TemporaryDirectory() as folder:
            compare(arguments.sizes, arguments.rounds, Path(folder))


def compare(sizes: list[str], rounds: int, folder: Path) -> None:
    """Runs all in turns and prints their seconds, memory and ratios."""
    print(f"{NEIGHBOURS} nearest of all items by cosine of weighted columns, {processors()} processors\n")
    print(f"{'interactions':>12}  {'library':<18}{'seconds':>9}{'times ours':>12}{'peak MB':>9}")
    for size in sizes:
        users, items, weights = interactions(size)
        matrix = sparse.csr_matrix((weights, (users, items)), shape=SIZES[size][1:])
        sparse.save_npz(folder / f"{size}.npz", matrix, compressed=False)
        found: dict[str, list[dict[str, float]]] = {name: [] for name in LIBRARIES}
        for _ in range(rounds):
            for name in LIBRARIES:
                found[name].append(in_a_process(__file__, "--one", name, "--sizes", size, "--folder", str(folder)))
        best = {name: min(each["seconds"] for each in rows) for name, rows in found.items()}
        for name, rows in found.items():
            megabytes = max(each["megabytes"] for each in rows)
            print(f"{size:>12}  {name:<18}{best[name]:>9.3f}{best[name] / best[OURS]:>12.2f}{megabytes:>9.0f}")
        print(
            f"{'':>12}  largest difference from sparse_dot_topn's values: {difference(folder, size):.1e}\n", flush=True
        )


def measured(name: str, size: str, folder: Path) -> dict[str, float]:
    """Runs a library once on a little of the data, so that all is loaded and compiled, then on all of it."""
    matrix = sparse.csr_matrix(sparse.load_npz(folder / f"{size}.npz"))
    LIBRARIES[name](matrix[:50])
    found, cost = measure(lambda: LIBRARIES[name](matrix))
    if name != "implicit":  # beyond the K nearest it may keep others that are as near
        np.save(folder / f"{name}-{size}.npy", falling(found))
    return cost


def lemo(matrix: CSR) -> CSR:
    """Our kernel, as the others are: without shrinkage, and with all of everyone's items."""
    from lemo.recommenders.sources.item_knn import Ranked

    numbers, values = Ranked.of(matrix).nearest(np.arange(matrix.shape[1]), 0.0, NEIGHBOURS)
    starts = np.append(0, np.cumsum((numbers >= 0).sum(axis=1)))
    return sparse.csr_matrix((values[numbers >= 0], numbers[numbers >= 0], starts), shape=(len(numbers), len(numbers)))


def sparse_dot_topn(matrix: CSR) -> CSR:
    """Normalised columns multiplied with themselves; the item itself is one of its nearest."""
    from sparse_dot_topn import sp_matmul_topn

    lengths = np.sqrt(np.bincount(matrix.indices, np.square(matrix.data, dtype=np.float64), matrix.shape[1]))
    normal = sparse.csr_matrix(
        ((matrix.data / lengths[matrix.indices]).astype(np.float32), matrix.indices, matrix.indptr), matrix.shape
    )
    columns = normal.T.tocsr()
    return sparse.csr_matrix(sp_matmul_topn(columns, normal, top_n=NEIGHBOURS + 1, n_threads=processors()))


def implicit(matrix: CSR) -> CSR:
    """Its CosineRecommender; the item itself is one of its nearest."""
    from implicit.nearest_neighbours import CosineRecommender

    model = CosineRecommender(K=NEIGHBOURS + 1, num_threads=processors())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it converts a matrix of its own making
        model.fit(matrix, show_progress=False)
    return sparse.csr_matrix(model.similarity)


LIBRARIES: dict[str, Callable[[CSR], CSR]] = {
    OURS: lemo,
    "sparse_dot_topn": sparse_dot_topn,
    "implicit": implicit,
}


def falling(similarity: CSR) -> Array:
    """float32 (items, NEIGHBOURS): each item's similarities to others, best first."""
    rows = np.repeat(np.arange(similarity.shape[0]), np.diff(similarity.indptr))
    others = rows != similarity.indices
    rows, values = rows[others], similarity.data[others]
    order = np.lexsort((-values, rows))
    rows, values = rows[order], values[order]
    counts = np.bincount(rows, minlength=similarity.shape[0])
    places = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    table = np.zeros((similarity.shape[0], NEIGHBOURS), dtype=np.float32)
    table[rows[places < NEIGHBOURS], places[places < NEIGHBOURS]] = values[places < NEIGHBOURS]
    return table


def difference(folder: Path, size: str) -> float:
    """The largest between the same place of our answer and sparse_dot_topn's."""
    ours, theirs = (np.load(folder / f"{name}-{size}.npy") for name in (OURS, "sparse_dot_topn"))
    return float(np.abs(ours - theirs).max())


def processors() -> int:
    """How many processors each library may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    main()
