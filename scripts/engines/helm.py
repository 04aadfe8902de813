"""Helm, which renders the chart; built from its Go module. Nothing runs: only `make test-deploy` needs it."""

import os
import shutil
import subprocess

from engines.engine import Engine, Lack, progress
from engines.process import Failed, tail

VERSION = "v3.18.4"
MODULE = "helm.sh/helm/v3/cmd/helm"


class Helm(Engine):
    """Helm's executable."""

    name = "helm"

    def lacks(self) -> list[Lack]:
        if self.binary.exists() or shutil.which("go"):
            return []
        return [Lack("Go 1.24 or newer", "install Go from https://go.dev/dl (Debian 12's is too old)")]

    @property
    def binary(self):  # noqa: ANN201
        """Where the executable is, or will be."""
        return self.folder / f"helm-{VERSION}"

    def install(self) -> None:
        if self.binary.exists():
            return
        log = self.folder / "install.txt"
        part = self.fresh("bin")
        with progress(self.name, f"building Helm {VERSION} with Go (about 2 minutes the first time)"), log.open("w") as out:
            code = subprocess.run(
                ["go", "install", f"{MODULE}@{VERSION}"], env={**os.environ, "GOBIN": str(part)},
                stdout=out, stderr=out, check=False,
            ).returncode  # fmt: skip
        if code:
            raise Failed(f"Go could not build Helm:\n{tail(log)}", "see whether this machine has a network")
        (part / "helm").rename(self.binary)

    def url(self) -> str | None:
        return str(self.binary) if self.binary.exists() else None

    def start(self) -> str:
        return str(self.binary)
