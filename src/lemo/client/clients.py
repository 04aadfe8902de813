"""The clients: the same methods, once for threads and once for asyncio."""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from lemo.client import calls
from lemo.client.calls import Accepted, Answer, Call, LemoRefused, LemoUnavailable

TIMEOUT_SECONDS = 5.0
RETRIES = 2
_AGAIN = frozenset((429, 502, 503, 504))
"""Answers after which the same call may succeed. Items and events count once, however often they are sent."""
_LONGEST_PAUSE = 5.0
_LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1"))


class _Settings:
    """What both clients are made of."""

    def __init__(
        self, url: str, key: str, scenario: str, timeout: float = TIMEOUT_SECONDS, retries: int = RETRIES
    ) -> None:
        """`retries` are made after a connection that failed and an answer that asks for them, with growing pauses."""
        self._scenario = scenario
        self._retries = retries
        self._options: dict[str, Any] = {
            "base_url": url,
            "headers": {"Authorization": f"Bearer {key}"},
            "timeout": timeout,
            # A proxy of the environment cannot reach the loopback interface of this machine.
            "trust_env": httpx.URL(url).host not in _LOOPBACK,
        }

    def _read(self, response: httpx.Response | Exception, attempt: int) -> tuple[Any, float]:
        """The JSON of an answer and 0, or None and the seconds until the next attempt; raises when there is none."""
        if isinstance(response, httpx.Response):
            if response.is_success:
                return response.json(), 0.0
            detail = _detail(response)
            if response.status_code not in _AGAIN:
                raise LemoRefused(response.status_code, detail)
            asked = response.headers.get("retry-after", "")
            pause = float(asked) if asked.isdecimal() else _pause(attempt)
        else:
            detail, pause = f"{type(response).__name__}: {response}", _pause(attempt)
        if attempt >= self._retries:
            raise LemoUnavailable(detail)
        return None, min(pause, _LONGEST_PAUSE)


class Client(_Settings):
    """A scenario of a Lemo installation. Safe for threads; close it, or use it in a `with` block."""

    def __init__(
        self, url: str, key: str, scenario: str, timeout: float = TIMEOUT_SECONDS, retries: int = RETRIES
    ) -> None:
        super().__init__(url, key, scenario, timeout, retries)
        self._http = httpx.Client(**self._options)

    def recommend(
        self, user_id: str | None = None, *, session: Sequence[Any] = (), n: int = 10, **wishes: Any
    ) -> Answer:
        """The n best items for a user, the items of a session, or both; wishes such as `filter` as in the API."""
        return Answer.of(self._call(calls.recommendations(self._scenario, user_id, session, n, wishes)))

    def similar(self, *item_ids: str, n: int = 10, **wishes: Any) -> Answer:
        """The n items most similar to one item, or to several together."""
        return Answer.of(self._call(calls.similar(self._scenario, item_ids, n, wishes)))

    def popular(self, n: int = 10, user_id: str | None = None, session_id: str | None = None) -> Answer:
        """The n items with the largest sum of decayed weights of their interactions; who asks is for experiments."""
        call = calls.listed(self._scenario, "popular", n, user_id=user_id, session_id=session_id)
        return Answer.of(self._call(call))

    def latest(self, n: int = 10) -> Answer:
        """The n newest items."""
        return Answer.of(self._call(calls.listed(self._scenario, "latest", n)))

    def send_items(self, items: Sequence[Mapping[str, Any]]) -> Accepted:
        """Writes items, up to 10,000; when this returns, the accepted ones are durably in the ingest log."""
        return Accepted.of(self._call(calls.sent(self._scenario, "items", items)))

    def send_events(self, events: Sequence[Mapping[str, Any]]) -> Accepted:
        """Sends events, up to 10,000; when this returns, the accepted ones are durably in the ingest log."""
        return Accepted.of(self._call(calls.sent(self._scenario, "events", events)))

    def close(self) -> None:
        """Closes connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, call: Call) -> Any:
        attempt = 0
        while True:
            response: httpx.Response | Exception
            try:
                response = self._http.request(call.method, call.path, params=call.params, json=call.json)
            except httpx.TransportError as error:
                response = error
            body, pause = self._read(response, attempt)
            if body is not None:
                return body
            attempt += 1
            time.sleep(pause)


class AsyncClient(_Settings):
    """The same for asyncio; close it, or use it in an `async with` block."""

    def __init__(
        self, url: str, key: str, scenario: str, timeout: float = TIMEOUT_SECONDS, retries: int = RETRIES
    ) -> None:
        super().__init__(url, key, scenario, timeout, retries)
        self._http = httpx.AsyncClient(**self._options)

    async def recommend(
        self, user_id: str | None = None, *, session: Sequence[Any] = (), n: int = 10, **wishes: Any
    ) -> Answer:
        """The n best items for a user, the items of a session, or both; wishes such as `filter` as in the API."""
        return Answer.of(await self._call(calls.recommendations(self._scenario, user_id, session, n, wishes)))

    async def similar(self, *item_ids: str, n: int = 10, **wishes: Any) -> Answer:
        """The n items most similar to one item, or to several together."""
        return Answer.of(await self._call(calls.similar(self._scenario, item_ids, n, wishes)))

    async def popular(self, n: int = 10, user_id: str | None = None, session_id: str | None = None) -> Answer:
        """The n items with the largest sum of decayed weights of their interactions; who asks is for experiments."""
        call = calls.listed(self._scenario, "popular", n, user_id=user_id, session_id=session_id)
        return Answer.of(await self._call(call))

    async def latest(self, n: int = 10) -> Answer:
        """The n newest items."""
        return Answer.of(await self._call(calls.listed(self._scenario, "latest", n)))

    async def send_items(self, items: Sequence[Mapping[str, Any]]) -> Accepted:
        """Writes items, up to 10,000; when this returns, the accepted ones are durably in the ingest log."""
        return Accepted.of(await self._call(calls.sent(self._scenario, "items", items)))

    async def send_events(self, events: Sequence[Mapping[str, Any]]) -> Accepted:
        """Sends events, up to 10,000; when this returns, the accepted ones are durably in the ingest log."""
        return Accepted.of(await self._call(calls.sent(self._scenario, "events", events)))

    async def close(self) -> None:
        """Closes connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _call(self, call: Call) -> Any:
        attempt = 0
        while True:
            response: httpx.Response | Exception
            try:
                response = await self._http.request(call.method, call.path, params=call.params, json=call.json)
            except httpx.TransportError as error:
                response = error
            body, pause = self._read(response, attempt)
            if body is not None:
                return body
            attempt += 1
            await asyncio.sleep(pause)


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return response.text[:300]


def _pause(attempt: int) -> float:
    # Not all clients at once: half of a growing time, and a random part of the other half.
    return float(0.1 * 2**attempt * (0.5 + random.random() / 2))
