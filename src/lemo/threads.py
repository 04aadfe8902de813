"""A call in a thread of its own, which never keeps the process from ending."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Value = TypeVar("Value")


def run_in_thread(call: Callable[[], Value], name: str) -> "Future[Value]":
    """Starts the call in a daemon thread and returns its future.

    Executors wait for their threads at exit. A name look-up or a silent engine cannot be interrupted, so nobody may
    wait for these.
    """
    future: Future[Value] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except Exception as error:  # noqa: BLE001 - the future raises it for its reader
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name=name).start()
    return future
