"""Models that only sentence-transformers can read, which brings PyTorch and so is nobody's dependency but yours."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lemo.domain.errors import InvalidInput
from lemo.stores.vectors.embedders import LONGEST_TEXT, Array, folder_digest


class SentenceTransformersEmbedder:
    """A folder as `SentenceTransformer.save` writes it; nothing is fetched from a hub."""

    def __init__(self, folder: Path, batch: int) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise InvalidInput(
                f"The model {folder} holds no ONNX file, and the package sentence-transformers is not installed.",
                "Export the model to ONNX (optimum-cli export onnx), or: pip install sentence-transformers",
            ) from None
        self.identity = f"sentence-transformers:{folder_digest(folder)}"
        self._batch = batch
        self._model = SentenceTransformer(str(folder), local_files_only=True)

    def embed(self, texts: Sequence[str]) -> Array:
        """float32 (texts, dimensions)."""
        shortened = [text[:LONGEST_TEXT] for text in texts]
        found = self._model.encode(shortened, batch_size=self._batch, show_progress_bar=False, convert_to_numpy=True)
        return np.asarray(found, dtype=np.float32)

    def close(self) -> None:
        """Nothing to let go of: memory goes with the object."""
