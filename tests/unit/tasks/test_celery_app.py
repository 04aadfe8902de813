"""The Celery app: what is routed is consumed, what is scheduled exists, and the names are the design's."""

from lemo.jobs.catalog import JOBS
from lemo.tasks.celery_app import QUEUES, app
from lemo.tasks.crontab import crontab_of

DESIGN = {
    "train-model-daily": "0 3 * * *",
    "compute-item-similarity-hourly": "0 * * * *",
    "update-user-profiles-2hours": "0 */2 * * *",
    "precompute-recommendations-4hours": "0 */4 * * *",
    "cleanup-expired-cache-daily": "0 4 * * *",
}


def test_the_schedule_is_the_designs() -> None:
    schedule = app.conf.beat_schedule
    assert {name: entry["schedule"] for name, entry in schedule.items()} == {
        name: crontab_of(cron) for name, cron in DESIGN.items()
    }


def test_every_scheduled_and_routed_task_exists() -> None:
    app.loader.import_default_modules()
    wanted = {entry["task"] for entry in app.conf.beat_schedule.values()} | set(app.conf.task_routes)
    assert wanted <= set(app.tasks)
    assert set(app.conf.task_routes) == {f"lemo.run.{entry}" for entry in JOBS}


def test_the_worker_consumes_exactly_the_queues_that_tasks_are_routed_to() -> None:
    routed = {route["queue"] for route in app.conf.task_routes.values()}
    scheduled = {entry["options"]["queue"] for entry in app.conf.beat_schedule.values()}
    assert set(app.amqp.queues.consume_from) == routed | scheduled == set(QUEUES)


def test_only_json_is_accepted() -> None:
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_serializer == app.conf.result_serializer == "json"


def test_tasks_end_before_the_broker_would_deliver_them_again() -> None:
    assert app.conf.task_soft_time_limit < app.conf.task_time_limit
    assert app.conf.task_time_limit < app.conf.broker_transport_options["visibility_timeout"]
