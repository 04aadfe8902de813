"""The scales of a scenario's ratings: learnt from its own values, and kept, so that every path weighs them alike."""

import structlog

from lemo.domain.rating import learn_scale
from lemo.domain.scenario import Scenario
from lemo.domain.scope import Scope
from lemo.stores.connect import Stores

log = structlog.get_logger()


def with_scales(stores: Stores, scope: Scope, renew: bool = False) -> Scenario:
    """The scenario with the scales of its ratings: those learnt before, and new ones where there are none yet.

    Training learns all of them anew (`renew`), so that a scale follows the ratings; raises NotFound.
    """
    scenario = stores.scenarios.get(scope)
    asked = {
        action: rule.learnt
        for action, rule in scenario.actions.items()
        if rule.scale == "auto" and (renew or rule.learnt is None)
    }
    if not asked:
        return scenario
    values = stores.events.rating_values(scope, list(asked))
    scales = {action: scale for action, users in values.items() if (scale := learn_scale(users)) is not None}
    changed = {action: scale for action, scale in scales.items() if scale != asked[action]}
    if not changed:
        return scenario
    log.info("learnt the scale of ratings", scope=str(scope), scales=changed)
    stores.scenarios.learn(scope, changed)
    return stores.scenarios.get(scope)
