"""The rating scales of a scenario: learnt from its ratings and stored, so that all code weights ratings alike."""

import structlog

from lemo.domain.rating import learn_scale
from lemo.domain.scenario import Scenario
from lemo.domain.scope import Scope
from lemo.stores.connect import Stores

log = structlog.get_logger()


def with_scales(stores: Stores, scope: Scope, renew: bool = False) -> Scenario:
    """The scenario with its rating scales. Scales that are missing are learnt and stored.

    Training learns all of them again (`renew`), so that scales follow the ratings. Raises NotFound.
    """
    scenario = stores.scenarios.get(scope)
    to_learn = {
        action: rule.learnt
        for action, rule in scenario.actions.items()
        if rule.scale == "auto" and (renew or rule.learnt is None)
    }
    if not to_learn:
        return scenario
    values = stores.events.rating_values(scope, list(to_learn))
    scales = {action: scale for action, users in values.items() if (scale := learn_scale(users)) is not None}
    changed = {action: scale for action, scale in scales.items() if scale != to_learn[action]}
    if not changed:
        return scenario
    log.info("learnt the scale of ratings", scope=str(scope), scales=changed)
    stores.scenarios.learn(scope, changed)
    return stores.scenarios.get(scope)
