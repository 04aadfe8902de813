"""Helm, which renders the chart; built from its Go module. Only `make test-deploy` asks for it."""

import os
import shutil
from pathlib import Path

from engines.engine import Engine, Lack, progress
from engines.process import run

VERSION = "v3.18.4"
MODULE = "helm.sh/helm/v3/cmd/helm"


class Helm(Engine):
    """Helm's executable; nothing runs."""

    name = "helm"

    @property
    def binary(self) -> Path:
        """Where the executable is, or will be."""
        return self.folder / f"helm-{VERSION}"

    def lacks(self) -> list[Lack]:
        if self.binary.exists() or shutil.which("go"):
            return []
        return [Lack("Go 1.24 or newer", "install Go from https://go.dev/dl (Debian 12's is too old)")]

    def install(self) -> None:
        if self.binary.exists():
            return
        part = self.fresh("bin")
        with progress(self.name, f"building Helm {VERSION} with Go (about 2 minutes the first time)"):
            command = ["go", "install", f"{MODULE}@{VERSION}"]
            run(command, self.folder / "install.txt", self.folder, {**os.environ, "GOBIN": str(part)})
        (part / "helm").rename(self.binary)

    def url(self) -> str | None:
        """The path of the executable."""
        return str(self.binary) if self.binary.exists() else None

    def start(self) -> str:
        return self.url() or ""

    def stop(self) -> bool:
        return False
