"""Embedded Milvus: the server of `milvus-lite`, which speaks Milvus's gRPC and keeps its data in one folder.

It writes ahead: rows that it acknowledged are there after a kill -9.
"""

import json
import logging
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import structlog

from lemo.embedded.port_locks import check_port, claim_folder, engine_main
from lemo.stores.damage import set_aside

log = structlog.get_logger()

DEFAULT_PORT = 19531
PORT_SETTING = "LEMO_MILVUS_PORT"


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # the one thing on which milvus-lite closes its files


def repair(data: Path, home: Path) -> bool:
    """Sets the folder aside, below `home/damaged`, if anything in it cannot be read: vectors can be made anew.

    Milvus Lite opens a collection when somebody asks for it, and then fails each call about it. True if it was so.
    """
    if not data.exists():
        return False
    try:
        _read_all(data)
    except KeyboardInterrupt:
        raise
    except Exception as error:  # noqa: BLE001 - whatever its libraries raise on bytes that they did not write
        why = f"Milvus Lite's folder cannot be read ({type(error).__name__}: {str(error).splitlines()[0][:200]})."
        done = "It starts empty; a worker embeds all items again, until then nothing is similar by its text."
        set_aside(home, "milvus", [data], why, done)
        return True
    return False


def _read_all(data: Path) -> None:
    """Opens each collection as the server would, and reads what it holds; raises whatever is wrong."""
    import pyarrow
    from milvus_lite.db import MilvusLite  # type: ignore[import-untyped]
    from pyarrow import parquet

    aliases = data / "aliases.json"
    if aliases.exists():
        json.loads(aliases.read_text("utf-8"))
    for log_file in data.glob("collections/*/wal/*.arrow"):
        with pyarrow.OSFile(str(log_file), "rb") as source:
            if source.size() == 0:  # made, and the server killed before the first row
                continue
            for batch in pyarrow.ipc.open_stream(source):
                batch.validate(full=True)
    # It would take the manifest before, or none, and delete the files that that does not name.
    for manifest in [
        folder / "manifest.json" for folder in data.glob("collections/*") if any(folder.rglob("*.parquet"))
    ]:
        for partition, files in json.loads(manifest.read_text("utf-8"))["partitions"].items():
            for name in [*files["data_files"], *files["delta_files"]]:
                parquet.read_table(manifest.parent / "partitions" / partition / name).validate(full=True)
    database = MilvusLite(str(data))
    try:
        for name in database.list_collections():
            database.get_collection(name).load()
    finally:
        database.close()


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
        repair(path / "data", path.parent)
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
