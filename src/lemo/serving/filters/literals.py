"""Literals of filters: texts in quotes and durations."""

_UNITS = {"ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6, "d": 8.64e7}


def unquoted(token: str) -> str:
    """The text of a literal in quotes, its escapes read; raises TypeError for an escape that is none."""
    raw = token[:1] in "rR"
    body = token[2:-1] if raw else token[1:-1]
    return body if raw or "\\" not in body else _unescaped(body)


def _unescaped(body: str) -> str:
    try:
        return body.encode("latin-1", "backslashreplace").decode("unicode_escape")
    except UnicodeDecodeError as error:
        raise TypeError(f"{body[:80]!r} has an escape that is none") from error


def milliseconds_of(text: str) -> float:
    """Milliseconds of `90m`, `1.5h` or `2d`; raises TypeError."""
    for unit in ("ms", "s", "m", "h", "d"):
        number = text.removesuffix(unit)
        if number != text:
            try:
                return float(number) * _UNITS[unit]
            except ValueError:
                continue
    raise TypeError(f"{text[:80]!r} is no duration, such as 90m, 24h or 7d")
