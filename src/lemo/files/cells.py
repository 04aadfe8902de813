"""Cells of other people's columns as our fields have them."""

import ast
import re
from collections.abc import Callable, Sequence
from typing import Any

from pydantic_core import from_json

Convert = Callable[[Any], Any]

NULL_WORDS = frozenset({"nan", "null", "none", "na", "n/a", "\\n", "nil", "undefined", "<na>"})
"""Texts that programs write where there is nothing, in lower case."""
_NO_LABELS = frozenset({"(no genres listed)", "unknown"})
_FLOAT_ID = re.compile(r"-?\d+\.0$")
_EUROPEAN = re.compile(r"-?(?:\d{1,3}(?:\.\d{3})+|\d+)(?:,\d+)?$")
_GROUPED = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?$")
_THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+$")


def is_null_word(value: Any) -> bool:
    """Whether a text says that there is nothing."""
    return isinstance(value, str) and value.strip().lower() in NULL_WORDS


def without_null_words(value: Any) -> Any:
    """None for a text that says that there is nothing."""
    return None if is_null_word(value) else value


def id_converter(values: Sequence[Any]) -> Convert:
    """Trims ids; where all of a column are written as floats (`17850.0`), they are integers again.

    Gaps are what makes a data frame turn integers into floats: its words for them, such as `nan`, tell nothing.
    """
    texts = [value.strip() for value in values if isinstance(value, str) and not is_null_word(value)]
    if texts and all(_FLOAT_ID.match(text) for text in texts):
        return _without_fraction
    return lambda cell: cell.strip() if isinstance(cell, str) else cell


def _without_fraction(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    text = cell.strip()
    # What is no float further on, such as `v2.0`, stays as it is.
    return text[:-2] if _FLOAT_ID.match(text) else text


def has_decimal_commas(values: Sequence[Any]) -> bool:
    """Whether a whole column writes its numbers with decimal commas: 4,5 and 1.234,5, but not 1,234 alone."""
    texts = [value.strip() for value in values if isinstance(value, str) and not is_null_word(value)]
    european = bool(texts) and all(_EUROPEAN.match(text) for text in texts) and any("," in text for text in texts)
    return european and not all(_THOUSANDS.match(text) or "," not in text for text in texts)


def has_grouped_thousands(values: Sequence[Any]) -> bool:
    """Whether a whole column writes its numbers as 1,234.50 is: with commas between thousands, and points."""
    texts = [value.strip() for value in values if isinstance(value, str) and not is_null_word(value)]
    return all(_GROUPED.match(text) for text in texts) and any("," in text and "." in text for text in texts)


def number_converter(values: Sequence[Any]) -> Convert:
    """Reads decimal commas, or commas between thousands, where the whole column is written so.

    Texts that say nothing are left out.
    """
    if has_grouped_thousands(values):
        return lambda cell: (
            cell.strip().replace(",", "")
            if isinstance(cell, str) and _GROUPED.match(cell.strip())
            else without_null_words(cell)
        )
    if has_decimal_commas(values):
        return lambda cell: (
            cell.strip().replace(".", "").replace(",", ".")
            if isinstance(cell, str) and _EUROPEAN.match(cell.strip())
            else without_null_words(cell)
        )
    return without_null_words


def text_of(value: Any) -> Any:
    """A text out of a list of texts or of an object with a name, as Amazon's metadata has them."""
    if isinstance(value, list):
        return "\n".join(str(text_of(part)) for part in value if part is not None and part != "")
    if isinstance(value, dict):
        return text_of(value.get("name") or value.get("title") or "")
    return value


def object_of(value: Any) -> Any:
    """The object that a text of JSON holds, as in exported CSV and Parquet; what is none stays as it is."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            return from_json(value, allow_inf_nan=False)
        except ValueError:
            return value
    return value


def link_of(value: Any) -> Any:
    """The first address in a list or object of pictures."""
    if isinstance(value, list):
        return next((link for part in value if (link := link_of(part))), "")
    if isinstance(value, dict):
        for name in ("hi_res", "large", "url", "src", "medium", "thumb"):
            if found := link_of(value.get(name)):
                return found
        return ""
    return value


def labels_converter(values: Sequence[Any], mark: str = "") -> Convert:
    """Reads lists as the column writes them: `a|b`, `["a", "b"]`, `['a', 'b']`, `a;b` or `a, b`, nested ones flat.

    Parts are read at the `mark` where it is known.
    """
    if mark:
        return lambda cell: _labels(cell, mark)
    texts = [value for value in values if isinstance(value, str)]
    if texts and not any("|" in text for text in texts):
        for mark in (";", ","):
            if sum(mark in text for text in texts if text[:1] != "[") > len(texts) // 5:
                return lambda cell: _labels(cell, mark)
    return lambda cell: _labels(cell, "|")


def _labels(cell: Any, mark: str) -> Any:
    if isinstance(cell, str):
        text = cell.strip()
        if text.startswith("["):
            try:
                return _labels(from_json(text), mark)
            except ValueError:
                try:
                    return _labels(ast.literal_eval(text), mark)  # as Python writes lists; nothing is executed
                except (ValueError, SyntaxError, RecursionError, MemoryError):
                    pass
        parts = [part.strip() for part in text.split(mark)]
        parts = list(dict.fromkeys(parts))
        return [part for part in parts if part and part.lower() not in _NO_LABELS and not is_null_word(part)]
    if isinstance(cell, list):
        flat: list[Any] = []
        for part in cell:
            flat.extend(_labels(part, mark) if isinstance(part, list) else [text_of(part)])
        return list(dict.fromkeys(part for part in flat if part not in (None, "")))
    return cell


def number_or_none(value: Any) -> float | None:
    """The number that a value is, or says; None where it is none."""
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None
