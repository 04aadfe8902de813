"""Masking: no password, key or token leaves the process in a log line, a report or an error."""

import re

MASK = "***"

_PATTERNS = (
    # Greedy up to the last `@` of the word, because people put unescaped `@` and `/` into passwords.
    (re.compile(r'(://[^\s:/@"]*:)[^\s"]+@'), rf"\1{MASK}@"),
    (re.compile(r"\blemo_[A-Za-z0-9_-]{24,}"), f"lemo_{MASK}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {MASK}"),
    (
        re.compile(
            r"(?i)\b((?:[a-z0-9_.-]*(?:password|passwd|secret|token|api_?key))\"?'?\s*[=:]\s*\"?'?)[^\s&,;\"'}]+"
        ),
        rf"\1{MASK}",
    ),
)
_SECRET_NAME = re.compile(r"(?i)(password|passwd|secret|token|authorization|api_?key)$")


def mask(text: str) -> str:
    """The text with passwords in URLs, API keys, bearer tokens and `password=...` replaced by `***`."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def names_secret(name: str) -> bool:
    """Whether a field of this name holds a secret, whatever its value looks like."""
    return _SECRET_NAME.search(name) is not None
