"""Runs a probe of an engine within a bounded time, whatever the engine's client does in its threads and look-ups."""

import time
from collections.abc import Callable

from lemo.diagnostics.reachability import Address
from lemo.diagnostics.report import Finding
from lemo.threads import run_in_thread

ANSWER_SECONDS = 3.6
"""Longest time for the answer of an engine that accepted a connection. A whole report takes five seconds."""


def probe_at(address: Address, probe: Callable[[], Finding]) -> Finding:
    """The finding of the probe with its latency, or why the engine at the address is not reachable."""
    unreachable = address.reach()
    return timed_probe(probe, address.explain) if unreachable is None else unreachable


def timed_probe(probe: Callable[[], Finding], explain: Callable[[Exception], Finding]) -> Finding:
    """The finding of the probe with its latency in milliseconds. `explain` turns an error into a finding."""
    started = time.perf_counter()
    try:
        # Some clients take no time-out.
        finding = run_in_thread(probe, "probe").result(ANSWER_SECONDS)
    except Exception as error:  # noqa: BLE001 - clients raise what they like; each error becomes a finding
        return explain(error)
    return finding.model_copy(update={"latency_ms": round((time.perf_counter() - started) * 1000, 2)})
