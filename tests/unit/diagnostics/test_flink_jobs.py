"""When a job of Flink is one to look at."""

import pytest

from lemo.diagnostics.flink_jobs import LATE_SECONDS, JobHealth


@pytest.mark.parametrize(
    ("state", "checkpoint", "started", "late"),
    [
        ("RUNNING", 3.0, 9_000.0, False),
        ("RUNNING", None, 3.0, False),
        ("RUNNING", None, LATE_SECONDS + 1.0, True),
        ("RUNNING", LATE_SECONDS + 1.0, 9_000.0, True),
        ("RESTARTING", 3.0, 9_000.0, True),
        ("", None, 0.0, True),
    ],
    ids=["runs", "just started", "never a checkpoint", "no more checkpoints", "restarts", "does not run"],
)
def test_a_job_is_late_by_its_state_and_its_last_checkpoint(
    state: str, checkpoint: float | None, started: float, late: bool
) -> None:
    assert JobHealth("sessions", state, checkpoint, started).late is late
