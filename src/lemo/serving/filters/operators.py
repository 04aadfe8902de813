"""What the operators and functions of filters do to values. Each raises TypeError for values that it does not take."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lemo.serving.catalogue.values import Labels, Listed, Null, Numbers, Texts, Truths, Unknown, Value, known

Array = np.ndarray[Any, Any]

COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
TEXT_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": lambda text, part: part in text,
    "matches": lambda text, pattern: _pattern(pattern).search(text) is not None,
}


def both(left: Value, right: Value) -> Truths:
    """`&&`: false where one side is false, even if the other is missing."""
    a, b = _truths(left, "&&"), _truths(right, "&&")
    false = (a.known & ~a.true) | (b.known & ~b.true)
    return Truths(a.true & b.true, (a.known & b.known) | false)


def either(left: Value, right: Value) -> Truths:
    """`||`: true where one side is true, even if the other is missing."""
    a, b = _truths(left, "||"), _truths(right, "||")
    return Truths(a.true | b.true, (a.known & b.known) | a.true | b.true)


def negation(value: Value) -> Truths:
    """`!`: missing where the value is missing."""
    truths = _truths(value, "!")
    return Truths(truths.known & ~truths.true, truths.known)


def compared(sign: str, left: Value, right: Value) -> Truths:
    """`<`, `<=`, `>`, `>=`, `==` or `!=`. With null: whether the other side is missing."""
    if isinstance(left, Null) or isinstance(right, Null):
        if sign not in ("==", "!="):
            raise TypeError(f"null cannot be compared by {sign}")
        there = known(right) if isinstance(left, Null) else known(left)
        found = ~there if sign == "==" else there
        return Truths(found, np.ones_like(found))
    there = known(left) & known(right)
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        return Truths(there, there)
    compare = COMPARISONS[sign]
    if isinstance(left, Numbers) and isinstance(right, Numbers) and left.kind == right.kind:
        with np.errstate(invalid="ignore"):
            return Truths(compare(left.values, right.values) & there, there)
    if isinstance(left, Texts) and isinstance(right, Texts):
        return Truths(_compared_texts(sign, left, right) & there, there)
    if isinstance(left, Truths) and isinstance(right, Truths) and sign in ("==", "!="):
        return Truths(compare(left.true, right.true) & there, there)
    raise TypeError(f"{_a(left)} cannot be compared with {_a(right)} by {sign}{_advice(left, right)}")


def contained(needle: Value, haystack: Value) -> Truths:
    """`in`: whether the list has the value."""
    if isinstance(haystack, Unknown):
        return Truths(known(needle), known(needle))
    if isinstance(haystack, Labels):
        if isinstance(needle, Unknown):
            nobody = haystack.cells.sizes < 0
            return Truths(nobody, ~nobody)
        word = needle.only if isinstance(needle, Texts) else None
        if word is None:
            raise TypeError(f'a list of texts is asked for one text, such as "a" in item.tags, not for {_a(needle)}')
        found = haystack.cells.having(word)
        return Truths(found, np.ones_like(found))
    if not isinstance(haystack, Listed):
        raise TypeError(f"the right side of `in` must be a list, not {_a(haystack)}")
    found = np.zeros_like(known(needle))
    for element in haystack.elements:
        found = found | compared("==", needle, element).true
    return Truths(found, known(needle) & np.ones_like(found))


def calculated(sign: str, left: Value, right: Value) -> Value:
    """`+`, `-`, `*`, `/` or `%`. Nothing comes of a division by 0: it is missing."""
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        return Unknown()
    if not isinstance(left, Numbers) or not isinstance(right, Numbers):
        raise TypeError(f"{sign} takes numbers, not {_a(left)} and {_a(right)}")
    kinds = left.kind, right.kind
    with np.errstate(all="ignore"):
        if sign in "+-":
            results: Mapping[tuple[str, str], Any] = {
                ("number", "number"): "number",
                ("duration", "duration"): "duration",
                ("timestamp", "duration"): "timestamp",
                **(
                    {("timestamp", "timestamp"): "duration"}
                    if sign == "-"
                    else {("duration", "timestamp"): "timestamp"}
                ),
            }
            if kinds not in results:
                raise TypeError(f"{sign} does not take {_a(left)} and {_a(right)}")
            values = left.values + right.values if sign == "+" else left.values - right.values
            return Numbers(np.asarray(values), results[kinds])
        if kinds != ("number", "number"):
            raise TypeError(f"{sign} does not take {_a(left)} and {_a(right)}")
        operation = {"*": np.multiply, "/": np.divide, "%": np.fmod}[sign]
        values = np.asarray(operation(left.values, right.values))
        return Numbers(np.where(np.isfinite(values), values, np.nan))


def negative(value: Value) -> Value:
    """The unary minus."""
    if isinstance(value, Unknown):
        return value
    if not isinstance(value, Numbers) or value.kind == "timestamp":
        raise TypeError(f"- takes a number, not {_a(value)}")
    return Numbers(-value.values, value.kind)


def chosen(condition: Value, yes: Value, no: Value) -> Value:
    """`condition ? yes : no`, missing where the condition is."""
    truths = _truths(condition, "?")
    if isinstance(yes, Unknown) or isinstance(no, Unknown):
        return Unknown()
    if isinstance(yes, Truths) and isinstance(no, Truths):
        there = truths.known & np.where(truths.true, yes.known, no.known)
        return Truths(there & np.where(truths.true, yes.true, no.true), there)
    if isinstance(yes, Numbers) and isinstance(no, Numbers) and yes.kind == no.kind:
        values = np.where(truths.true, yes.values, no.values)
        return Numbers(np.where(truths.known, values, np.nan), yes.kind)
    if isinstance(yes, Texts) and isinstance(no, Texts):
        shifted = np.where(no.codes >= 0, no.codes + len(yes.words), -1)
        codes = np.where(truths.known, np.where(truths.true, yes.codes, shifted), -1).astype(np.int32)
        return Texts(codes, [*yes.words, *no.words])
    raise TypeError(f"both sides of ? : must be of one type, not {_a(yes)} and {_a(no)}")


def size(value: Value) -> Value:
    """`size()` of a list or a text."""
    match value:
        case Unknown():
            return value
        case Labels():
            return Numbers(value.cells.sizes.astype(np.float64))
        case Listed():
            return Numbers(np.array(float(len(value.elements))))
        case Texts():
            lengths = np.array([*map(len, value.words), np.nan], dtype=np.float64)
            return Numbers(lengths[value.codes])
    raise TypeError(f"size() takes a list or a text, not {_a(value)}")


def tested(name: str, value: Value, argument: Value) -> Truths:
    """`startsWith`, `endsWith`, `contains` or `matches` (RE2, whose time is linear in the text)."""
    if isinstance(value, Unknown) or isinstance(argument, Unknown):
        return Truths(known(value), known(value))
    wanted = argument.only if isinstance(argument, Texts) else None
    if not isinstance(value, Texts) or wanted is None:
        raise TypeError(f"{name}() is asked of a text with one text, not of {_a(value)} with {_a(argument)}")
    if name == "matches":
        _pattern(wanted)
    test = TEXT_TESTS[name]
    found = np.array([*(test(word, wanted) for word in value.words), False], dtype=bool)
    return Truths(found[value.codes], known(value))


def _pattern(text: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        raise TypeError(f"{text[:80]!r} is no regular expression of RE2 ({error.args[0].decode()})") from error


def _compared_texts(sign: str, left: Texts, right: Texts) -> Array:
    compare = COMPARISONS[sign]
    mirrored = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(sign, sign)
    for texts, other, way in ((left, right, sign), (right, left, mirrored)):
        wanted = other.only
        if wanted is not None:
            if way in ("==", "!="):
                code = _code(texts.words, wanted)
                return np.asarray(COMPARISONS[way](texts.codes, code))
            # The words of a text are compared once each, not once for each item.
            found = np.array([*(COMPARISONS[way](word, wanted) for word in texts.words), False], dtype=bool)
            return np.asarray(found[texts.codes])
    return np.asarray(compare(left.decoded(), right.decoded()), dtype=bool)


def _code(words: Sequence[str], wanted: str) -> int:
    try:
        return words.index(wanted)
    except ValueError:
        return len(words)


def _truths(value: Value, sign: str) -> Truths:
    if isinstance(value, Truths):
        return value
    if isinstance(value, Unknown):
        return Truths(np.array(True), np.array(True))
    raise TypeError(f"{sign} takes what is true or false, not {_a(value)}")


def _a(value: Value) -> str:
    return "null" if isinstance(value, Null) else f"a {value.kind}"


def _advice(left: Value, right: Value) -> str:
    kinds = {left.kind, right.kind}
    if kinds == {"timestamp", "text"}:
        return '; write timestamp("2026-01-31T00:00:00Z")'
    if kinds == {"duration", "text"}:
        return '; write duration("24h")'
    if kinds == {"number", "text"}:
        return "; numbers stand without quotes"
    if "list" in kinds:
        return '; write "a" in item.tags'
    return ""
