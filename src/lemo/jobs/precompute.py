"""Precomputed recommendations: the answers of active users, ready in Redis before they ask."""

from lemo.domain.scope import Scope
from lemo.jobs.profiles import DAY_MS
from lemo.jobs.report import NO_EVENTS, Done, Report, idle
from lemo.jobs.seen import restore_seen
from lemo.serving.served import Served
from lemo.stores.connect import Stores
from lemo.stores.models import KIND


def precompute(stores: Stores, scope: Scope, report: Report) -> Done:
    """Writes an answer for each user active in the scenario, made by the model and the code that serve requests.

    Costs by the users whose history or model has changed since the last run: the answers of the others are renewed.
    """
    scenario = stores.scenarios.get(scope)
    restore_seen(stores, scope, scenario, report)
    now = stores.events.now(scope)
    if now is None:
        return idle(NO_EVENTS)
    report.stage("reading active users")
    users = stores.events.active_users(scope, since_ms=now - scenario.active_days * DAY_MS)
    done = written = 0
    report.stage("recommending", len(users))
    with Served(stores, watch=False) as served:
        for asked, answers in served.precompute(scope, users, renew=not report.full):
            report.check()
            written += stores.answers.write_many(scope, answers)
            done += asked
            report.advance(asked)
    if stores.snapshots.current(scope, KIND) is None:
        return idle("There is no model yet. Train one: `lemo jobs run train-model-daily --scenario NAME`.", len(users))
    if not written:
        return idle("The answers of all active users hold still.", len(users), unchanged=done)
    return Done(len(users), written, {"unchanged": done - written})
