"""The server that the API runs in, and the socket it listens on."""

import errno
import multiprocessing
import os
import shutil
import signal
import socket
from pathlib import Path
from threading import Thread
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from lemo.api.hot_path import HotPath
from lemo.api.origins import Cors
from lemo.api.traced import traced
from lemo.deadlines import DeadlineProtocol
from lemo.domain.errors import Conflict, InvalidInput
from lemo.settings import Settings


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address; raises Conflict or InvalidInput, naming the setting, where that cannot be done."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"Port {port} on {host} is in use, so the API cannot listen there.",
                "Stop what listens there, or set LEMO_API_PORT to a free port.",
            ) from error
        raise InvalidInput(
            f"The API cannot listen on {host}, port {port}: {error.strerror}.",
            "Set LEMO_API_HOST to an address of this machine, and LEMO_API_PORT to a port you may use.",
        ) from error


def server_of(app: FastAPI) -> uvicorn.Server:
    """The HTTP server of the application, in this process."""
    return uvicorn.Server(_config(_layered(app)))


def run_processes(settings: Settings, listener: socket.socket) -> None:
    """Serves in several processes on one socket until stopped; one that dies is replaced within a second."""
    shutil.rmtree(_counts(settings), ignore_errors=True)
    config = _config("lemo.api.server:application", factory=True, workers=settings.api_workers)
    Multiprocess(config, sockets=[listener]).run()


def application() -> ASGIApp:
    """The application of one of several processes, which ends when its parent has died."""
    # Imported here, since the parent serves nothing.
    from lemo.api.app import create_app
    from lemo.stores.connect import Stores
    from lemo.telemetry.logging import configure
    from lemo.telemetry.tracing import start_traces

    settings = Settings()
    configure("api", settings)
    start_traces("api", settings)
    Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()
    app = create_app(Stores(settings, interactive=True), _counts(settings))
    return _layered(app)


def _layered(app: FastAPI) -> ASGIApp:
    """The application behind what must come before it."""
    return traced(Cors(HotPath(app), app.state), app.state)


def _counts(settings: Settings) -> Path:
    """Where the processes of this API count requests."""
    return settings.state / "metrics" / f"api-{settings.api_port}"


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _config(app: ASGIApp | str, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=DeadlineProtocol,
        log_config=None,
        # Its lines would hold the ids of users.
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        **more,
    )
