"""Changes on the command line: `--set FIELD=VALUE`, several of them as one object."""

import json
from collections.abc import Callable, Sequence
from typing import Any


def assigned(
    settings: Sequence[str], example: str, steps_of: Callable[[str], list[str]] = lambda path: path.split(".")
) -> dict[str, Any]:
    """The assignments as one object, values as JSON where they are, else as text; raises InvalidInput.

    `steps_of` gives the names of the fields, outermost first, that a path leads through.
    """
    from lemo.domain.errors import InvalidInput

    changes: dict[str, Any] = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        steps = steps_of(path.strip())
        if not equals or not all(steps):
            raise InvalidInput(f"--set {setting[:80]!r} is no FIELD=VALUE.", f"Such as {example}.")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        place = changes
        for step in steps[:-1]:
            if not isinstance(place.setdefault(step, {}), dict):
                raise InvalidInput(f"--set {setting[:80]!r} goes against another --set.", "Give each field once.")
            place = place[step]
        place[steps[-1]] = value
    return changes
