"""The doctor's report for the console: asked in the background, shared by all visitors."""

import asyncio
import time

from nicegui import run

from lemo.diagnostics.dependencies import JOB_ROWS
from lemo.diagnostics.doctor import examine
from lemo.diagnostics.report import Report
from lemo.settings import Settings

FRESH_SECONDS = 8.0


class Health:
    """Keeps the newest report for a few seconds, so that ten open pages ask the engines no more than one does."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._report: Report | None = None
        self._until = 0.0
        self._asking = asyncio.Lock()

    async def report(self) -> Report | None:
        """The report, at most some seconds old; the event loop goes on meanwhile. None while the console stops."""
        async with self._asking:
            if self._report is None or time.monotonic() > self._until:
                # Every tenant may see this; what names scenarios, the pages read for their tenant alone.
                self._report = await run.io_bound(examine, self._settings, None, JOB_ROWS)
                self._until = time.monotonic() + FRESH_SECONDS
            return self._report
