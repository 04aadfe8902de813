"""A run that waits for another one tries again as often as it takes."""

from lemo.tasks.celery_app import app


def test_no_task_gives_up_after_a_number_of_retries() -> None:
    """For `retry(max_retries=None)` Celery takes the task's own limit, which would be 3."""
    app.loader.import_default_modules()
    app.finalize()
    ours = {name: task.max_retries for name, task in app.tasks.items() if name.startswith("lemo")}
    assert len(ours) >= 6
    assert set(ours.values()) == {None}
