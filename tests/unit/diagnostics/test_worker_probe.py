"""What the doctor says of a worker by its state and the checks that it has completed."""

import pytest

from lemo.diagnostics.worker_probe import PATIENCE_SECONDS, Check, WorkerState, _found
from lemo.scheduling.jobs import QUEUES

TRAINING = ("lemo.run.train-model-daily", 30.0)


def worker(slots: int, *active: tuple[str, float]) -> WorkerState:
    return WorkerState("worker@here", QUEUES, slots, active, 0.0)


@pytest.mark.parametrize(
    ("state", "check", "found"),
    [
        (worker(2), Check((), 0.1), ("ok", "1 running")),
        (worker(2, TRAINING), Check((), 1.4), ("ok", "1 running")),
        (worker(2, TRAINING), Check(QUEUES, 1.6, 1.6), ("ok", "busy, 1 running")),
        (worker(2, TRAINING), Check(("default",), 1.6, PATIENCE_SECONDS + 1), ("missing", "1 running")),
        (worker(2), Check(("default",), 1.6, 1.6), ("missing", "1 running")),
        (worker(1, TRAINING), Check(QUEUES, 1.6, 20.0), ("warning", "busy, 1 running")),
    ],
)
def test_a_busy_worker_is_none_that_is_broken(state: WorkerState, check: Check, found: tuple[str, str]) -> None:
    finding = _found([state], check)
    assert (finding.state, finding.version) == found
    if found[1].startswith("busy"):
        assert "train-model-daily for 30 s" in finding.detail


def test_a_worker_of_other_queues_is_no_excuse() -> None:
    training = WorkerState("worker@there", ("model_training",), 2, (TRAINING,), 0.0)
    rest = WorkerState("worker@here", tuple(set(QUEUES) - {"model_training"}), 2, (), 0.0)
    assert _found([training, rest], Check(("default",), 1.6, 1.6)).state == "missing"
