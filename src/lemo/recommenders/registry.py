"""The registry of sources: those of Lemo and of any installed package, by the entry point group `lemo.sources`."""

from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from lemo.domain.errors import NotFound
from lemo.recommenders.interfaces import Source, SourceConfig

GROUP = "lemo.sources"


@cache
def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def source_names() -> list[str]:
    """The names of all installed sources, sorted."""
    return sorted(_entry_points())


@cache
def source_class(name: str) -> type[Source]:
    """The class that is registered under a name; raises NotFound with the nearest name."""
    point = _entry_points().get(name)
    if point is None:
        near = get_close_matches(name, source_names(), 1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise NotFound(
            f"No source {name!r} is installed.{meant}",
            f"`lemo sources list` shows what is installed; a package adds one by the entry point {GROUP!r}.",
        )
    found: type[Source] = point.load()
    return found


def origin(name: str) -> str:
    """The distribution and version that brought a source."""
    point = _entry_points()[name]
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


def source_config(value: Any) -> SourceConfig:
    """A source's configuration from its JSON form; raises NotFound for a source that is not installed."""
    if isinstance(value, SourceConfig):
        return value
    return source_class(str(value["source"])).Config.model_validate(value)
