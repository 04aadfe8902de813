"""Every command of `lemo` that ends by itself, with values for what it must be given."""

from pathlib import Path
from typing import Any

import typer

from lemo.cli.main import app

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
