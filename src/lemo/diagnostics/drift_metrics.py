"""Drift for Prometheus: what the last hourly runs measured, of the scenario that is worst off."""

from collections.abc import Sequence
from datetime import timedelta

from prometheus_client.core import GaugeMetricFamily, Metric

from lemo.jobs.drift import CTR_CHANGE, SCORE_PSI
from lemo.scheduling.health import JobState

DRIFT_LIFE = timedelta(hours=3)
"""What a run measured is told for so long: a job that runs no more is told of by its own metrics."""


def drift_gauges(states: Sequence[JobState]) -> Sequence[Metric]:
    """Of the scenarios whose last hours' runs could tell; nothing where none could."""
    details = [
        state.last_ended.detail
        for state in states
        if state.entry == "check-experiments-hourly"
        and state.last_ended is not None
        and state.last_success is not None
        and state.checked_at - state.last_success < DRIFT_LIFE
    ]
    gauges: list[Metric] = []
    if scores := [detail[SCORE_PSI] for detail in details if SCORE_PSI in detail]:
        words = (
            "PSI of the scores of the last day's recommendations against the week before, of the scenario with most."
        )
        gauges.append(GaugeMetricFamily("lemo_drift_score_psi", words, value=max(scores)))
    if changes := [detail[CTR_CHANGE] for detail in details if CTR_CHANGE in detail]:
        words = "Change of the CTR of the last day against the week before, of the scenario where it fell most."
        gauges.append(GaugeMetricFamily("lemo_drift_ctr_change", words, value=min(changes)))
    return gauges
