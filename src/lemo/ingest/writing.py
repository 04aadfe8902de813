"""One batch on its way into the stores, while the next one is read."""

from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as Late

from lemo.ingest.sorting import Batch
from lemo.streams import Record
from lemo.threads import run_in_thread


class Writing:
    """Writes a batch in a thread of its own, which ends with the process if a store never answers."""

    def __init__(self, records: Sequence[Record], batch: Batch, write: Callable[[Batch], None]) -> None:
        self.records = records
        self.batch = batch
        self._written = run_in_thread(lambda: write(batch), "writer")

    def wait(self, seconds: float) -> bool:
        """Whether all is written, after at most `seconds`; raises what stopped the writing."""
        try:
            self._written.result(seconds)
        except Late:
            # A store's own time-out is one of these too, and an error.
            if self._written.done():
                raise
            return False
        return True
