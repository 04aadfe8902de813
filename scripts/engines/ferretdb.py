"""FerretDB, which speaks MongoDB's protocol over SQLite; built from its Go module."""

import json
import shutil
import struct
import subprocess
from pathlib import Path

from engines.engine import Engine, Lack, progress
from engines.process import LOOPBACK, Failed, choose_port, exchange, run, tail

VERSION = "v1.24.0"
MODULE = "github.com/FerretDB/FerretDB"

# {hello: 1, $db: "admin"} as BSON in an OP_MSG: what a driver asks first.
_HELLO = b"\x10hello\x00\x01\x00\x00\x00" + b"\x02$db\x00\x06\x00\x00\x00admin\x00" + b"\x00"
_BODY = struct.pack("<IB", 0, 0) + struct.pack("<i", 4 + len(_HELLO)) + _HELLO
HELLO = struct.pack("<iiii", 16 + len(_BODY), 1, 0, 2013) + _BODY


def serving(binary: Path, data: Path, state: Path, port: int) -> list[str | Path]:
    """The command that serves what the folder `data` holds, until it is stopped."""
    return [
        binary, "--handler=sqlite", f"--sqlite-url=file:{data}/", f"--state-dir={state}",
        f"--listen-addr={LOOPBACK}:{port}", "--debug-addr=-", "--telemetry=disable", "--log-level=warn",
    ]  # fmt: skip


def says_hello(port: int) -> bool:
    """Whether something that speaks MongoDB's protocol answers on the port."""
    return exchange(port, HELLO, b"isWritablePrimary")


class FerretDB(Engine):
    """FerretDB on a fresh SQLite folder."""

    name = "ferretdb"
    variable = "LEMO_TEST_MONGO_PORT"
    usual_port = 17004

    @property
    def binary(self) -> Path:
        """Where the executable is, or will be."""
        return self.folder / f"ferretdb-{VERSION}"

    def lacks(self) -> list[Lack]:
        if self.binary.exists() or shutil.which("go"):
            return []
        return [Lack("Go 1.22 or newer", "install Go from https://go.dev/dl (Debian 12's is too old)")]

    def install(self) -> None:
        if self.binary.exists():
            return
        log = self.folder / "install.txt"
        module = self.fresh("module")
        # `go install MODULE@VERSION` asks for the list of versions, which not every proxy has; a requirement does not.
        (module / "go.mod").write_text(f"module lemo.test/ferretdb\n\ngo 1.22\n\nrequire {MODULE} {VERSION}\n")
        with progress(self.name, f"building FerretDB {VERSION} with Go (about 2 minutes the first time)"):
            answer = subprocess.run(
                ["go", "mod", "download", "-json", MODULE], cwd=module, capture_output=True, text=True, check=False
            )
            log.write_text(answer.stdout + answer.stderr)
            if answer.returncode:
                raise Failed(f"Go could not fetch {MODULE}:\n{tail(log)}", "see whether this machine has a network")
            source = self.fresh("source")
            shutil.copytree(json.loads(answer.stdout)["Dir"], source, dirs_exist_ok=True, copy_function=shutil.copy)
            for path in (source, *source.rglob("*")):  # Go's module cache is read-only, and copies keep that
                path.chmod(0o755 if path.is_dir() else 0o644)
            (source / "build" / "version" / "version.txt").write_text(f"{VERSION}\n")
            part = self.folder / "ferretdb.part"
            run(["go", "build", "-ldflags=-s -w", "-o", part, "./cmd/ferretdb"], log, source)
        shutil.rmtree(source)
        shutil.rmtree(module)
        part.rename(self.binary)

    def url(self) -> str | None:
        port = self.daemon.port
        return f"mongodb://{LOOPBACK}:{port}/" if port else None

    def start(self) -> str:
        if not self.daemon.port:
            port = choose_port(self.variable, self.usual_port)
            self.daemon.start(serving(self.binary, self.fresh("data"), self.fresh("state"), port), port)
        port = self.daemon.port or 0
        self.daemon.wait(lambda: says_hello(port), 30)
        return f"mongodb://{LOOPBACK}:{port}/"
