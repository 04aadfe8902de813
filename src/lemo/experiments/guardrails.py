"""The job that watches what is served: it measures drift, and stops arms that make worse what no arm may make worse."""

import structlog

from lemo.domain.errors import Conflict
from lemo.domain.scope import Scope
from lemo.experiments.results import results_of
from lemo.experiments.service import stop
from lemo.jobs.drift import drift
from lemo.jobs.report import Done, Report
from lemo.stores.connect import Stores

log = structlog.get_logger()
BY = "guardrail"


def check(stores: Stores, scope: Scope, report: Report) -> Done:
    """Reads the results of every running experiment of a scenario and stops each arm whose guardrail is broken.

    The drift of the scenario stands in the detail of the run, where metrics read it.
    """
    report.stage("drift")
    measured = drift(stores, scope)
    running = [each for each in stores.experiments.running(scope) if each.kind == "split"]
    if not running:
        return Done(detail={**measured, "why": "No experiment runs."})
    units, stopped = 0, []
    for experiment in running:
        report.stage(f"experiment {experiment.name}")
        results = results_of(stores, scope, experiment)
        units += results.units if results is not None else 0
        for arm in results.arms if results is not None else ():
            broken = [each for each in arm.guardrails if each.broken]
            if arm.stopped_at is not None or not broken:
                continue
            try:
                stop(stores, scope, experiment.name, BY, " ".join(each.words for each in broken), arm.name)
            except Conflict as error:  # a person was faster; what is still to be stopped, the next run stops
                log.info("an arm is not stopped", scope=str(scope), arm=arm.name, error=str(error))
                continue
            log.warning(
                "a guardrail stopped an arm",
                scope=str(scope),
                experiment=experiment.name,
                arm=arm.name,
                why=broken[0].words,
            )
            stopped.append(f"{experiment.name}/{arm.name}")
    detail: dict[str, float | str] = {**measured, "experiments": len(running)}
    if stopped:
        detail["stopped"] = ", ".join(stopped)
    return Done(rows_read=units, rows_written=len(stopped), detail=detail)
