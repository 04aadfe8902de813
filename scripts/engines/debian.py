"""Debian's packages, for a machine that runs the tests as root and may be changed (CI)."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from engines.engine import Lack, progress, say
from engines.process import Failed, run


def install(lacks: Sequence[Lack], services: Path) -> None:
    """Installs the packages of what lacks, all in one go; raises Failed when that cannot be done here."""
    packages = sorted({package for lack in lacks for package in lack.packages})
    if not packages:
        return
    hint = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(packages)}"
    if not shutil.which("apt-get"):
        raise Failed(f"this machine lacks {', '.join(lack.what for lack in lacks)} and has no apt-get", hint)
    if os.geteuid() != 0:
        raise Failed("packages can be installed by root only", hint)
    say("system", f"packages: {' '.join(packages)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    log = services / "apt.txt"
    with progress("system", "apt-get update"):
        run(["apt-get", "update", "-q"], log, services, quiet)
    with progress("system", "apt-get install"):
        run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages], log, services, quiet)
