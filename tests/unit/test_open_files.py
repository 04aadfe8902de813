"""The soft limit of open files is raised; a hard one that is too low is told with its true cause."""

import resource
import subprocess
import sys
from pathlib import Path


def limited(soft: int, hard: int, code: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    limits = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
    return subprocess.run(
        [sys.executable, "-c", limits + code], capture_output=True, text=True, check=False, cwd=folder
    )


def test_a_hard_limit_that_is_too_low_is_told_in_words(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['lemo', 'up', '--detach']; from lemo.cli.main import main; main()"
    found = limited(256, 256, code, tmp_path)
    assert found.returncode == 1
    assert "only 256 files and sockets open" in found.stderr
    assert "LimitNOFILE=65536" in found.stderr
    assert "minfds" not in found.stderr


def test_a_soft_limit_is_raised_by_itself(tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    code = "from lemo.embedded.open_files import check_limit; check_limit()\n"
    code += "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    found = limited(256, hard, code, tmp_path)
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) >= 1024
