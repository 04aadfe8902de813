"""Embedded Milvus: the server of `milvus-lite`, which speaks Milvus's gRPC and keeps its data in one folder.

It writes ahead: rows that it acknowledged are there after a kill -9.
"""

import logging
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import structlog

from lemo.embedded.port_locks import check_port, claim_folder, engine_main

log = structlog.get_logger()

DEFAULT_PORT = 19531
PORT_SETTING = "LEMO_MILVUS_PORT"


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # the one thing on which milvus-lite closes its files


def serve(path: Path, port: int, host: str = "127.0.0.1") -> None:
    """Runs the server until SIGTERM or SIGINT; raises Conflict when the folder or the port is taken."""
    lock = claim_folder(path, "Milvus Lite")
    try:
        # gRPC binds with SO_REUSEPORT: without asking first, two servers would share the port and halve the answers.
        check_port(host, port, "Milvus Lite", PORT_SETTING)
        logging.getLogger("faiss").setLevel(logging.WARNING)  # it tells of each instruction set that it lacks
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pymilvus deprecates parts that milvus-lite itself imports
            from milvus_lite.adapter.grpc.server import run_server  # type: ignore[import-untyped]
        signal.signal(signal.SIGTERM, _stop)
        log.info("listening", engine="Milvus Lite", port=port)
        run_server(str(path / "data"), host, port)
    except KeyboardInterrupt:
        log.info("stopped while opening", engine="Milvus Lite")
    finally:
        lock.release()


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m lemo.embedded.milvus --path DIR --port P`; returns the exit code."""
    return engine_main(argv, "milvus", "Milvus Lite's server.", DEFAULT_PORT, serve)


if __name__ == "__main__":
    sys.exit(main())
