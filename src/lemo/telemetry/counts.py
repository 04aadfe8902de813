"""Counters and histograms in one block of integers, which the processes of a service may share.

They are for paths that take a hundred microseconds: a value takes a third of one. prometheus_client's own take 1 to 2
microseconds, and up to 5 where processes share them.
"""

import mmap
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from threading import Lock

import structlog
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

log = structlog.get_logger()

Labels = tuple[str, ...]
_BYTES = 8
_NANOSECONDS = 1_000_000_000


class Counts(Collector):
    """The metrics of a process, whose label values are all known at the start. Safe for threads.

    `keep` moves them into a file. `collect` then tells the sums over the files of its folder, those of processes that
    have died included, so that no counter falls.
    """

    def __init__(self) -> None:
        self._metrics: list[Counter | Histogram] = []
        self._size = 0
        self._folder: Path | None = None
        self.cells = memoryview(bytearray()).cast("q")
        self.lock = Lock()

    def counter(
        self, name: str, text: str, labels: Labels, rows: Sequence[Labels], shown: Sequence[Labels]
    ) -> "Counter":
        """A counter. Rows that are not `shown` appear with their first value: of these, Prometheus sees no increase."""
        made = Counter(self, self._size, name, text, labels, rows, shown)
        self._add(made, len(rows))
        return made

    def histogram(
        self, name: str, text: str, labels: Labels, rows: Sequence[Labels], limits: Sequence[float]
    ) -> "Histogram":
        """A histogram of durations with these upper limits, in seconds. Rows appear with their first value."""
        made = Histogram(self, self._size, name, text, labels, rows, limits)
        self._add(made, len(rows) * made.width)
        return made

    def _add(self, metric: "Counter | Histogram", size: int) -> None:
        self._metrics.append(metric)
        self._size += size
        self.cells = memoryview(bytearray(self._size * _BYTES)).cast("q")

    def keep(self, folder: Path, process: str) -> None:
        """Counts in a file of this process in the folder from now on; in memory, for itself, where that cannot be."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / f"{process}.counts").open("a+b") as file:
                file.truncate(self._size * _BYTES)
                self.cells = memoryview(mmap.mmap(file.fileno(), self._size * _BYTES)).cast("q")
        except OSError as error:
            log.warning("each process tells its own counts alone", folder=str(folder), error=str(error))
        else:
            self._folder = folder

    def collect(self) -> Iterator[Metric]:
        """The metrics, summed over the processes."""
        cells = self._summed()
        for metric in self._metrics:
            yield metric.family(cells)

    def _summed(self) -> Sequence[int]:
        if self._folder is None:
            return self.cells.tolist()
        found = [file.read_bytes() for file in self._folder.glob("*.counts")]
        whole = [memoryview(each).cast("q") for each in found if len(each) == self._size * _BYTES]
        return [sum(column) for column in zip(*whole, strict=True)]


class Counter:
    """A counter; `row` finds the number of a row once, for many calls of `add`."""

    def __init__(
        self,
        counts: Counts,
        start: int,
        name: str,
        text: str,
        labels: Labels,
        rows: Sequence[Labels],
        shown: Sequence[Labels],
    ) -> None:
        self._counts = counts
        self._start = start
        self._about = name, text, labels
        self.rows = {row: number for number, row in enumerate(rows)}
        self._shown = frozenset(shown)

    def add(self, row: int, amount: int = 1) -> None:
        """Counts so many."""
        with self._counts.lock:
            self._counts.cells[self._start + row] += amount

    def family(self, cells: Sequence[int]) -> Metric:
        """The rows that are not 0, and those that are always shown."""
        name, text, labels = self._about
        family = CounterMetricFamily(name, text, labels=labels)
        for row, number in self.rows.items():
            value = cells[self._start + number]
            if value or row in self._shown:
                family.add_metric(row, value)
        return family


class Histogram:
    """A histogram of durations."""

    def __init__(
        self,
        counts: Counts,
        start: int,
        name: str,
        text: str,
        labels: Labels,
        rows: Sequence[Labels],
        limits: Sequence[float],
    ) -> None:
        self._counts = counts
        self._start = start
        self._about = name, text, labels
        self._names = [*map(floatToGoString, limits), "+Inf"]
        self._limits = [round(limit * _NANOSECONDS) for limit in limits]
        self.width = len(limits) + 2
        """Cells of a row: one for each limit, one for what is above all, the sum."""
        self.rows = {row: number for number, row in enumerate(rows)}

    def observe(self, row: int, nanoseconds: int) -> None:
        """Counts a duration."""
        at = self._start + row * self.width
        with self._counts.lock:
            cells = self._counts.cells
            cells[at + bisect_left(self._limits, nanoseconds)] += 1
            cells[at + self.width - 1] += nanoseconds

    def family(self, cells: Sequence[int]) -> Metric:
        """The rows with a value."""
        name, text, labels = self._about
        family = HistogramMetricFamily(name, text, labels=labels)
        for row, number in self.rows.items():
            at = self._start + number * self.width
            *buckets, total = cells[at : at + self.width]
            if any(buckets):
                limits = list(zip(self._names, accumulate(map(float, buckets)), strict=True))
                family.add_metric(row, limits, total / _NANOSECONDS)
        return family
