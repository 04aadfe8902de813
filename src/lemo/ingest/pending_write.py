"""A batch that is being written to the stores while the next one is read."""

from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as NotDone

from lemo.ingest.batch import Batch
from lemo.streams import Record
from lemo.threads import run_in_thread


class PendingWrite:
    """Writes a batch in a daemon thread, which never keeps the process from ending."""

    def __init__(self, records: Sequence[Record], batch: Batch, write: Callable[[Batch], None]) -> None:
        self.records = records
        self.batch = batch
        self._future = run_in_thread(lambda: write(batch), "writer")

    def wait(self, seconds: float) -> bool:
        """Whether the batch is written, after at most `seconds`; raises the error that stopped it."""
        try:
            self._future.result(seconds)
        except NotDone:
            # The time-out of a store has the same class, and is an error.
            if self._future.done():
                raise
            return False
        return True
