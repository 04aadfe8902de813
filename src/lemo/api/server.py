"""The server that the API runs in, and the socket it listens on."""

import errno
import socket

import uvicorn
from fastapi import FastAPI

from lemo.api.hot_path import HotPath
from lemo.deadlines import DeadlineProtocol
from lemo.domain.errors import Conflict, InvalidInput


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
    """The HTTP server of the application."""
    return uvicorn.Server(
        uvicorn.Config(
            HotPath(app),
            http=DeadlineProtocol,
            log_config=None,
            # Its lines would hold the ids of users.
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=10,
        )
    )
