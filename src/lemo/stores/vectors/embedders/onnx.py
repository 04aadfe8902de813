"""Sentence models as ONNX, by onnxruntime and tokenizers: no PyTorch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lemo.domain.errors import InvalidInput
from lemo.stores.vectors.embedders import LONGEST_TEXT, Array, folder_digest

MOST_TOKENS = 512
"""Tokens of a text that are read where the folder does not say."""


class OnnxEmbedder:
    """A transformer's encoder: the folder holds `tokenizer.json` beside the model.

    Its output is a vector per text, or one per token, which are then averaged, or the first taken where the folder
    says so (`1_Pooling/config.json`, as sentence-transformers write it).
    """

    def __init__(self, folder: Path, file: Path, batch: int) -> None:
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError as error:
            raise InvalidInput(
                f"The model {folder} needs the package {error.name}, which is not installed.",
                "pip install 'lemo-recommender[embeddings]'",
            ) from None
        words = folder / "tokenizer.json"
        if not words.is_file():
            raise InvalidInput(
                f"The model's folder {folder} holds no tokenizer.json.",
                "Copy it there from where the model comes from; it belongs to the model.",
            )
        self.identity = f"onnx:{folder_digest(folder)}"
        self._batch = batch
        self._tokenizer = Tokenizer.from_file(str(words))
        self._tokenizer.enable_truncation(_window(folder))
        self._tokenizer.enable_padding(pad_id=_pad(self._tokenizer))
        self._first = bool(_read(folder / "1_Pooling" / "config.json").get("pooling_mode_cls_token"))
        try:
            self._session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - onnxruntime's dozen errors have no base of their own
            raise InvalidInput(
                f"onnxruntime cannot read {file}: {str(error)[:300]}.", "Export the model again, or take another one."
            ) from None
        self._inputs = {each.name for each in self._session.get_inputs()}

    def embed(self, texts: Sequence[str]) -> Array:
        """float32 (texts, dimensions)."""
        # Texts of about the same length together: a batch is as long as its longest.
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        parts = [self._embedded([texts[place] for place in places]) for places in _batched(order, self._batch)]
        found = np.concatenate(parts)
        vectors = np.empty_like(found)
        vectors[order] = found
        return vectors

    def _embedded(self, texts: Sequence[str]) -> Array:
        encoded = self._tokenizer.encode_batch([text[:LONGEST_TEXT] for text in texts])
        mask = np.array([each.attention_mask for each in encoded], dtype=np.int64)
        given = {
            "input_ids": np.array([each.ids for each in encoded], dtype=np.int64),
            "attention_mask": mask,
            "token_type_ids": np.array([each.type_ids for each in encoded], dtype=np.int64),
        }
        output = np.asarray(
            self._session.run(None, {name: value for name, value in given.items() if name in self._inputs})[0],
            dtype=np.float32,
        )
        if output.ndim == 2:
            return output
        if self._first:
            return output[:, 0]
        weights = mask[:, :, None].astype(np.float32)
        return np.asarray((output * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1), dtype=np.float32)

    def close(self) -> None:
        """Nothing to let go of: memory goes with the object."""


def _batched(order: Sequence[int], size: int) -> list[Sequence[int]]:
    return [order[start : start + size] for start in range(0, len(order), size)]


def _window(folder: Path) -> int:
    """Tokens that the model takes, as its folder says."""
    for file, name in (
        ("sentence_bert_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
        ("config.json", "max_position_embeddings"),
    ):
        found = _read(folder / file).get(name)
        if isinstance(found, int) and 0 < found <= 100_000:
            return min(found, MOST_TOKENS)
    return MOST_TOKENS


def _pad(tokenizer: Any) -> int:
    found = (tokenizer.token_to_id(token) for token in ("[PAD]", "<pad>"))
    return next((id for id in found if id is not None), 0)


def _read(file: Path) -> dict[str, Any]:
    """A JSON object, empty where there is no such file."""
    if not file.is_file():
        return {}
    found = json.loads(file.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}
