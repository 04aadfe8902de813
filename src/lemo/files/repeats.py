"""Which rows of an import repeat the id of an earlier row."""

from collections.abc import Hashable, Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

_Run = tuple[NDArray[np.int64], NDArray[np.int64]]


class Repeat(IntEnum):
    """What an id's coming means."""

    first = 0
    same = 1
    """It came before with the same contents."""
    other = 2
    """It came before with other contents."""


class Repeats:
    """The ids of an import and what they stood for, as hashes: 16 bytes a row, so that any file fits into memory."""

    def __init__(self) -> None:
        # Sorted arrays, each at least twice as long as the next: looking up and adding take the logarithm of all rows.
        self._runs: list[_Run] = []

    def check(self, ids: Sequence[str], contents: Sequence[Hashable]) -> list[Repeat]:
        """What each of the next rows is, in order."""
        keys = np.fromiter(map(hash, ids), np.int64, len(ids))
        marks = np.fromiter(map(hash, contents), np.int64, len(ids))
        unique, first, group = np.unique(keys, return_index=True, return_inverse=True)
        expected = marks[first]
        known = np.zeros(len(unique), bool)
        for run_keys, run_marks in self._runs:
            at = np.minimum(np.searchsorted(run_keys, unique), len(run_keys) - 1)
            hit = run_keys[at] == unique
            expected[hit] = run_marks[at[hit]]
            known |= hit
        self._add(unique[~known], expected[~known])
        found = np.where(marks == expected[group], Repeat.same, Repeat.other)
        found[first[~known]] = Repeat.first
        return [Repeat(value) for value in found.tolist()]

    def _add(self, keys: NDArray[np.int64], marks: NDArray[np.int64]) -> None:
        if not len(keys):
            return
        while self._runs and len(self._runs[-1][0]) < 2 * len(keys):
            older_keys, older_marks = self._runs.pop()
            keys, marks = np.concatenate((older_keys, keys)), np.concatenate((older_marks, marks))
            order = np.argsort(keys, kind="stable")
            keys, marks = keys[order], marks[order]
        self._runs.append((keys, marks))
