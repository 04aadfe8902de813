"""The consumer's cache of tenants and scenarios."""

import re
import time

from lemo.domain.counting import goal_of
from lemo.domain.errors import NotFound
from lemo.domain.event import ACTION_PATTERN
from lemo.domain.interaction import interaction_weight
from lemo.domain.scenario import ActionRule
from lemo.domain.scope import Scope
from lemo.stores.documents.catalogue import Scenarios, Tenants
from lemo.streams.messages import BadMessage

_WELL_FORMED = re.compile(ACTION_PATTERN).fullmatch
_SECONDS = 5.0
"""Lifetime of a cached scenario, and so the longest delay of changed rules. New scenarios are seen at once."""


class ScenarioCache:
    """Tenants and scenarios as of the current batch.

    Missing ones are looked up again with each batch. Messages of a batch were published before it is read, so a
    scenario that was created before its first message is always found.
    """

    def __init__(self, tenants: Tenants, scenarios: Scenarios) -> None:
        self._tenants = tenants
        self._scenarios = scenarios
        self._actions: dict[Scope, dict[str, ActionRule]] = {}
        self._goals: dict[Scope, dict[str, float]] = {}
        self._read_in_batch: set[Scope] = set()
        self._missing: set[Scope] = set()
        self._exists: dict[str, bool] = {}
        self._expires_at = 0.0

    def expire(self) -> None:
        """Has the next batch read all entries anew."""
        self._expires_at = 0.0

    def begin_batch(self) -> None:
        """Drops entries of what was not found, and all entries when their lifetime ends."""
        self._read_in_batch.clear()
        self._missing.clear()
        self._exists = {tenant_id: True for tenant_id, exists in self._exists.items() if exists}
        if time.monotonic() >= self._expires_at:
            self._actions.clear()
            self._exists.clear()
            self._expires_at = time.monotonic() + _SECONDS

    def has_tenant(self, tenant_id: str) -> bool:
        """Whether the tenant exists."""
        exists = self._exists.get(tenant_id)
        if exists is None:
            exists = self._exists[tenant_id] = self._tenants.exists(tenant_id)
        return exists

    def check(self, scope: Scope) -> dict[str, ActionRule]:
        """The actions of the scenario; raises BadMessage unless tenant and scenario exist."""
        return self._actions.get(scope) or self._look_up(scope)

    def rule(self, scope: Scope, action: str) -> ActionRule:
        """The rule of an action in a scenario; raises BadMessage unless tenant, scenario and action exist."""
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

    def judge(self, tenant_id: str, scenario_id: str, action: str, value: float | None) -> tuple[float, bool]:
        """The weight of an event by the scenario's rules, and whether it is an event of its goal."""
        scope = Scope(tenant_id, scenario_id)
        try:
            rule = self.rule(scope, action)
        except BadMessage:
            return 0.0, False
        least = self._goals[scope].get(action)
        return interaction_weight(rule, value), least is not None and (value is None or value >= least)

    def in_history(self, tenant_id: str, scenario_id: str, action: str) -> bool | None:
        """Whether events of the action belong into recent histories; None for an unknown or ill-formed action."""
        try:
            rule = self.rule(Scope(tenant_id, scenario_id), action)
        except BadMessage:
            return None
        return rule.in_history if _WELL_FORMED(action) else None

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
            scenario = self._scenarios.get(scope)
        except NotFound:
            self._missing.add(scope)
            raise BadMessage(
                f"scenario_id: there is no scenario {scope.scenario_id[:80]!r}.", scope, "unknown-scenario"
            ) from None
        self._read_in_batch.add(scope)
        self._actions[scope] = scenario.actions
        self._goals[scope] = goal_of(scenario)
        return scenario.actions
