"""The sentences that stand in the code, for tests that look whether each has words in another language."""

import ast
from collections.abc import Iterator, Mapping


def texts_of(node: ast.expr, samples: Mapping[str, str]) -> Iterator[str]:
    """What an expression may be as a text; in place of values stand the `samples` of their names, else 7."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name) and node.id in samples:
        yield samples[node.id]
    elif isinstance(node, ast.IfExp):
        yield from texts_of(node.body, samples)
        yield from texts_of(node.orelse, samples)
    elif isinstance(node, ast.JoinedStr):
        parts = []
        for part in node.values:
            if isinstance(part, ast.Constant):
                parts.append(str(part.value))
            elif isinstance(part, ast.FormattedValue):
                parts.append(samples.get(ast.unparse(part.value), "7"))
        yield "".join(parts)
