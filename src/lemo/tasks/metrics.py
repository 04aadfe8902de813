"""The worker's `/metrics`: its processes write their values into one folder, and the main process adds them up."""

import os
import shutil
import tempfile
from pathlib import Path

import structlog

from lemo.settings import Settings
from lemo.telemetry.scraping import serve_registry

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Variable that makes prometheus_client share its values between the processes of a worker."""

log = structlog.get_logger()


def share_counts(settings: Settings, worker: str) -> None:
    """Prepares the shared folder, before the worker starts its processes and before prometheus_client is imported.

    The folder starts empty: counters of a new process start at 0.
    """
    folder = settings.state / "metrics" / "".join(char if char.isalnum() or char in ".-" else "_" for char in worker)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("counts of runs are kept in a temporary folder", folder=str(folder), error=str(error))
        folder = Path(tempfile.mkdtemp(prefix="lemo-metrics-"))
    os.environ[FOLDER] = str(folder)


def serve_metrics(settings: Settings) -> None:
    """Serves the worker's counts until the process ends."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    from lemo.scheduling.run_metrics import create_series

    create_series()
    registry = CollectorRegistry()
    MultiProcessCollector(registry, os.environ[FOLDER])  # type: ignore[no-untyped-call]
    serve_registry(settings, "worker", registry)
