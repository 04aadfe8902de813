"""What the first page makes of runs and of the health of jobs."""

from datetime import UTC, datetime, timedelta

from lemo.console.home.reads import run_lines, troubles
from lemo.domain.run import Outcome, Run
from lemo.domain.scope import Scope
from lemo.scheduling.health import JobState

NOW = datetime(2026, 11, 28, 9, tzinfo=UTC)


def run(number: int, entry: str, outcome: Outcome = "ok", scenario: str = "shop", rows: int = 0) -> Run:
    return Run(
        run_id=str(number),
        entry=entry,
        scenario_id=scenario,
        trigger="schedule",
        outcome=outcome,
        queued_at=NOW - timedelta(minutes=number),
        rows_written=rows,
        error="Milvus did not answer." if outcome == "failed" else "",
    )


def test_runs_that_arriving_items_start_are_one_line_for_each_scenario_and_outcome() -> None:
    lines = run_lines(
        [
            run(1, "embed-items", rows=3),
            run(2, "train-model-daily"),
            run(3, "embed-items", rows=4),
            run(4, "embed-items", scenario="news"),
            run(5, "train-model-daily"),
            run(6, "embed-items", "failed"),
        ]
    )
    assert [(line.run.run_id, line.count, line.rows) for line in lines] == [
        ("1", 2, 7),
        ("2", 1, 0),
        ("4", 1, 0),
        ("5", 1, 0),
        ("6", 1, 0),
    ]


def test_runs_of_each_minute_are_one_line_too() -> None:
    minutely = [run(number, "aggregate-realtime-minutely") for number in range(1, 6)]
    lines = run_lines([*minutely, run(9, "train-model-daily")])
    assert [(line.run.run_id, line.count) for line in lines] == [("1", 5), ("9", 1)]


def state(entry: str, scenario: str, success: datetime | None, outcome: Outcome) -> JobState:
    return JobState(entry, Scope("t", scenario), NOW, success, run(1, entry, outcome, scenario), None, NOW)


def test_jobs_in_trouble_are_one_line_each_those_that_fail_first() -> None:
    yesterday = NOW - timedelta(days=1)
    lines = troubles(
        [
            state("a-overdue", "shop", yesterday, "ok"),
            state("train", "shop", yesterday, "failed"),
            state("train", "news", NOW, "failed"),
            state("similar", "shop", None, "failed"),
        ]
    )
    assert [(line.entry, line.failing, line.scenarios, line.last_success) for line in lines] == [
        ("similar", True, ["shop"], None),
        ("train", True, ["shop", "news"], yesterday),
        ("a-overdue", False, ["shop"], yesterday),
    ]
    assert lines[1].error == "Milvus did not answer."
