"""What something costs, measured in a process of its own, where nothing else has had memory before."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")


def in_a_process(script: str, *arguments: str) -> dict[str, float]:
    """The JSON that a script prints in its last line."""
    done = subprocess.run([sys.executable, script, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(work: Callable[[], Value]) -> tuple[Value, dict[str, float]]:
    """What it returns, its seconds, and the megabytes that it took at its peak beyond the peak before."""
    before, started = _peak(), time.perf_counter()
    found = work()
    return found, {"seconds": time.perf_counter() - started, "megabytes": _peak() - before}


def _peak() -> float:
    """The most memory that this process had so far, in megabytes."""
    status = Path("/proc/self/status")
    if status.exists():  # the other number counts what the process was forked from
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
