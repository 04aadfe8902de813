"""Estimates of a policy from the log of another: on a synthetic log here, on open-bandit where it is present."""

import sys
from typing import Any

import numpy as np
import pytest

from lemo.domain.errors import InvalidInput
from lemo.statistics.off_policy import Estimate, Log, cross_fitted, doubly_robust, ips, snips
from servers import ROOT

ACTIONS = 6
RATES = np.array([0.02, 0.05, 0.08, 0.12, 0.2, 0.3])
LOGGED = np.array([0.3, 0.25, 0.2, 0.15, 0.07, 0.03])
TARGET = LOGGED[::-1].copy()
OPEN_BANDIT = ROOT.parent / "shared" / "datasets" / "open-bandit"


def synthetic(random: np.random.Generator, rows: int, target: Any = TARGET, per_request: int = 4) -> tuple[Log, Any]:
    """Rows of requests whose users click more or less: rows of one request are not independent."""
    actions = random.choice(ACTIONS, rows, p=LOGGED)
    requests = np.arange(rows) // per_request
    mood = random.gamma(2, 0.5, rows // per_request + 1)[requests]
    rewards = random.random(rows) < np.minimum(RATES[actions] * mood, 1)
    return Log.of(rewards, LOGGED[actions], target[actions], requests), actions


def estimates(log: Log, actions: Any, target: Any = TARGET) -> dict[str, Estimate]:
    policy = np.tile(target, (len(actions), 1))
    return {"ips": ips(log), "snips": snips(log), "dr": doubly_robust(log, *cross_fitted(log, actions, policy))}


def truth(target: Any) -> float:
    """By many draws: moods above the cap of 1 make the rate a little smaller than the product."""
    mood = np.random.default_rng(0).gamma(2, 0.5, 400_000)
    return float(sum(p * np.minimum(rate * mood, 1).mean() for p, rate in zip(target, RATES, strict=True)))


def test_intervals_hold_the_value_of_the_target() -> None:
    random = np.random.default_rng(8)
    value = truth(TARGET)
    runs = [estimates(*synthetic(random, 4_000)) for _ in range(200)]
    for name in ("ips", "snips", "dr"):
        held = sum(run[name].low <= value <= run[name].high for run in runs) / len(runs)
        assert 0.9 <= held <= 0.99, name
        assert np.mean([run[name].value for run in runs]) == pytest.approx(value, rel=0.03), name
    widths = {name: np.mean([run[name].high - run[name].low for run in runs]) for name in ("ips", "snips", "dr")}
    assert widths["snips"] < 0.9 * widths["ips"]
    assert widths["dr"] < 0.9 * widths["ips"]


def test_the_logged_policy_is_its_own_estimate() -> None:
    log, _ = synthetic(np.random.default_rng(1), 4_000, LOGGED)
    assert ips(log).value == snips(log).value == log.rewards.mean()
    assert ips(log).effective == pytest.approx(4_000)
    assert ips(log).warnings == ()


def test_rows_of_one_request_are_not_independent() -> None:
    random = np.random.default_rng(2)
    once = synthetic(random, 2_000, LOGGED)[0]
    # Every row four times in one cluster tells no more than once.
    copies = Log.of(*(np.repeat(column, 4) for column in (once.rewards, once.logged, once.target, once.clusters)))
    assert snips(copies).high - snips(copies).low == pytest.approx(snips(once).high - snips(once).low)


def test_a_target_that_was_never_shown_is_warned_of() -> None:
    log, _ = synthetic(np.random.default_rng(3), 8_000)
    missing = log.logged > 0.05
    cut = Log.of(log.rewards[missing], log.logged[missing], log.target[missing])
    assert any("and not 1" in each for each in snips(cut).warnings)
    assert snips(log).warnings == ()


def test_small_overlap_is_warned_of() -> None:
    random = np.random.default_rng(4)
    actions = random.choice(2, 20_000, p=[0.9995, 0.0005])
    log = Log.of(actions * 1.0, np.where(actions, 0.0005, 0.9995), np.where(actions, 1.0, 0.0))
    found = snips(log)
    assert found.effective == pytest.approx(actions.sum())
    assert "The overlap is too small" in found.warnings[0]
    assert any("Only" in each for each in found.warnings)
    assert snips(Log.of([1.0], [0.5], [0.0])).value == 0  # type: ignore[arg-type]


def test_predictions_never_saw_their_own_cluster() -> None:
    # One reward in all: who predicts it from itself is found out.
    rewards = np.zeros(1_000)
    rewards[17] = 1
    log = Log.of(rewards, np.full(1_000, 0.5), np.full(1_000, 0.5), np.arange(1_000) // 2)
    of_shown, _ = cross_fitted(log, np.zeros(1_000, dtype=np.int64), np.ones((1_000, 1)))
    assert of_shown[17] == of_shown[16] == 0
    assert of_shown.max() > 0


@pytest.mark.parametrize("column", ["logged", "target", "rewards"])
def test_what_is_no_log_is_refused(column: str) -> None:
    columns = {"rewards": np.ones(3), "logged": np.full(3, 0.5), "target": np.full(3, 0.5)}
    columns[column] = np.array([0.5, 0.5, np.inf if column == "rewards" else -0.1])
    with pytest.raises(InvalidInput):
        Log.of(**columns)
    with pytest.raises(InvalidInput, match="of one length"):
        Log.of(np.ones(2), np.ones(3), np.ones(3))


@pytest.mark.skipif(not OPEN_BANDIT.is_dir(), reason=f"the open-bandit logs are not in {OPEN_BANDIT}")
@pytest.mark.parametrize("campaign", ["men", "women"])
@pytest.mark.parametrize(("logged", "wanted", "trusted"), [("random", "bts", True), ("bts", "random", False)])
def test_what_the_other_policy_got_is_in_the_interval_or_warned_of(
    campaign: str, logged: str, wanted: str, trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / "benchmarks")])
    from experiments import off_policy_log, read

    logs = {policy: read(OPEN_BANDIT / policy / campaign / f"{campaign}.csv") for policy in (logged, wanted)}
    log, actions, policy = off_policy_log(logs[logged], logs[wanted], wanted)
    got = logs[wanted]["click"].to_numpy().mean()
    # The log of the policy that learns has an effective size of 656 or 2 rows: there the warning must come.
    for found in (ips(log), snips(log), doubly_robust(log, *cross_fitted(log, actions, policy))):
        assert found.low <= got <= found.high or not trusted
        assert (found.warnings == ()) == trusted, found.warnings
