"""Who asks, and for what: the tenant comes from the key alone, the scenario must be the tenant's own."""

import hashlib
from contextlib import suppress
from datetime import UTC, datetime

from lemo.api.ttl_cache import TtlCache
from lemo.domain.api_key import ApiKey, Role
from lemo.domain.errors import EngineUnavailable, NotFound, WrongCredential
from lemo.domain.scenario import Scenario
from lemo.domain.scope import NAME, Scope
from lemo.stores.connect import Stores

KEY_SECONDS = 5.0
"""How long a revoked key may go on working."""
SCENARIO_SECONDS = 5.0
"""How long changed rules may go unnoticed."""


class Access:
    """Looks up keys and scenarios, caches them for seconds, and longer while the document store is away."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._keys: TtlCache[bytes, ApiKey] = TtlCache(KEY_SECONDS)
        self._origins: TtlCache[str, frozenset[str]] = TtlCache(KEY_SECONDS)
        self._scenarios: TtlCache[Scope, Scenario] = TtlCache(SCENARIO_SECONDS)

    def tenant(self, key: str | None, role: Role, scenario_id: str | None = None, origin: str = "") -> str:
        """The tenant of a key that has the role, for the scenario where one is named, used from this origin.

        Raises WrongCredential, NotAllowed where the key may do other things, or EngineUnavailable where it is unknown.
        """
        if not key:
            raise WrongCredential("This needs a key.", "Send the header `Authorization: Bearer KEY`.")
        found = self._keys.get(_digest(key), lambda: self._find(key))
        if found is None:
            raise WrongCredential("This key is not known.", "Check it, or have an administrator make a new one.")
        found.check(role, scenario_id, datetime.now(UTC), origin)
        return found.tenant_id

    def known(self, key: str, role: Role, scenario_id: str, origin: str) -> tuple[Scope, Scenario] | None:
        """The scenario that the key may ask, where both were looked up a moment ago; None says nothing."""
        found = self._keys.known(_digest(key))
        if found is None:
            return None
        try:
            found.check(role, scenario_id, datetime.now(UTC), origin)
        except WrongCredential:
            return None
        scope = Scope(found.tenant_id, scenario_id)
        scenario = self._scenarios.known(scope)
        return None if scenario is None else (scope, scenario)

    def origins(self) -> frozenset[str]:
        """The origins that keys name; those of a moment ago while the store is away, or none."""
        with suppress(EngineUnavailable):
            return self._origins.get("", self._stores.api_keys.origins) or frozenset()
        return frozenset()

    def known_origins(self) -> frozenset[str] | None:
        """The same, where they were looked up a moment ago; asks nobody."""
        return self._origins.known("")

    def _find(self, key: str) -> ApiKey | None:
        found = self._stores.api_keys.find(key)
        if found is not None:
            with suppress(EngineUnavailable):  # a store that takes no writes stops no request
                self._stores.api_keys.note_use(key)
        return found

    def scenario(self, tenant_id: str, scenario_id: str) -> Scenario:
        """The tenant's scenario; raises NotFound for one that it does not have, and EngineUnavailable."""
        if not NAME.fullmatch(scenario_id):
            raise NotFound(f"There is no scenario {scenario_id[:80]!r}.", "GET /v1/scenarios lists those there are.")
        scope = Scope(tenant_id, scenario_id)
        found = self._scenarios.get(scope, lambda: self._stores.scenarios.get(scope))
        if found is None:
            raise NotFound(f"There is no scenario {scenario_id!r}.", "GET /v1/scenarios lists those there are.")
        return found


def _digest(key: str) -> bytes:
    # The key itself is not kept, so that no memory dump shows it.
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()
