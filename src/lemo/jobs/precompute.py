"""Precomputed recommendations: the answers of active users, ready in Redis before they ask."""

from lemo.domain.scope import Scope
from lemo.jobs.profiles import DAY_MS
from lemo.jobs.report import Done, Report
from lemo.serving.served import Served
from lemo.stores.connect import Stores


def precompute(stores: Stores, scope: Scope, report: Report) -> Done:
    """Writes an answer for each user active in the scenario, made by the model and the code that serve requests.

    Costs by the users whose history or model has changed since the last run: the answers of the others are renewed.
    """
    scenario = stores.scenarios.get(scope)
    newest = stores.events.newest(scope)
    if newest is None:
        return Done()
    report.stage("reading active users")
    users = stores.events.active_users(scope, since_ms=newest - scenario.active_days * DAY_MS)
    done = written = 0
    report.stage("recommending", len(users))
    with Served(stores, watch=False) as served:
        for asked, answers in served.precompute(scope, users, renew=not report.full):
            report.check()
            written += stores.answers.write_many(scope, answers)
            done += asked
            report.advance(asked)
    return Done(len(users), written, {"unchanged": done - written})
