"""Precomputed recommendations: the answers of active users, stored in Redis before their requests."""

import time

from lemo.domain.scope import Scope
from lemo.jobs.profiles import DAY_MS
from lemo.jobs.report import NO_EVENTS, Done, Report, idle
from lemo.jobs.seen import restore_seen
from lemo.serving.service import RecommendationService
from lemo.stores.connect import Stores
from lemo.stores.documents.models import KIND


def precompute(stores: Stores, scope: Scope, report: Report) -> Done:
    """Writes an answer for each active user, computed by the same model and code as requests.

    Only users whose history, or whose model, has changed since the last run are computed. Other answers are renewed.
    """
    started_ms = time.time_ns() // 1_000_000
    scenario = stores.scenarios.get(scope)
    restore_seen(stores, scope, scenario, report)
    now = stores.events.now(scope)
    if now is None:
        return idle(NO_EVENTS)
    report.stage("reading active users")
    users = stores.events.active_users(scope, since_ms=now - scenario.active_days * DAY_MS)
    done = written = 0
    report.stage("recommending", len(users))
    with RecommendationService(stores, watch=False) as service:
        for batch in service.precompute(scope, users, renew=not report.full):
            report.check()
            stores.user_changes.refresh()
            erased = stores.user_changes.erased_since(scope, batch.answers, started_ms)
            answers = {user: answer for user, answer in batch.answers.items() if user not in erased}
            written += stores.precomputed.write_many(scope, answers, batch.marks)
            done += batch.users
            report.advance(batch.users)
    if stores.snapshots.current(scope, KIND) is None:
        return idle("There is no model yet. Train one: `lemo jobs run train-model-daily --scenario NAME`.", len(users))
    if not written:
        return idle("The answers of all active users are still current.", len(users), unchanged=done)
    return Done(len(users), written, {"unchanged": done - written})
