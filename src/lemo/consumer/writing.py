"""One batch on its way into the stores, while the next one is read."""

import threading
from collections.abc import Callable, Sequence

from lemo.consumer.sorting import Batch
from lemo.streams import Record


class Writing:
    """Writes a batch in a thread of its own, which ends with the process if a store never answers."""

    def __init__(self, records: Sequence[Record], batch: Batch, write: Callable[[Batch], None]) -> None:
        self.records = records
        self.batch = batch
        self._write = write
        self._error: BaseException | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="writer", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Whether all is written, after at most `seconds`; raises what stopped the writing."""
        ended = self._ended.wait(seconds)
        if self._error is not None:
            raise self._error
        return ended

    def _run(self) -> None:
        try:
            self._write(self.batch)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            self._error = error
        finally:
            self._ended.set()
