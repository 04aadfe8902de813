"""Why a row or message was refused, in one readable sentence."""

from collections.abc import Iterable
from difflib import get_close_matches

from pydantic import ValidationError

SHOWN = 3
"""Faults named in one reason; the rest are counted."""
LONGEST_INPUT = 60
"""Characters of a refused value that are shown."""


def shortened(value: object, longest: int = LONGEST_INPUT) -> str:
    """A value as a person recognises it, never longer than `longest` characters and never dumped whole."""
    if isinstance(value, str):
        return repr(value) if len(value) <= longest else f"{value[: longest // 2]!r}... ({len(value):,} characters)"
    if value is None or isinstance(value, bool | float):
        return repr(value)
    if isinstance(value, int):
        # repr of an endless integer is slow, and refused by Python itself past 4,300 digits.
        return repr(value) if value.bit_length() < 3 * longest else f"a number of about {value.bit_length()} bits"
    if isinstance(value, list | tuple | set | dict | bytes):
        return f"a {type(value).__name__} of {len(value):,}"
    return f"a {type(value).__name__}"


def reason(error: ValidationError) -> str:
    """Turns pydantic's list of errors into one sentence: `field: what is wrong (got ...)`, joined by `; `.

    At most three faults are named, the rest counted; a long input is never repeated whole.
    """
    faults = error.errors(include_url=False, include_context=False)
    parts = []
    for fault in faults[:SHOWN]:
        where = ".".join(str(step)[:LONGEST_INPUT] for step in fault["loc"])
        what = fault["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        if fault["type"] == "missing":
            text = "is missing"
        elif fault["type"] == "extra_forbidden":
            text = "is not a field that is known here"
        else:
            text = f"{what[:1].lower()}{what[1:300]} (got {shortened(fault['input'])})"
        parts.append(f"{where}: {text}" if where else text)
    more = len(faults) - SHOWN
    return "; ".join(parts) + (f"; and {more} more" if more > 0 else "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`Did you mean a or b? ` with the nearest known names, for the front of a hint; nothing where none is near."""
    folded = {each.lower(): each for each in known}
    near = get_close_matches(name[:80].lower(), folded, 2, 0.5)
    return f"Did you mean {' or '.join(folded[each] for each in near)}? " if near else ""
