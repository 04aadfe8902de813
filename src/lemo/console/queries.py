"""Reads what the pages show from the stores of one tenant. The calls block, so run them outside the event loop."""

from collections.abc import Callable
from threading import Lock
from typing import TypeVar

from lemo.domain.errors import EngineUnavailable, LemoError
from lemo.serving.service import RecommendationService
from lemo.settings import Settings
from lemo.stores.connect import Stores

_Value = TypeVar("_Value")


class Queries:
    """Reads for the pages, over the same stores and the same serving code as the API. Safe for threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stores = Stores(settings, interactive=True)
        self._serving: RecommendationService | None = None
        self._lock = Lock()

    @property
    def serving(self) -> RecommendationService:
        """What answers recommendations; made when first asked for."""
        with self._lock:
            if self._serving is None:
                self._serving = RecommendationService(self.stores)
            return self._serving

    def close(self) -> None:
        """Stops serving and lets go of connections."""
        if self._serving is not None:
            self._serving.close()
        self.stores.close()

    def scenario_names(self, tenant_id: str) -> list[str]:
        """The tenant's scenarios by name; raises LemoError."""
        return sorted(scenario.scenario_id for scenario in self.stores.scenarios.list(tenant_id))


def attempt(read: Callable[[], _Value]) -> _Value | LemoError:
    """The value, or the LemoError."""
    try:
        return read()
    except LemoError as error:
        return error
    except OSError as error:
        return EngineUnavailable(f"The system refused: {error}.", "lemo doctor")
