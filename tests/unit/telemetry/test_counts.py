"""Our counters and histograms tell what prometheus_client's would, and processes tell their sums."""

from pathlib import Path
from threading import Thread

import prometheus_client
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import capture_logs

from lemo.telemetry.counts import Counter, Counts, Histogram

LIMITS = (0.001, 0.5, 1)


def made() -> tuple[Counts, Counter, Histogram]:
    counts = Counts()
    first = counts.counter("lemo_a", "A.", ("x",), [("1",), ("2",)], [("1",), ("2",)])
    return counts, first, counts.histogram("lemo_b_seconds", "B.", ("y", "z"), [("1", "1"), ("1", "2")], LIMITS)


def text(counts: Counts) -> list[str]:
    registry = CollectorRegistry()
    registry.register(counts)
    return generate_latest(registry).decode().splitlines()


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3_000_000_000)), max_size=20))
def test_they_are_those_of_prometheus_client(values: list[tuple[int, int]]) -> None:
    counts, counter, histogram = made()
    registry = CollectorRegistry()
    theirs = prometheus_client.Counter("lemo_a", "A.", ("x",), registry=registry)
    seconds = prometheus_client.Histogram("lemo_b_seconds", "B.", ("y", "z"), registry=registry, buckets=LIMITS)
    theirs.labels("1")
    theirs.labels("2")
    for row, nanoseconds in values:
        counter.add(row, nanoseconds)
        histogram.observe(row, nanoseconds)
        theirs.labels(str(row + 1)).inc(nanoseconds)
        seconds.labels("1", str(row + 1)).observe(nanoseconds / 1e9)
    expected = [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]
    found = text(counts)
    assert sorted(line.rpartition(" ")[0] for line in found) == sorted(line.rpartition(" ")[0] for line in expected)
    for line in found:
        name, _, value = line.rpartition(" ")
        if not name.startswith("#"):
            wanted = next(each for each in expected if each.startswith(f"{name} "))
            assert abs(float(value) - float(wanted.rpartition(" ")[2])) < 1e-6, line


def test_processes_tell_their_sums_and_those_of_the_dead(tmp_path: Path) -> None:
    living, counter, histogram = made()
    living.keep(tmp_path / "api", "1")
    counter.add(1, 2)
    other, more, _ = made()
    other.keep(tmp_path / "api", "2")
    more.add(1, 3)
    histogram.observe(0, 700_000_000)
    (tmp_path / "api" / "9.counts").write_bytes(b"of another version")
    del other
    for line in ('lemo_a_total{x="2"} 5.0', 'lemo_b_seconds_bucket{le="1.0",y="1",z="1"} 1.0'):
        assert line in text(living)
    again, counter, _ = made()
    again.keep(tmp_path / "api", "2")  # a new process may have the number of a dead one
    counter.add(1)
    assert 'lemo_a_total{x="2"} 6.0' in text(living)


def test_where_no_file_can_be_the_process_counts_for_itself(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    counts, counter, _ = made()
    with capture_logs() as lines:
        counts.keep(tmp_path / "file" / "api", "1")
    counter.add(0)
    assert len(lines) == 1
    assert 'lemo_a_total{x="1"} 1.0' in text(counts)


def test_no_value_of_several_threads_is_lost() -> None:
    counts, counter, histogram = made()

    def count() -> None:
        for _ in range(20_000):
            counter.add(0)
            histogram.observe(1, 1)

    threads = [Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 'lemo_a_total{x="1"} 80000.0' in text(counts)
    assert 'lemo_b_seconds_count{y="1",z="2"} 80000.0' in text(counts)
