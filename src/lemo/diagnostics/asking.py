"""Asking many things at once, each for a bounded time, whatever a library does in its own threads and look-ups."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from lemo.diagnostics.reachability import Address
from lemo.diagnostics.report import Finding

ANSWER_SECONDS = 3.6
"""How long an engine that accepted a connection may take to answer: a report takes five seconds in all."""
Value = TypeVar("Value")


def in_thread(question: Callable[[], Value], name: str = "asking") -> "Future[Value]":
    """Asks in a thread that nobody waits for at exit, because name look-ups cannot be interrupted."""
    future: Future[Value] = Future()

    def run() -> None:
        try:
            future.set_result(question())
        except Exception as error:  # noqa: BLE001 - handed over to whoever asks the future
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name=name).start()
    return future


def asked(address: Address, question: Callable[[], Finding]) -> Finding:
    """The finding of `question`, timed; or why the engine at `address` did not answer it."""
    away = address.reach()
    return timed(question, address.explain) if away is None else away


def timed(question: Callable[[], Finding], explain: Callable[[Exception], Finding]) -> Finding:
    """The finding with the milliseconds that it took; `explain` makes one of the error that came instead."""
    started = time.perf_counter()
    try:
        # Not every client can be told how long it may take.
        finding = in_thread(question).result(ANSWER_SECONDS)
    except Exception as error:  # noqa: BLE001 - clients raise what they like; each error becomes a finding
        return explain(error)
    return finding.model_copy(update={"latency_ms": round((time.perf_counter() - started) * 1000, 2)})
