"""The registry of sources: those of Lemo and of any installed package, by the entry point group `lemo.sources`."""

from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from lemo.domain.errors import InvalidInput, NotFound
from lemo.domain.reasons import did_you_mean
from lemo.recommenders.interfaces import Source, SourceConfig

GROUP = "lemo.sources"


class MissingSource(NotFound):
    """A source that is not installed, or whose package cannot be loaded."""


@cache
def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def source_names() -> list[str]:
    """The names of all installed sources, sorted."""
    return sorted(_entry_points())


@cache
def source_class(name: str) -> type[Source]:
    """The class that is registered under a name; raises MissingSource with the nearest name."""
    point = _entry_points().get(name)
    if point is None:
        raise MissingSource(
            f"No source {name[:80]!r} is installed.",
            f"{did_you_mean(name, source_names())}`lemo sources list` shows what is installed. A process sees a package"
            " that was installed after its start when it is started again.",
        )
    try:
        found: type[Source] = point.load()
    except Exception as error:
        raise MissingSource(
            f"The source {name!r} of {origin(name)} cannot be loaded ({type(error).__name__}: {error}).",
            f"Mend or update that package, then try `lemo sources check {name}`.",
        ) from error
    return found


def require_sources(names: Iterable[str]) -> None:
    """Raises InvalidInput for the first name under which no source is installed."""
    for name in names:
        try:
            source_class(name)
        except MissingSource as error:
            raise InvalidInput(f"sources: {error.message}", error.hint) from error


def origin(name: str) -> str:
    """The distribution and version that brought a source."""
    point = _entry_points()[name]
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


def source_config(value: Any) -> SourceConfig:
    """A source's configuration from its JSON form; raises MissingSource for one that is not installed."""
    if isinstance(value, SourceConfig):
        return value
    return source_class(str(value["source"])).Config.model_validate(value)
