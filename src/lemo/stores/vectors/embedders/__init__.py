"""Sentence models of the user's own choice, from a local folder or behind an HTTP interface, behind one interface."""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lemo.domain.errors import InvalidInput
from lemo.settings import Settings

Array = np.ndarray[Any, Any]

LONGEST_TEXT = 8_000
"""Characters of a text that are handed to a model: more than its window takes anyway."""
ONNX_FILES = ("model.onnx", "onnx/model.onnx")
"""Where a folder may hold the model, the second as Hugging Face lays folders out."""
_CHUNK = 1 << 20


class Embedder(Protocol):
    """A sentence model."""

    @property
    def identity(self) -> str:
        """Names the model and its content: another identity, and every text has to be embedded anew."""

    def embed(self, texts: Sequence[str]) -> Array:
        """float32 (texts, dimensions) for texts that are not blank; raises EngineUnavailable, InvalidInput."""

    def close(self) -> None:
        """Lets go of connections and memory."""


def open_embedder(settings: Settings) -> Embedder | None:
    """The model that the settings name; None for TF-IDF, which is learnt from the items themselves.

    Raises InvalidInput where the folder or a package is missing.
    """
    if settings.embedding_url:
        from lemo.stores.vectors.embedders.http import HttpEmbedder

        return HttpEmbedder(settings)
    if not settings.embedding_model:
        return None
    folder = model_folder(settings)
    file = onnx_file(folder)
    if file is not None:
        from lemo.stores.vectors.embedders.onnx import OnnxEmbedder

        return OnnxEmbedder(folder, file, settings.embedding_batch)
    from lemo.stores.vectors.embedders.sentence_transformers import SentenceTransformersEmbedder

    return SentenceTransformersEmbedder(folder, settings.embedding_batch)


def model_folder(settings: Settings) -> Path:
    """The folder that LEMO_EMBEDDING_MODEL names; raises InvalidInput where there is none."""
    folder = Path(settings.embedding_model).expanduser().absolute()
    if not folder.is_dir():
        raise InvalidInput(
            f"LEMO_EMBEDDING_MODEL names the folder {folder}, which does not exist.",
            "Put the model there (model.onnx and tokenizer.json), or set LEMO_EMBEDDING_URL for one behind HTTP.",
        )
    return folder


def onnx_file(folder: Path) -> Path | None:
    """The folder's ONNX model, if it holds one."""
    return next((folder / name for name in ONNX_FILES if (folder / name).is_file()), None)


def folder_digest(folder: Path) -> str:
    """A hash of everything in a model's folder."""
    digest = blake2b(digest_size=16)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"\0{file.relative_to(folder)}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            while chunk := content.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()
