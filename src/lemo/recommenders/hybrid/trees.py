"""Boosted trees as plain numbers: what LightGBM has learnt, asked without LightGBM."""

import base64
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

Array = np.ndarray[Any, Any]

LEAVES = 8
"""Most leaves of a tree: one bit each in a byte."""
BLOCK_CELLS = 1_000_000
"""Comparisons held at once."""
FEW_ROWS = 500
"""More rows than a request has are worth numba, which a process that answers requests need not load."""
EXACT = float(1 << 30)
"""Leaves' values are whole numbers over this."""
_ALL = np.uint8(255)
_LOWEST = np.array([8] + [(byte & -byte).bit_length() - 1 for byte in range(1, 256)], dtype=np.intp)
"""The place of the lowest bit of each byte."""


def _packed(values: Array) -> str:
    return base64.b85encode(np.ascontiguousarray(values).tobytes()).decode()


def _numbers(dtype: str) -> Any:
    """A field of little-endian numbers that is text in JSON."""

    def read(value: Any) -> Array:
        raw = base64.b85decode(value) if isinstance(value, str) else np.asarray(value, dtype=dtype).tobytes()
        return np.frombuffer(raw, dtype=dtype)

    return Annotated[Any, BeforeValidator(read), PlainSerializer(_packed, return_type=str)]


class Trees(BaseModel):
    """An ensemble of trees with at most 8 leaves, whose leaves' values add up to a score.

    QuickScorer (Lucchese et al., 2015): a node whose condition fails strikes out the leaves to its left, and the first
    leaf that remains is the one that is reached. There are no branches to follow: all rows and nodes are compared at
    once.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    features: _numbers("<i2")  # type: ignore[valid-type]
    """The feature that each node asks about, 7 nodes a tree."""
    thresholds: _numbers("<f8")  # type: ignore[valid-type]
    """A node's condition holds for features up to this; infinite for nodes that a tree does not need."""
    survivors: _numbers("u1")  # type: ignore[valid-type]
    """Bits of the leaves that are left where a node's condition fails."""
    values: _numbers("<f8")  # type: ignore[valid-type]
    """What each leaf adds, 8 leaves a tree."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Trees) and self.model_dump() == other.model_dump()

    def __hash__(self) -> int:
        return hash(self.values.tobytes())

    @cached_property
    def _steps(self) -> tuple[list[Array], Array]:
        """Per feature the thresholds that nodes ask about, rising; per node how many of its feature's are below its."""
        count = int(self.features.max(initial=-1)) + 1
        asked = np.isfinite(self.thresholds)
        steps = [np.unique(self.thresholds[asked & (self.features == feature)]) for feature in range(count)]
        places = np.array(
            [np.searchsorted(steps[feature], at) for feature, at in zip(self.features, self.thresholds, strict=True)]
        )
        return steps, places.astype(np.uint8 if max(map(len, steps), default=0) < 256 else np.uint16)

    def scores(self, rows: Array) -> Array:
        """float64 (rows,): the sums for rows of finite features (rows x features)."""
        if len(rows) > FEW_ROWS:
            from lemo.recommenders.kernels.hybrid import tree_sums

            sums = np.empty(len(rows))
            # Copies, because the kernel is compiled for arrays that may be written.
            thresholds, survivors, values = (array.copy() for array in (self.thresholds, self.survivors, self.values))
            tree_sums(rows, self.features.astype(np.int64), thresholds, survivors, values, sums)
            return sums
        steps, places = self._steps
        # How many thresholds a value is above: nodes then compare bytes.
        above = np.empty((len(steps), len(rows)), dtype=places.dtype)
        for feature, thresholds in enumerate(steps):
            above[feature] = np.searchsorted(thresholds, rows[:, feature])
        trees = len(self.values) // LEAVES
        leaves = np.arange(trees)[:, None] * LEAVES
        found = np.empty(len(rows))
        height = max(BLOCK_CELLS // max(len(self.features), 1), 1)
        for start in range(0, len(rows), height):
            asked = above[:, start : start + height][self.features] <= places[:, None]
            left = np.where(asked, _ALL, self.survivors[:, None]).reshape(trees, LEAVES - 1, -1)
            reached = _LOWEST[np.bitwise_and.reduce(left, axis=1)] + leaves
            # Values are multiples of 2**-30, so that sums are exact in whatever order.
            found[start : start + height] = self.values[reached].sum(axis=0)
        return found


def trees_of(dumped: list[dict[str, Any]]) -> Trees:
    """The trees of a LightGBM booster (`dump_model()["tree_info"]`), numeric splits only."""
    features = np.zeros((len(dumped), LEAVES - 1), dtype=np.int16)
    thresholds = np.full((len(dumped), LEAVES - 1), np.inf)
    survivors = np.full((len(dumped), LEAVES - 1), _ALL, dtype=np.uint8)
    values = np.zeros((len(dumped), LEAVES))
    for row, tree in enumerate(dumped):
        nodes = leaves = 0

        def walk(node: dict[str, Any], row: int = row) -> int:
            """Numbers nodes and leaves from left to right; returns the bits of the leaves below the node."""
            nonlocal nodes, leaves
            if "split_feature" not in node:
                values[row, leaves] = np.round(node["leaf_value"] * EXACT) / EXACT
                leaves += 1
                return 1 << (leaves - 1)
            place, nodes = nodes, nodes + 1
            features[row, place] = node["split_feature"]
            thresholds[row, place] = node["threshold"]
            left = walk(node["left_child"])
            survivors[row, place] = 255 & ~left
            return left | walk(node["right_child"])

        walk(tree["tree_structure"])
    return Trees(
        features=features.ravel(), thresholds=thresholds.ravel(), survivors=survivors.ravel(), values=values.ravel()
    )
