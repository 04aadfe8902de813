"""JSON as other programs write it: MongoDB's typed values, and Python's notation of dictionaries."""

import ast
from typing import Any

_TYPED = frozenset({"$oid", "$date", "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal"})
MARK = '"$'
"""What a text holds that has MongoDB's typed values."""


def untyped(value: Any) -> Any:
    """The value with `{"$oid": "5f..."}`, `{"$date": ...}` and the like as what they hold (MongoDB's Extended JSON)."""
    if isinstance(value, dict):
        if len(value) == 1 and (name := next(iter(value))) in _TYPED:
            return _number(untyped(value[name])) if name != "$oid" else value[name]
        return {name: untyped(inner) for name, inner in value.items()}
    return [untyped(part) for part in value] if isinstance(value, list) else value


def _number(value: Any) -> Any:
    if isinstance(value, str) and value.lstrip("-").isdecimal():
        return int(value)
    return value


def is_python(text: str) -> bool:
    """Whether a line begins as Python writes a dictionary: {'name': ...}."""
    return text.lstrip().startswith(("{'", "{u'"))


def python_object(text: str) -> dict[str, Any] | None:
    """The dictionary that a line of Python's notation holds; None for anything else. Nothing is executed."""
    try:
        found = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return found if isinstance(found, dict) and all(isinstance(name, str) for name in found) else None
