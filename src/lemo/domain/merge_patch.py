"""JSON Merge Patch (RFC 7396): what is given replaces, null removes, what is not named stays."""

from typing import Any


def merged(old: Any, new: Any) -> Any:
    """The old value with a patch applied; neither is changed."""
    if not isinstance(new, dict):
        return new
    result = dict(old) if isinstance(old, dict) else {}
    for name, value in new.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result
