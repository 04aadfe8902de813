"""A YAML or JSON file that holds one object."""

from pathlib import Path
from typing import Any

import yaml

from lemo.domain.errors import InvalidInput

LARGEST = 1_000_000
"""Bytes of a file."""


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """The object in a file; raises InvalidInput, with the line of a fault. `what` is what it should hold, in words."""
    hint = f"Give a file with {what} in YAML or JSON."
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text) if len(text) <= LARGEST else None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise InvalidInput(f"{path} cannot be read: {reason}.", hint) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise InvalidInput(f"{path}{line}: {getattr(error, 'problem', None) or error}.", hint) from error
    if not isinstance(content, dict):
        raise InvalidInput(f"{path} holds no object.", hint)
    return content
