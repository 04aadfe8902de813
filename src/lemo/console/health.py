"""The doctor's report for the console: shared by all visitors."""

import time
from threading import Lock

from lemo.diagnostics.dependencies import JOB_ROWS
from lemo.diagnostics.doctor import examine
from lemo.diagnostics.report import Report
from lemo.settings import Settings

FRESH_SECONDS = 8.0


class Health:
    """Keeps the newest report for a few seconds, so that ten open pages ask the engines no more than one does.

    Safe for threads.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._report: Report | None = None
        self._until = 0.0
        self._asking = Lock()

    def report(self) -> Report:
        """The report, at most some seconds old. It blocks while the engines are asked."""
        with self._asking:
            if self._report is None or time.monotonic() > self._until:
                # Every tenant may see this; what names scenarios, the pages read for their tenant alone.
                self._report = examine(self._settings, None, JOB_ROWS)
                self._until = time.monotonic() + FRESH_SECONDS
            return self._report
