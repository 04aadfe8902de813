"""Who is in which experiment, and what the sums of one say: verdicts, blocked ones, stopped arms, guardrails."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemo.domain.assignment import Slice
from lemo.domain.errors import InvalidInput
from lemo.domain.experiment import Assigner, Experiment, ExperimentDraft, draft_of, free_slice
from lemo.domain.experiment_metrics import METRICS
from lemo.experiments.results import evaluated
from lemo.statistics.estimates import Sample, compare
from lemo.statistics.guardrails import harm
from lemo.stores.clickhouse.exposures import ArmSums, Exposed

START = datetime(2026, 3, 1, tzinfo=UTC)
USERS = [f"user {number}" for number in range(2_000)]


def experiment(*arms: str, **fields: Any) -> Experiment:
    given = {"name": "e", "salt": "s", "created_at": START, "created_by": "ann", "started_at": START}
    names = [{"name": name} for name in arms or ("control", "new")]
    return Experiment.model_validate({"arms": names, "state": "running", **given, **fields})


@settings(max_examples=20, deadline=None)
@given(shares=st.lists(st.floats(0.05, 0.6), min_size=1, max_size=8))
def test_experiments_of_a_group_share_no_unit_and_fill_it(shares: list[float]) -> None:
    taken: dict[str, Slice] = {}
    for number, share in enumerate(shares):
        room = 1 - sum(part.end - part.start for part in taken.values())
        if room < share - 1e-6:
            with pytest.raises(InvalidInput, match="has no room"):
                free_slice("g", share, taken)
            continue
        if room < share + 1e-6:
            continue  # rounding decides
        part = free_slice("g", share, taken)
        assert part.end - part.start == pytest.approx(share)
        assert not any(part.overlaps(other) for other in taken.values())
        taken[f"e{number}"] = part
    running = [Assigner(experiment(name=name, salt=name, group="g", slice=part)) for name, part in taken.items()]
    for user in USERS[:200]:
        assert sum(assign(user) is not None for assign in running) <= 1


def test_a_gap_that_is_large_enough_is_taken_again() -> None:
    taken = {"a": Slice(group="g", start=0, end=0.3), "c": Slice(group="g", start=0.5, end=0.8)}
    assert free_slice("g", 0.2, taken).start == 0.3
    with pytest.raises(InvalidInput, match="a has 30%, c has 30%"):
        free_slice("g", 0.3, taken)
    assert free_slice("other", 1, taken) == Slice(group="other", start=0, end=1)


@settings(max_examples=15, deadline=None)
@given(ramp=st.floats(0.1, 1), more=st.floats(0, 1), holdout=st.floats(0, 0.5))
def test_a_growing_ramp_moves_nobody_and_a_holdout_is_the_same_for_all(
    ramp: float, more: float, holdout: float
) -> None:
    first = Assigner(experiment(ramp=ramp, holdout=holdout))
    grown = Assigner(experiment(ramp=min(1.0, ramp + more), holdout=holdout))
    other, third = (Assigner(experiment(salt=salt, holdout=holdout)) for salt in ("another", "third"))
    everybody = Assigner(experiment(holdout=0))
    for user in USERS[:100]:
        if first(user) is not None:
            assert grown(user) == first(user) == everybody(user)
    held = {user for user in USERS if other(user) is None}
    assert {user for user in USERS if third(user) is None} == held
    assert len(held) / len(USERS) == pytest.approx(holdout, abs=0.06)


def test_units_are_users_or_sessions_and_who_has_none_has_no_arm() -> None:
    assert experiment().assign(None, "visit").arm is None
    assert experiment(unit="session").assign("user", None).arm is None
    assert experiment(unit="session").assign(None, "visit").arm == experiment(unit="session").assign("u", "visit").arm


def sums(rng: np.random.Generator, units: int, clicks: float, empty: float = 0.01, latency: float = 50) -> ArmSums:
    """An arm whose users click, and have empty answers, with these probabilities."""
    asked = rng.integers(1, 6, units)
    clicked = rng.binomial(asked, clicks)
    values = {
        "requests_clicked_share": (clicked, asked),
        "empty_share": (rng.binomial(asked, empty), asked),
        "latency_ms": (asked * rng.gamma(5, latency / 5, units), asked),
    }
    samples = {name: Sample.of(np.ones(units)) for name in METRICS}
    return ArmSums(units, samples | {name: Sample.of(value, base) for name, (value, base) in values.items()})


def test_a_verdict_names_what_it_is_made_of_and_wrong_sizes_block_it() -> None:
    rng = np.random.default_rng(3)
    found = evaluated(
        experiment(planned_units=4_000, tightest_at=4_000),
        Exposed({"control": sums(rng, 2_000, 0.1), "new": sums(rng, 2_010, 0.2)}, 3),
        START + timedelta(days=10),
    )
    control, new = found.arms
    assert (control.control, control.decision, new.decision) == (True, None, "better")
    assert (found.units, found.crossed, found.blocked, found.days_left) == (4_010, 3, False, 0)
    clicked = new.metrics["requests_clicked_share"]
    assert clicked.low is not None
    assert clicked.high is not None
    assert clicked.low < 0.1 < clicked.high
    assert clicked.p_value is not None
    assert clicked.p_value < 0.001
    assert new.metrics["value_per_unit"].high is None, "what never varies has no interval"
    assert found.definitions.keys() == METRICS.keys()
    wrong = evaluated(
        experiment(),
        Exposed({"control": sums(rng, 2_000, 0.1), "new": sums(rng, 1_600, 0.2)}, 0),
        START + timedelta(days=1),
    )
    assert (wrong.blocked, wrong.arms[1].decision) == (True, "blocked")
    nobody = evaluated(experiment(), Exposed({}, 0), START + timedelta(days=1))
    assert [arm.decision for arm in nobody.arms] == [None, "too early"]
    assert nobody.days_left is None


def test_a_stopped_arm_has_no_part_in_the_check_of_sizes() -> None:
    rng = np.random.default_rng(3)
    arms = [{"name": "control"}, {"name": "slow", "stopped_at": START, "stopped_why": "slow"}, {"name": "new"}]
    found = evaluated(
        experiment(arms=arms),
        Exposed({"control": sums(rng, 1_000, 0.1), "slow": sums(rng, 150, 0.1), "new": sums(rng, 1_000, 0.1)}, 0),
        START + timedelta(days=1),
    )
    assert not found.blocked
    assert found.arms[1].words[0].startswith("The arm was stopped at 2026-03-01")
    assert found.arms[2].decision == "undecided"


def test_guardrails_stop_what_harms_and_hardly_ever_what_does_not() -> None:
    """200 arms that are no worse, looked at on 15 days; the alpha of one guardrail."""
    rng = np.random.default_rng(5)

    def day() -> Sample:
        asked = rng.integers(1, 6, 60)
        return Sample.of(rng.binomial(asked, 0.1), asked)

    alarms = 0
    for _ in range(200):
        before, arm, alarmed = Sample(), Sample(), False
        for _ in range(15):
            before, arm = before + day(), arm + day()
            alarmed |= harm(before, arm, 0, higher_is_better=False).broken
        alarms += alarmed
    assert alarms / 200 <= 0.05
    control = sums(rng, 400, 0.3, 0.1, 50).samples
    worse = sums(rng, 400, 0.15, 0.2, 70).samples
    for metric, higher, allowed in (("requests_clicked_share", True, 0.9), ("empty_share", False, 2.0)):
        assert harm(control[metric], worse[metric], 0, higher_is_better=higher).broken, metric
        assert not harm(control[metric], worse[metric], allowed, higher_is_better=higher).broken, metric
        assert not harm(worse[metric], control[metric], 0, higher_is_better=higher).broken, "better is no harm"
    assert harm(control["latency_ms"], worse["latency_ms"], 0.2, higher_is_better=False).broken
    assert not harm(control["latency_ms"], worse["latency_ms"], 0.5, higher_is_better=False).broken
    assert harm(control["latency_ms"], worse["latency_ms"], 0, 10, higher_is_better=False).broken
    assert not harm(control["latency_ms"], worse["latency_ms"], 0.1, 25, higher_is_better=False).broken
    clicks = "requests_clicked_share"
    assert harm(control[clicks], worse[clicks], 0.1, 0.05, higher_is_better=True).broken
    assert not harm(control[clicks], worse[clicks], 0.1, 0.2, higher_is_better=True).broken


def test_a_shift_of_what_is_allowed_is_the_one_of_every_value() -> None:
    rng = np.random.default_rng(2)
    value, base, before = rng.random(50), rng.integers(1, 5, 50), rng.random(50)
    other = Sample.of(rng.random(60), rng.integers(1, 5, 60), rng.random(60))
    shifted = Sample.of(value + 0.7 * base, base, before)
    found = harm(Sample.of(value, base, before), other, 0.1, 0.7, higher_is_better=False).difference
    assert found is not None
    assert found.low == pytest.approx(compare(shifted, other).low)


def test_an_arm_that_only_answers_nothing_is_harm_although_nothing_varies() -> None:
    full, nothing = Sample.of(np.zeros(100), np.ones(100)), Sample.of(np.ones(100), np.ones(100))
    assert harm(full, nothing, 0.1, higher_is_better=False).broken
    assert not harm(nothing, full, 0.1, higher_is_better=False).broken
    assert not harm(full, full, 0.1, higher_is_better=False).broken
    few = Sample.of(np.ones(99), np.ones(99))
    assert not harm(full, few, 0.1, higher_is_better=False).broken, "too few to tell"
    assert not harm(full, Sample(), 0.1, higher_is_better=False).broken


def test_a_draft_says_what_is_wrong_with_it() -> None:
    arms = [{"name": "a"}, {"name": "b"}]
    assert draft_of({"name": "x", "arms": arms}) == ExperimentDraft.model_validate({"name": "x", "arms": arms})
    for wrong, word in (
        ([], "must be an object"),
        ({"name": "x"}, "arms: is missing"),
        ({"name": "x", "arms": [*arms, {"name": "c", "colour": 1}]}, "An arm takes name, weight"),
        ({"name": "x", "arms": [*arms, {"name": "c", "pipeline": {}, "pipeline_version": 1}]}, "give one of them"),
        ({"name": "x", "arms": arms, "guardrails": [{"metric": "ctr"}, {"metric": "ctr"}]}, "name a metric twice"),
        ({"name": "x", "arms": arms, "metric": "action.like"}, "decided by"),
    ):
        with pytest.raises(InvalidInput) as caught:
            draft_of(wrong)
        assert word in str(caught.value), wrong
