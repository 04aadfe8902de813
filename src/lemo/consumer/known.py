"""What the consumer remembers of tenants and scenarios, so that not every message costs a read."""

import re
import time

from lemo.domain.errors import NotFound
from lemo.domain.event import ACTION_PATTERN
from lemo.domain.scenario import ActionRule
from lemo.domain.scope import Scope
from lemo.stores.catalog import Scenarios, Tenants
from lemo.streams.messages import BadMessage

_WELL_FORMED = re.compile(ACTION_PATTERN).fullmatch
_SECONDS = 5.0
"""How long a scenario is remembered, and so how long changed rules may go unnoticed. New ones are seen at once."""


class Known:
    """Tenants and scenarios as of the current batch.

    What is not found is looked up again with each batch: all messages of a batch were published before it is read, so
    a scenario that was created before its first message is always seen.
    """

    def __init__(self, tenants: Tenants, scenarios: Scenarios) -> None:
        self._tenants = tenants
        self._scenarios = scenarios
        self._actions: dict[Scope, dict[str, ActionRule]] = {}
        self._read_in_batch: set[Scope] = set()
        self._missing: set[Scope] = set()
        self._there: dict[str, bool] = {}
        self._forget_at = 0.0

    def begin_batch(self) -> None:
        """Forgets what was not found, and now and then everything."""
        self._read_in_batch.clear()
        self._missing.clear()
        self._there = {tenant_id: True for tenant_id, there in self._there.items() if there}
        if time.monotonic() >= self._forget_at:
            self._actions.clear()
            self._there.clear()
            self._forget_at = time.monotonic() + _SECONDS

    def has_tenant(self, tenant_id: str) -> bool:
        """Whether the tenant exists."""
        there = self._there.get(tenant_id)
        if there is None:
            there = self._there[tenant_id] = self._tenants.exists(tenant_id)
        return there

    def check(self, scope: Scope) -> dict[str, ActionRule]:
        """The actions of the scenario; raises BadMessage unless tenant and scenario exist."""
        return self._actions.get(scope) or self._look_up(scope)

    def rule(self, scope: Scope, action: str) -> ActionRule:
        """What the scenario makes of an action; raises BadMessage unless tenant, scenario and action exist."""
        actions = self.check(scope)
        if action not in actions and scope not in self._read_in_batch:
            actions = self._look_up(scope)
        if action not in actions:
            raise BadMessage(
                f"action: scenario {scope.scenario_id!r} knows no action {action!r}; it knows {', '.join(actions)}.",
                scope,
                "unknown-action",
            )
        return actions[action]

    def remembers(self, tenant_id: str, scenario_id: str, action: str) -> bool | None:
        """Whether such events belong into recent histories; None for what is unknown or ill-formed."""
        try:
            rule = self.rule(Scope(tenant_id, scenario_id), action)
        except BadMessage:
            return None
        return rule.remembered if _WELL_FORMED(action) else None

    def rule_of(self, tenant_id: str, scenario_id: str, action: str) -> ActionRule | None:
        """The rule of an action, None where there is none."""
        try:
            return self.rule(Scope(tenant_id, scenario_id), action)
        except BadMessage:
            return None

    def _look_up(self, scope: Scope) -> dict[str, ActionRule]:
        if not self.has_tenant(scope.tenant_id):
            raise BadMessage(f"tenant_id: there is no tenant {scope.tenant_id[:80]!r}.", scope, "unknown-tenant")
        try:
            if scope in self._missing:
                raise NotFound("")
            actions = self._scenarios.get(scope).actions
        except NotFound:
            self._missing.add(scope)
            raise BadMessage(
                f"scenario_id: there is no scenario {scope.scenario_id[:80]!r}.", scope, "unknown-scenario"
            ) from None
        self._read_in_batch.add(scope)
        self._actions[scope] = actions
        return actions
