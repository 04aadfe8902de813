"""Every command of `lemo` that ends by itself, with values for what it must be given; and a command as a process."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from lemo.cli import output
from lemo.cli.main import app, main

_FORKS = multiprocessing.get_context("forkserver")
# Importing these takes longer than most commands.
_FORKS.set_forkserver_preload(["lemo.cli.main", "celery", "pymongo", "redis", "scipy.sparse"])

SERVICES = ("up", "demo", "api", "worker", "beat", "consumer", "console", "engine")
"""What stays until it is stopped, and waits for engines as long as it takes."""
VALUES = {
    "entry": "train-model-daily",
    "scenario": "shop",
    "template": "vlog",
    "name": "other",
    "role": "read",
    "set": "active_days=9",
    "database": "postgresql",
    "kind": "items",
    "file": "out.jsonl",
    "pipeline": "pipeline.yaml",
}
OTHERS = {
    ("import items", "files"): "items.csv",
    ("import events", "files"): "events.csv",
    ("accounts role", "role"): "viewer",
}
"""Values where a parameter of this name means something else."""
MORE = {
    "recommend": ["--user", "u"],
    "pipeline edit": ["--set", "diversity.strength=0.5"],
    "pipeline check": ["--user", "u", "--set", "diversity.strength=0.5"],
    "experiments create": ["--arm", "control", "--arm", "new"],
    "experiments ship": ["--arm", "new"],
    "audience": ["--item", "a"],
    "scenarios create": ["--template", "news"],
    "accounts create": ["--role", "viewer"],
    "dead-letters replay": ["--all"],
    "jobs run": ["--wait"],
    "schedule run": ["--wait"],
    "schedule edit": ["--cron", "1 2 * * *"],
}


def leaves(command: Any, path: str = "") -> list[tuple[str, Any]]:
    inside = getattr(command, "commands", None)
    if not inside:
        return [(path, command)]
    return [found for name, sub in inside.items() for found in leaves(sub, f"{path} {name}".strip())]


COMMANDS = [(path, each) for path, each in leaves(typer.main.get_command(app)) if path.split()[0] not in SERVICES]


def words(path: str, command: Any) -> list[str]:
    """The command's name and values for what it must be given."""
    given = path.split()
    for parameter in command.params:
        if not parameter.required:
            continue
        value = OTHERS.get((path, parameter.name), VALUES.get(parameter.name, "nothing"))
        given += [value] if parameter.param_type_name == "argument" else [parameter.opts[0], value]
    return given + MORE.get(path, [])


def write_files(folder: Path) -> None:
    """The files that the words of some commands name."""
    (folder / "items.csv").write_text("item_id\na\n")
    (folder / "pipeline.yaml").write_text("filter: 'true'\n")
    (folder / "events.csv").write_text("user_id,item_id,action,timestamp\nu,a,view,1790000000\n")


def run_command(
    given: Sequence[str], environment: Mapping[str, str], folder: Path | None = None, seconds: float = 120
) -> "subprocess.CompletedProcess[str]":
    """Runs `lemo` in a process of its own in this folder; raises TimeoutExpired where it takes longer."""
    with tempfile.TemporaryDirectory() as told:
        out, errors = Path(told, "stdout"), Path(told, "stderr")
        where = (folder or Path.cwd(), dict(environment), out, errors)
        process = _FORKS.Process(target=_command, args=(list(given), *where))
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(list(given), seconds)
        said = [each.read_text("utf-8") for each in (out, errors)]
    return subprocess.CompletedProcess(list(given), process.exitcode, *said)


def _command(given: list[str], folder: Path, environment: dict[str, str], out: Path, errors: Path) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for file, descriptor in ((out, 1), (errors, 2)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    for console in (output.console, output.messages):  # made before this environment was
        console.width = int(environment.get("COLUMNS", 80))
    sys.argv = ["lemo", *given]
    main()
