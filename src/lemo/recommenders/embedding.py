"""Text embedding: TF-IDF of words and character n-grams, reduced by SVD (Deerwester et al., 1990)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

Array = np.ndarray[Any, Any]
CSR = sparse.csr_matrix

FEATURES = 2**16
"""Buckets that words and n-grams are hashed into; stateless, so that there is no vocabulary to keep."""
LONGEST_TEXT = 4_000
"""Characters of a text that are read: the beginning says what it is about."""
WORD = re.compile(r"\w+")
UNSPACED = r"\u3400-\u9fff\uf900-\ufaff\u3040-\u30ff\uac00-\ud7af\u0e00-\u0e7f\U00020000-\U0003ffff"
"""Scripts whose words are not split by spaces, or whose syllables carry the meaning: Han, Kana, Hangul, Thai."""
UNSPACED_START = re.compile(f"[{UNSPACED}]")
RUN = re.compile(f"[{UNSPACED}]+|[^{UNSPACED}]+")


def tokens(text: str) -> Iterator[str]:
    """The words of a text with their character 2- to 4-grams; in Chinese, Japanese, Korean and Thai 1- to 3-grams."""
    for word in WORD.findall(text[:LONGEST_TEXT].lower()):
        for run in RUN.findall(word):
            if UNSPACED_START.match(run):
                yield from _grams(run, 1, 3)
            else:
                yield f"={run}"
                yield from _grams(f" {run} ", 2, 4)


def _grams(text: str, shortest: int, longest: int) -> Iterator[str]:
    for size in range(shortest, longest + 1):
        for start in range(len(text) - size + 1):
            yield text[start : start + size]


@dataclass(frozen=True, eq=False)
class TextEmbedding:
    """A fitted embedding: plain arrays, no pickle."""

    features: Array
    """int64 (m,), rising: the hashed features in use."""
    idf: Array
    """float32 (m,): logarithm of a feature's rarity."""
    components: Array
    """float32 (dimensions, m)."""

    @classmethod
    def fit(cls, texts: Sequence[str], dimensions: int, seed: int = 0) -> "TextEmbedding":
        """Learns from the texts; any corpus will do, an empty one too. The same seed gives the same model.

        Fewer texts than dimensions leave the last components at zero.
        """
        counts = _counted(texts)
        documents = np.bincount(counts.indices, minlength=FEATURES)
        features = np.flatnonzero(documents)
        idf = (np.log((1 + len(texts)) / (1 + documents[features])) + 1).astype(np.float32)
        components = np.zeros((dimensions, len(features)), dtype=np.float32)
        rank = min(dimensions, len(texts), len(features))
        if rank:
            # Imported here, as below: scikit-learn takes over a second, and most processes never embed a text.
            from sklearn.utils.extmath import randomized_svd

            weighted = _weighted(counts, features, idf)
            _, _, found = randomized_svd(weighted, rank, random_state=seed, flip_sign=True)
            components[:rank] = found
        return cls(features.astype(np.int64), idf, components)

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self.components.shape[0])

    def transform(self, texts: Sequence[str]) -> Array:
        """float32 (texts, dimensions), L2-normalised; a text without known features gives a row of zeros."""
        weighted = _weighted(_counted(texts), self.features, self.idf)
        vectors = np.asarray(weighted @ self.components.T, dtype=np.float32).reshape(len(texts), self.dimensions)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        # A text all of whose features the model knows nothing of has rounding noise for a direction.
        return np.where(norms > 1e-6, vectors / np.where(norms > 1e-6, norms, 1), 0).astype(np.float32)

    def to_arrays(self) -> dict[str, Array]:
        """The model as named arrays."""
        return {"features": self.features, "idf": self.idf, "components": self.components}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> "TextEmbedding":
        """What `to_arrays` gave; the arrays may be memory-mapped and read-only."""
        return cls(*(np.asarray(arrays[name]) for name in ("features", "idf", "components")))


def _counted(texts: Sequence[str]) -> CSR:
    """How often each feature is in each text, texts x FEATURES."""
    if not texts:
        nothing = np.zeros(0, dtype=np.int32)
        return sparse.csr_matrix((nothing.astype(np.float32), (nothing, nothing)), shape=(0, FEATURES))
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(
        analyzer=tokens, n_features=FEATURES, alternate_sign=False, norm=None, dtype=np.float32
    )
    return sparse.csr_matrix(vectorizer.transform(texts))


def _weighted(counts: CSR, features: Array, idf: Array) -> CSR:
    """TF-IDF with sublinear counts, rows L2-normalised, texts x features in use."""
    used = counts[:, features]
    used.data = (1 + np.log(used.data)) * idf[used.indices]
    rows = np.repeat(np.arange(used.shape[0]), np.diff(used.indptr))
    norms = np.sqrt(np.bincount(rows, weights=used.data.astype(np.float64) ** 2, minlength=used.shape[0]))
    used.data = (used.data / norms[rows]).astype(np.float32)
    return used
