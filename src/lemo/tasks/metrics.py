"""The worker's own `/metrics`: its processes write their counts into one folder, and the main one adds them up."""

import os
import shutil
import tempfile
from pathlib import Path

import structlog

from lemo.settings import Settings

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Variable that makes prometheus_client share its numbers between the processes of a worker."""

log = structlog.get_logger()


def share_counts(settings: Settings, worker: str) -> None:
    """Called before the worker starts its processes, and before anything imports prometheus_client.

    The folder starts empty, as Prometheus expects of a process that starts anew.
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
    """Serves the worker's counts until the process ends. A port that is taken costs the metrics, not the worker."""
    from prometheus_client import CollectorRegistry, start_http_server
    from prometheus_client.multiprocess import MultiProcessCollector

    from lemo.jobs.measures import announce

    announce()
    if not settings.worker_metrics_port:
        return
    registry = CollectorRegistry()
    MultiProcessCollector(registry, os.environ[FOLDER])  # type: ignore[no-untyped-call]
    try:
        start_http_server(settings.worker_metrics_port, settings.worker_metrics_host, registry)
    except OSError as error:
        log.warning(
            "no metrics from this worker: its port is taken",
            port=settings.worker_metrics_port,
            error=error.strerror or str(error),
            mend="give it another LEMO_WORKER_METRICS_PORT, or 0 for none",
        )
    else:
        log.info("metrics", address=f"http://{settings.worker_metrics_host}:{settings.worker_metrics_port}/metrics")
