"""The contract of a source as checks: what `lemo sources check` runs, and what our own sources are tested with."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from lemo.domain.item import Item
from lemo.recommenders.data.catalogue import Catalogue
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.data.source_scores import SourceScores
from lemo.recommenders.evaluation.metrics import hits_of, ndcg
from lemo.recommenders.evaluation.splits import split
from lemo.recommenders.interfaces import Source

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

DAY_MS = 86_400_000
USERS, ITEMS, GROUPS = 120, 80, 4
FLOOR = 1.3
"""How many times the NDCG@10 of a random order a source must reach on the world below."""


class Check(NamedTuple):
    """One property that a source must have."""

    name: str
    passed: bool
    found: str = ""
    """What was found instead, where it failed."""


def check_source(source: type[Source]) -> Iterator[Check]:
    """Runs every check; an exception of the source fails the check that met it."""
    for check in (
        _fits_on_little,
        _scores_are_finite,
        _batch_equals_single,
        _is_deterministic,
        _arrays_round_trip,
        _reasons_are_of_the_history,
        _is_better_than_chance,
    ):
        name = check.__name__.strip("_").replace("_", " ")
        try:
            problem = check(source)
        except Exception as error:  # noqa: BLE001 - whatever a source raises is what is to be reported
            problem = f"{type(error).__name__}: {error}"
        yield Check(name, not problem, problem)


def example_world() -> Interactions:
    """Users who mostly like the items of their group; the group is each item's author and category."""
    random = np.random.default_rng(0)
    n = USERS * 20
    users = random.integers(0, USERS, n)
    own = random.random(n) < 0.8
    group = np.where(own, users % GROUPS, random.integers(0, GROUPS, n))
    place = random.geometric(0.2, n) % (ITEMS // GROUPS)
    items = place * GROUPS + group
    ids = [f"item-{code:03}" for code in range(ITEMS)]
    catalogue = [
        Item(item_id=item_id, title=item_id, author=f"author-{code % GROUPS}", categories=[f"category-{code % GROUPS}"])
        for code, item_id in enumerate(ids)
    ]
    return Interactions(
        [f"user-{code:03}" for code in range(USERS)],
        ids,
        users.astype(np.int32),
        items.astype(np.int32),
        np.sort(random.integers(0, 100 * DAY_MS, n)).astype(np.int64),
        np.ones(n, dtype=np.float32),
        np.ones(n, dtype=bool),
        Catalogue(lambda: catalogue),
    )


def _fitted(source: type[Source], interactions: Interactions) -> Source:
    (found,) = source.fit_many(interactions, [source.Config()])
    return found


def _queries(interactions: Interactions, users: int = 10) -> CSR:
    return interactions.query_matrix()[:users]


def _fits_on_little(source: type[Source]) -> str:
    world = example_world()
    one_user = world.where(world.users == 0)
    nothing = world.where(np.zeros(len(world), dtype=bool))
    for name, some in (
        ("no interactions", nothing),
        ("one interaction", world.where(np.arange(len(world)) < 1)),
        ("one user", one_user),
        ("one item", world.where(world.items == 0)),
        ("no user and no item", replace(nothing, user_ids=[], item_ids=[])),
        ("weights that are NaN", replace(world, weights=np.full(len(world), np.nan, dtype=np.float32))),
    ):
        try:
            scores = _fitted(source, some).scores(_queries(some))
        except Exception as error:  # noqa: BLE001
            return f"with {name}: {type(error).__name__}: {error}"
        if len(scores) != min(10, len(some.user_ids)):
            return f"with {name}: scores of {len(scores)} users instead of {min(10, len(some.user_ids))}"
    return ""


def _scores_are_finite(source: type[Source]) -> str:
    world = example_world()
    weights = world.weights.copy()
    weights[::5] = np.nan
    scores = _fitted(source, replace(world, weights=weights)).scores(_queries(world))
    if not np.isfinite(scores.values).all():
        return "NaN or infinite scores where some weights are NaN"
    rising = all((np.diff(scores.row(user)[0]) > 0).all() for user in range(len(scores)))
    return "" if rising else "the columns of a row do not rise"


def _same(one: SourceScores, other: SourceScores) -> bool:
    pairs = ((one.starts, other.starts), (one.columns, other.columns), (one.values, other.values))
    return all(np.array_equal(ours, theirs) for ours, theirs in pairs)


def _batch_equals_single(source: type[Source]) -> str:
    world = example_world()
    fitted, queries = _fitted(source, world), _queries(world, 30)
    batch = fitted.scores(queries)
    for user in range(30):
        single = fitted.scores(queries[user : user + 1])
        if not all(np.array_equal(ours, theirs) for ours, theirs in zip(single.row(0), batch.row(user), strict=True)):
            return f"user {user} gets other scores alone than in a batch"
    return ""


def _is_deterministic(source: type[Source]) -> str:
    world = example_world()
    shuffled = world.where(np.random.default_rng(1).permutation(len(world)))
    first, second, other = (_fitted(source, each).scores(_queries(world)) for each in (world, world, shuffled))
    if not _same(first, second):
        return "two fits on the same interactions give other scores"
    alike = np.array_equal(first.columns, other.columns) and np.allclose(first.values, other.values, rtol=1e-4)
    return "" if alike else "another order of the same interactions gives other scores"


def _arrays_round_trip(source: type[Source]) -> str:
    world = example_world()
    fitted = _fitted(source, world)
    with tempfile.TemporaryDirectory() as folder:
        mapped = {}
        for name, array in fitted.to_arrays().items():
            np.save(Path(folder, f"{name}.npy"), array)
            mapped[name] = np.load(Path(folder, f"{name}.npy"), mmap_mode="r")
        again = source.from_arrays(fitted.config, mapped, len(world.item_ids))
        same = _same(fitted.scores(_queries(world)), again.scores(_queries(world)))
    return "" if same else "scores differ after to_arrays, a memory-mapped file and from_arrays"


def _reasons_are_of_the_history(source: type[Source]) -> str:
    world = example_world()
    fitted, queries = _fitted(source, world), _queries(world)
    for user in range(queries.shape[0]):
        queried = queries.indices[queries.indptr[user] : queries.indptr[user + 1]]
        weights = queries.data[queries.indptr[user] : queries.indptr[user + 1]]
        because = fitted.because(np.arange(len(world.item_ids)), queried, weights)
        if not set(because.tolist()) <= {-1, *queried.tolist()}:
            return "an item is explained by one that the user never had"
    return ""


def _is_better_than_chance(source: type[Source]) -> str:
    parts = split(example_world())
    fitted = _fitted(source, parts.train)
    seen = parts.train.seen_csr()[parts.users].toarray()
    scores = fitted.scores(parts.train.query_matrix()[parts.users])
    dense = np.zeros(seen.shape)
    for user in range(len(scores)):
        columns, values = scores.row(user)
        dense[user, columns] = values
    counts = np.diff(parts.relevant.indptr)

    def quality(values: Array) -> float:
        order = np.argsort(-np.where(seen, -np.inf, values), axis=1, kind="stable")[:, :10]
        return float(ndcg(hits_of(order, parts.relevant), counts).mean())

    ours, chance = quality(dense), quality(np.random.default_rng(2).random(seen.shape))
    return "" if ours >= FLOOR * chance else f"NDCG@10 {ours:.3f} on the example world; a random order has {chance:.3f}"
