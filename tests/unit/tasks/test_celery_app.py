"""The Celery app: what is routed is consumed, what is scheduled exists, and the names are the design's."""

import inspect
from pathlib import Path
from typing import Any

import pytest

from lemo.scheduling.crontab import crontab_of
from lemo.scheduling.jobs import JOBS, QUEUES
from lemo.scheduling.redbeat_entries import definition_of
from lemo.stores.documents.schedules import Schedules
from lemo.stores.documents.sqlite import SqliteDocuments
from lemo.tasks.celery_app import app

DESIGN = {
    "train-model-daily": "0 3 * * *",
    "compute-item-similarity-hourly": "0 * * * *",
    "update-user-profiles-2hours": "0 */2 * * *",
    "precompute-recommendations-4hours": "0 */4 * * *",
    "cleanup-expired-cache-daily": "0 4 * * *",
    "check-experiments-hourly": "20 * * * *",
    "aggregate-realtime-minutely": "* * * * *",
}


@pytest.fixture
def entries(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """What beat is given where nobody changed anything."""
    documents = SqliteDocuments(tmp_path / "documents.sqlite")
    found = {schedule.name: definition_of(schedule) for schedule in Schedules(documents).list()}
    documents.close()
    return found


def test_the_schedule_is_the_designs(entries: dict[str, dict[str, Any]]) -> None:
    assert {name: entry["schedule"] for name, entry in entries.items()} == {
        name: crontab_of(cron) for name, cron in DESIGN.items()
    }
    assert all(entry["enabled"] for entry in entries.values())


def test_no_entry_is_static() -> None:
    """RedBeat would enable a static entry again at each start, and so end a pause."""
    assert app.conf.beat_schedule == {}


def test_every_scheduled_and_routed_task_exists(entries: dict[str, dict[str, Any]]) -> None:
    app.loader.import_default_modules()
    wanted = {entry["task"] for entry in entries.values()} | set(app.conf.task_routes)
    assert wanted <= set(app.tasks)
    assert set(app.conf.task_routes) == {f"lemo.run.{entry}" for entry in JOBS}


@pytest.mark.parametrize("entry", JOBS)
def test_every_job_has_the_function_that_it_names(entry: str) -> None:
    assert callable(JOBS[entry].work())


def test_scheduled_tasks_take_what_their_entries_send(entries: dict[str, dict[str, Any]]) -> None:
    app.loader.import_default_modules()
    for entry in entries.values():
        inspect.signature(app.tasks[entry["task"]].run).bind(*entry["args"], **entry["kwargs"])


def test_the_worker_consumes_exactly_the_queues_that_tasks_are_routed_to(entries: dict[str, dict[str, Any]]) -> None:
    routed = {route["queue"] for route in app.conf.task_routes.values()}
    scheduled = {entry["options"]["queue"] for entry in entries.values()}
    assert set(app.amqp.queues.consume_from) == routed | scheduled == set(QUEUES)


def test_only_json_is_accepted() -> None:
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_serializer == app.conf.result_serializer == "json"


def test_tasks_end_before_the_broker_would_deliver_them_again() -> None:
    assert app.conf.task_soft_time_limit < app.conf.task_time_limit
    assert app.conf.task_time_limit < app.conf.broker_transport_options["visibility_timeout"]
