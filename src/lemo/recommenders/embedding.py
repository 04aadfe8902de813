"""Text embedding: TF-IDF of words and character n-grams, reduced by SVD (Deerwester et al., 1990)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class TextEmbedding:
    """A fitted embedding: plain arrays, no pickle."""

    features: Array
    """int64 (m,), sorted: the hashed features in use."""
    idf: Array
    """float32 (m,)."""
    components: Array
    """float32 (dimensions, m)."""

    @classmethod
    def fit(cls, texts: Sequence[str], dimensions: int, seed: int = 0) -> "TextEmbedding":
        """Learns from the texts; any corpus works, an empty one too."""
        raise NotImplementedError

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self.components.shape[0])

    def transform(self, texts: Sequence[str]) -> Array:
        """float32 (texts, dimensions), L2-normalised; a text without known features gives a row of zeros."""
        raise NotImplementedError

    def to_arrays(self) -> dict[str, Array]:
        """The model as named arrays."""
        raise NotImplementedError

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> "TextEmbedding":
        """What `to_arrays` gave."""
        raise NotImplementedError
