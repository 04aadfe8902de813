"""Two models side by side: their measures on their own tests, and the parameters in which they differ."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lemo.models.registry import RegisteredModel


@dataclass(frozen=True, slots=True)
class Line:
    """One thing of two models; None where a model does not have it."""

    name: str
    one: Any
    other: Any
    intervals: tuple[tuple[float, float] | None, tuple[float, float] | None] = (None, None)
    """95 % confidence intervals."""

    @property
    def difference(self) -> float | None:
        """The second less the first, where both are numbers."""
        numbers = [value for value in (self.one, self.other) if isinstance(value, int | float)]
        return float(numbers[1] - numbers[0]) if len(numbers) == 2 else None

    @property
    def apart(self) -> bool:
        """Whether the intervals do not overlap: the models differ beyond the noise of their tests."""
        one, other = self.intervals
        return one is not None and other is not None and (one[1] < other[0] or other[1] < one[0])


def measures(one: RegisteredModel, other: RegisteredModel) -> list[Line]:
    """Every measure that either of them has: overall, then by segment."""
    first, second = one.metrics.get("model", {}), other.metrics.get("model", {})
    lines = [
        Line(name, first.get(name), second.get(name), (_interval(first, name), _interval(second, name)))
        for name in _names(first, second)
    ]
    lines.append(Line("popularity ndcg_at_10", one.popularity_ndcg_at_10, other.popularity_ndcg_at_10))
    segments, others = first.get("segments", {}), second.get("segments", {})
    for segment in {**segments, **others}:
        values = [found.get(segment, {}).get("ndcg_at_10") for found in (segments, others)]
        lines.append(Line(f"{segment} ndcg_at_10", *values))
    return [line for line in lines if line.one is not None or line.other is not None]


def parameters(one: RegisteredModel, other: RegisteredModel) -> list[Line]:
    """The parameters in which the configurations differ, by their path."""
    first, second = dict(_flat(one.config)), dict(_flat(other.config))
    return [
        Line(path, first.get(path), second.get(path))
        for path in {**first, **second}
        if first.get(path) != second.get(path)
    ]


def _names(*models: Mapping[str, Any]) -> list[str]:
    return list(
        dict.fromkeys(name for each in models for name, value in each.items() if isinstance(value, int | float))
    )


def _interval(metrics: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    low, high = metrics.get("intervals", {}).get(name) or (None, None)
    return None if low is None or high is None else (float(low), float(high))


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _flat(inner, f"{path}[{number}]")
    else:
        yield path, value
