"""Boosted trees as arrays: trained by LightGBM, evaluated without it."""

import base64
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

Array = np.ndarray[Any, Any]

LEAVES = 8
"""Most leaves of a tree: one bit each in a byte."""
EXACT = float(1 << 30)
"""Leaves' values are whole numbers over this."""
_ALL = np.uint8(255)


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

    def scores(self, rows: Array) -> Array:
        """float64 (rows,): the sums for rows of finite features (rows x features)."""
        from lemo.recommenders.kernels.hybrid import tree_sums

        sums = np.empty(len(rows))
        tree_sums(np.ascontiguousarray(rows, dtype=np.float32), *self._nodes, sums)
        return sums

    @cached_property
    def _nodes(self) -> tuple[Array, Array, Array, Array]:
        """Copies of the arrays, because the kernel is compiled for arrays that may be written."""
        return self.features.astype(np.int64), self.thresholds.copy(), self.survivors.copy(), self.values.copy()


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
