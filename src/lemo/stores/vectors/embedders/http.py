"""Embeddings from an OpenAI-compatible HTTP endpoint, such as those of vLLM, Ollama and TEI."""

from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx
import numpy as np
import stamina

from lemo.domain.errors import EngineUnavailable, InvalidInput
from lemo.settings import Settings
from lemo.stores.vectors.embedders import LONGEST_TEXT, Array

TRIES = 4
"""Attempts at one batch, over some seconds; then the run is put off and comes again by itself."""
BUSY = (408, 409, 425, 429, 500, 502, 503, 504)
"""Answers after which asking again may help."""


class Busy(Exception):
    """The endpoint cannot answer now."""


class HttpEmbedder:
    """`POST {url}/embeddings` with a model's name; the key travels in the header alone, and into no log or error."""

    def __init__(self, settings: Settings, tries: int = TRIES) -> None:
        url = settings.embedding_url.get_secret_value() if settings.embedding_url else ""
        if not settings.embedding_model:
            raise InvalidInput(
                "LEMO_EMBEDDING_URL is set, but no model.", "Set LEMO_EMBEDDING_MODEL to the model's name there."
            )
        self._model = settings.embedding_model
        self._batch = settings.embedding_batch
        self._tries = tries
        self._wait = settings.embedding_timeout_seconds
        address = urlsplit(url)
        self._shown = f"{address.scheme}://{address.hostname}{f':{address.port}' if address.port else ''}{address.path}"
        key = settings.embedding_key.get_secret_value() if settings.embedding_key else ""
        self._client = httpx.Client(
            timeout=httpx.Timeout(self._wait, connect=min(5.0, self._wait)),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            # A user and a password in the URL are understood too, and stay out of what is shown.
            auth=(address.username, address.password or "") if address.username else None,
        )
        self._url = f"{self._shown.rstrip('/')}/embeddings"
        self.identity = f"http:{self._shown}:{self._model}"

    def embed(self, texts: Sequence[str]) -> Array:
        """float32 (texts, dimensions), asked for in batches."""
        batches = [texts[start : start + self._batch] for start in range(0, len(texts), self._batch)]
        return np.concatenate([self._embedded([text[:LONGEST_TEXT] for text in batch]) for batch in batches])

    def _embedded(self, texts: list[str]) -> Array:
        retried = stamina.retry(on=(Busy, httpx.TransportError), attempts=self._tries, wait_initial=0.2, wait_max=5.0)
        try:
            answer = retried(self._ask)(texts)
        except (Busy, httpx.TransportError) as error:
            reason = str(error) if isinstance(error, Busy) else type(error).__name__
            raise EngineUnavailable(
                f"The embedding endpoint {self._shown} did not answer: {reason}.",
                "Check that it runs, and LEMO_EMBEDDING_URL; a slow one needs a longer LEMO_EMBEDDING_TIMEOUT_SECONDS"
                " or a smaller LEMO_EMBEDDING_BATCH.",
            ) from None
        if answer.status_code != httpx.codes.OK:
            raise InvalidInput(
                f"The embedding endpoint {self._shown} refused the model {self._model!r} ({answer.status_code}):"
                f" {_said(answer)}.",
                "Check LEMO_EMBEDDING_KEY, LEMO_EMBEDDING_MODEL and LEMO_EMBEDDING_URL, which often ends in /v1.",
            )
        try:
            rows = sorted(answer.json()["data"], key=lambda row: int(row["index"]))
            vectors = np.array([row["embedding"] for row in rows], dtype=np.float32)
        except (ValueError, KeyError, TypeError):
            vectors = np.zeros(0, dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            raise InvalidInput(
                f"The embedding endpoint {self._shown} answered no vector for each text.",
                "It must speak OpenAI's interface: POST .../embeddings with `data[].embedding` in the answer.",
            )
        return vectors

    def _ask(self, texts: list[str]) -> httpx.Response:
        answer = self._client.post(self._url, json={"model": self._model, "input": texts, "encoding_format": "float"})
        if answer.status_code in BUSY:
            raise Busy(f"status {answer.status_code}")
        return answer

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()


def _said(answer: httpx.Response) -> str:
    """What the endpoint says is wrong, in one short line."""
    try:
        error = answer.json()["error"]
        text = error["message"] if isinstance(error, dict) else str(error)
    except (ValueError, KeyError, TypeError):
        text = answer.reason_phrase
    return " ".join(str(text).split())[:200].rstrip(".")
