"""A filter: a CEL expression, checked against the catalogue's attributes, and its value for each item.

The grammar is that of cel-python; what is evaluated here are columns, all items at once. An expression is checked by
evaluating it for a catalogue without items.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
from lark import Token, Tree

from lemo.domain.errors import InvalidInput
from lemo.domain.reasons import did_you_mean, shortened
from lemo.serving.catalogue.columns import Columns, columns_of
from lemo.serving.catalogue.schema import Schema
from lemo.serving.catalogue.values import Listed, Null, Numbers, Texts, Truths, Unknown, Value, constant, known
from lemo.serving.filters import operators
from lemo.serving.filters.literals import milliseconds_of, unquoted

Array = np.ndarray[Any, Any]
Branch = Tree[Token]

LONGEST = 2_000
"""Characters of an expression."""
DEEPEST = 100
"""Operators within operators."""
ALLOWED = (
    "A filter knows item.NAME, request.NAME and user.NAME (the variables of the request), current.NAME (the item that"
    " similar ones are asked of), now, && || ! == != < <= > >= in + - * / % ?: and the functions has, size, startsWith,"
    " endsWith, contains, matches, timestamp and duration."
)


class Filter:
    """A filter that fits a schema."""

    def __init__(self, text: str, tree: Branch, uses_now: bool) -> None:
        self.text = text
        self.uses_now = uses_now
        """Whether its value changes by time alone."""
        self._tree = tree

    def mask(self, columns: Columns, variables: Mapping[str, Any], current: Mapping[str, Value] | None = None) -> Array:
        """bool (items,): which rows of the columns match.

        Raises InvalidInput for a variable that is not given, or of a type that does not fit.
        """
        found = _Evaluation(self.text, columns, variables, current).boolean(self._tree)
        return np.broadcast_to(found.true, (len(columns),)).copy()


def compile_filter(text: str, schema: Schema) -> Filter:
    """Parses and checks a filter; raises InvalidInput with the place, and the nearest name for a misspelt one."""
    tree = _parsed(text)
    checked = _Evaluation(text, columns_of((), schema), None, None)
    checked.boolean(tree)
    return Filter(text, tree, checked.used_now)


@lru_cache(1_000)
def _parsed(text: str) -> Branch:
    from celpy.celparser import CELParseError, CELParser

    if len(text) > LONGEST:
        raise InvalidInput(f"The filter has {len(text):,} characters, more than {LONGEST:,}.", "Ask for less at once.")
    if not text.strip():
        raise InvalidInput("The filter is empty.", ALLOWED)
    try:
        return CELParser().parse(text)
    except CELParseError as error:
        at = f"character {error.column}" if (error.line or 1) == 1 else f"line {error.line}, character {error.column}"
        raise InvalidInput(f"The filter {shortened(text)} cannot be read at {at}.", ALLOWED) from error


class _Evaluation:
    """One evaluation of an expression. `variables` is None where it is only checked."""

    def __init__(
        self,
        text: str,
        columns: Columns,
        variables: Mapping[str, Any] | None,
        current: Mapping[str, Value] | None,
    ) -> None:
        self._text = text
        self._columns = columns
        self._variables = variables
        self._current = current
        self._depth = 0
        self.used_now = False

    def boolean(self, tree: Branch) -> Truths:
        """The value of the whole, which must be true or false; raises InvalidInput."""
        found = self.value(tree)
        if isinstance(found, Unknown):
            return Truths(np.array(True), np.array(True))
        if not isinstance(found, Truths):
            raise self._fault(tree, f"the whole must be true or false, and is a {found.kind}")
        return found

    def value(self, tree: Branch) -> Value:
        """The value of a branch."""
        while len(tree.children) == 1 and isinstance(tree.children[0], Tree) and tree.data not in _BRANCHES:
            tree = tree.children[0]
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._fault(tree, f"there are more than {DEEPEST} operators within each other")
        try:
            return _BRANCHES.get(str(tree.data), _Evaluation._operator)(self, tree)
        except TypeError as error:
            raise self._fault(tree, str(error)) from error
        finally:
            self._depth -= 1

    def _operator(self, tree: Branch) -> Value:
        children = _trees(tree)
        match tree.data:
            case "expr":
                condition, yes, no = children
                return operators.chosen(self.value(condition), self.value(yes), self.value(no))
            case "conditionalor":
                return operators.either(self.value(children[0]), self.value(children[1]))
            case "conditionaland":
                return operators.both(self.value(children[0]), self.value(children[1]))
            case "unary":
                operand = self.value(children[1])
                return operators.negation(operand) if children[0].data == "unary_not" else operators.negative(operand)
            case "relation" | "addition" | "multiplication":
                sign = _SIGNS[str(children[0].data)]
                left, right = self.value(_trees(children[0])[0]), self.value(children[1])
                if sign == "in":
                    return operators.contained(left, right)
                if tree.data == "relation":
                    return operators.compared(sign, left, right)
                return operators.calculated(sign, left, right)
        raise self._fault(tree, "this is not part of filters")

    def _literal(self, tree: Branch) -> Value:
        token = tree.children[0]
        assert isinstance(token, Token)  # noqa: S101 - the grammar says so
        match token.type:
            case "INT_LIT":
                return constant(int(token, 0) if "x" in token.lower() else int(token))
            case "FLOAT_LIT":
                return constant(float(token))
            case "BOOL_LIT":
                return constant(str(token) == "true")
            case "NULL_LIT":
                return Null()
            case "STRING_LIT":
                return constant(unquoted(token))
        raise self._fault(tree, "such a literal is not part of filters")

    def _list(self, tree: Branch) -> Value:
        elements = tuple(self.value(each) for each in _arguments(tree))
        if any(isinstance(each, Listed) or known(each).ndim for each in elements):
            raise self._fault(tree, "a list may hold constants and variables alone")
        return Listed(elements)

    def _name(self, tree: Branch) -> Value:
        name = str(tree.children[0])
        if name == "now":
            self.used_now = True
            return constant(datetime.now(UTC))
        raise self._fault(tree, f"there is no {name[:80]!r} here")

    def _member(self, tree: Branch) -> Value:
        path = _path(tree)
        if path is None:
            raise self._fault(tree, "a dot stands between item, request, user or current and one name")
        root, *names = path
        if root in ("request", "user") and len(names) == 1:
            return self._variable(tree, root, names[0])
        if root in ("item", "current") and names[:-1] in ([], ["attributes"]):
            schema = self._columns.schema
            if schema.resolved(names) is None:
                near = did_you_mean(names[-1], schema.names)
                raise self._fault(tree, f"items have no attribute {names[-1][:80]!r}", near)
            if root == "item":
                return self._columns.value(names)
            if self._variables is None:
                return Unknown()
            if self._current is None:
                raise self._fault(tree, "there is a current item only where similar items are asked for")
            return self._current.get(".".join(names), Null())
        raise self._fault(tree, f"there is no {'.'.join(path)[:80]!r} here")

    def _variable(self, tree: Branch, root: str, name: str) -> Value:
        if self._variables is None:
            return Unknown()
        if name not in self._variables:
            near = did_you_mean(name, self._variables)
            raise self._fault(
                tree, f'{root}.{name[:80]} needs "variables": {{"{name[:80]}": ...}} in the request', near
            )
        return constant(self._variables[name])

    def _function(self, tree: Branch) -> Value:
        name, arguments = str(tree.children[0]), _arguments(tree)
        if name == "has" and len(arguments) == 1:
            found = known(self.value(arguments[0]))
            return Truths(found, np.ones_like(found))
        if name == "size" and len(arguments) == 1:
            return operators.size(self.value(arguments[0]))
        if name in ("timestamp", "duration") and len(arguments) == 1:
            return self._moment(name, arguments[0])
        raise self._fault(tree, f"there is no function {name[:80]}() of {len(arguments)} arguments")

    def _method(self, tree: Branch) -> Value:
        name, arguments = str(tree.children[1]), _arguments(tree)
        owner = self.value(_trees(tree)[0])
        if name in operators.TEXT_TESTS and len(arguments) == 1:
            return operators.tested(name, owner, self.value(arguments[0]))
        if name == "size" and not arguments:
            return operators.size(owner)
        raise self._fault(tree, f"there is no function .{name[:80]}() of {len(arguments)} arguments")

    def _moment(self, name: str, argument: Branch) -> Value:
        given = self.value(argument)
        if isinstance(given, Unknown):
            return given
        text = given.only if isinstance(given, Texts) else None
        if text is None:
            raise TypeError(f"{name}() takes one text")
        if name == "duration":
            return Numbers(np.array(milliseconds_of(text)), "duration")
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise TypeError(f"{text[:80]!r} is no time, such as 2026-01-31T00:00:00Z") from None
        return constant(moment if moment.tzinfo else moment.replace(tzinfo=UTC))

    def _fault(self, tree: Branch, why: str, advice: str = "") -> InvalidInput:
        at = getattr(tree.meta, "start_pos", 0)
        part = self._text[at : getattr(tree.meta, "end_pos", at)]
        return InvalidInput(f"The filter does not fit at {shortened(part)}: {why}.", advice or ALLOWED)


_SIGNS = {
    "relation_lt": "<",
    "relation_le": "<=",
    "relation_gt": ">",
    "relation_ge": ">=",
    "relation_eq": "==",
    "relation_ne": "!=",
    "relation_in": "in",
    "addition_add": "+",
    "addition_sub": "-",
    "multiplication_mul": "*",
    "multiplication_div": "/",
    "multiplication_mod": "%",
}
_BRANCHES: Mapping[str, Callable[[_Evaluation, Branch], Value]] = {
    "literal": _Evaluation._literal,
    "list_lit": _Evaluation._list,
    "ident": _Evaluation._name,
    "member_dot": _Evaluation._member,
    "ident_arg": _Evaluation._function,
    "member_dot_arg": _Evaluation._method,
}


def _trees(tree: Branch) -> list[Branch]:
    return [child for child in tree.children if isinstance(child, Tree)]


def _arguments(tree: Branch) -> Sequence[Branch]:
    """The expressions between the brackets."""
    lists = [child for child in _trees(tree) if child.data == "exprlist"]
    return _trees(lists[0]) if lists else []


def _path(tree: Branch) -> list[str] | None:
    """`item.attributes.price` as names; None for anything else."""
    while len(tree.children) == 1 and isinstance(tree.children[0], Tree):
        tree = tree.children[0]
    if tree.data == "ident":
        return [str(tree.children[0])]
    if tree.data != "member_dot":
        return None
    before = _path(_trees(tree)[0])
    return None if before is None else [*before, str(tree.children[-1])]
