"""Arms are sticky, independent of each other, and of the sizes that weights give."""

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from lemo.domain.assignment import (
    HELD_OUT,
    NO_ID,
    NOT_IN_RAMP,
    NOT_IN_SLICE,
    Allocation,
    Arm,
    Holdout,
    Slice,
    assign,
    position,
)

ARMS = (Arm(name="control"), Arm(name="treatment"))
USERS = [f"user-{number}" for number in range(5_000)]
IDS = st.text(min_size=1)


def test_another_process_gives_the_same_arms() -> None:
    program = (
        "from lemo.domain.assignment import *\n"
        "a = Allocation(salt='s', arms=(Arm(name='control'), Arm(name='treatment')))\n"
        "print(''.join(assign(a, f'user-{n}').arm[0] for n in range(64)))"
    )
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    here = "".join(str(assign(Allocation(salt="s", arms=ARMS), user).arm)[0] for user in USERS[:64])
    # Written down: a change of the hash would move the users of every running experiment.
    assert there == here == "cttcctttctctccctccctcttctcctccttccctttctcccttctccctcttccttccttct"


@settings(deadline=None, max_examples=50)
@given(salt=IDS, unit=IDS)
def test_a_position_is_in_the_unit_interval(salt: str, unit: str) -> None:
    assert 0 <= position(salt, unit) < 1


@settings(deadline=None, max_examples=50)
@given(unit=IDS, small=st.floats(0, 1), large=st.floats(0, 1))
def test_a_growing_ramp_moves_nobody(unit: str, small: float, large: float) -> None:
    small, large = sorted((small, large))
    before = assign(Allocation(salt="s", arms=ARMS, ramp=small), unit)
    after = assign(Allocation(salt="s", arms=ARMS, ramp=large), unit)
    assert before.arm in (None, after.arm)
    assert after.arm in (None, assign(Allocation(salt="s", arms=ARMS), unit).arm)


@pytest.mark.parametrize("ramp", [1.0, 0.3])
@pytest.mark.parametrize("part", [None, Slice(group="s", start=0, end=0.5)])
@pytest.mark.parametrize("holdout", [None, Holdout(salt="s", share=0.5)])
def test_arms_have_the_sizes_of_their_weights(ramp: float, part: Slice | None, holdout: Holdout | None) -> None:
    # One salt for all: even so, who is left out does not depend on the arm.
    arms = (Arm(name="a", weight=3), Arm(name="b", weight=1), Arm(name="c", weight=1))
    allocation = Allocation(salt="s", arms=arms, ramp=ramp, slice=part)
    counts = Counter(assign(allocation, user, holdout=holdout).arm for user in USERS)
    taking_part = len(USERS) - counts[None]
    assert taking_part == pytest.approx(len(USERS) * ramp * (0.5 if part else 1) * (0.5 if holdout else 1), rel=0.15)
    expected = [allocation.shares[name] * taking_part for name in "abc"]
    assert stats.chisquare([counts[name] for name in "abc"], expected).pvalue > 0.001


def test_experiments_are_independent_of_each_other_and_of_ramp_and_holdout() -> None:
    one, other = Allocation(salt="one", arms=ARMS), Allocation(salt="other", arms=ARMS)
    for split in (
        lambda user: assign(other, user).arm,
        lambda user: position("ramp:one", user) < 0.5,
        lambda user: position("holdout:h", user) < 0.5,
        lambda user: position("group:g", user) < 0.5,
    ):
        table = Counter((assign(one, user).arm, split(user)) for user in USERS)
        rows = sorted({arm for arm, _ in table}, key=str)
        columns = sorted({side for _, side in table}, key=str)
        assert len(rows) == len(columns) == 2
        assert stats.chi2_contingency([[table[row, column] for column in columns] for row in rows]).pvalue > 0.001


def test_experiments_of_one_group_share_nobody_and_the_held_out_are_in_none() -> None:
    holdout = Holdout(salt="h", share=0.1)
    halves = Slice(group="g", start=0, end=0.5), Slice(group="g", start=0.5, end=1)
    assert not halves[0].overlaps(halves[1])
    assert halves[0].overlaps(Slice(group="g", start=0.4, end=0.6))
    allocations = [Allocation(salt=str(number), arms=ARMS, slice=half) for number, half in enumerate(halves)]
    reasons: Counter[tuple[str, ...]] = Counter()
    for user in USERS:
        found = [assign(allocation, user, holdout=holdout) for allocation in allocations]
        reasons[tuple(each.reason for each in found)] += 1
    assert set(reasons) == {(HELD_OUT, HELD_OUT), ("", NOT_IN_SLICE), (NOT_IN_SLICE, "")}
    assert stats.binomtest(reasons[HELD_OUT, HELD_OUT], len(USERS), 0.1).pvalue > 0.001


def test_the_unit_is_the_user_or_the_session() -> None:
    by_session = Allocation(salt="s", arms=ARMS, unit="session")
    assert assign(by_session, "any user", "user-1") == assign(Allocation(salt="s", arms=ARMS), "user-1", "any session")
    assert assign(by_session, "user-1").reason == NO_ID
    assert assign(Allocation(salt="s", arms=ARMS), None, "session").reason == NO_ID
    assert assign(Allocation(salt="s", arms=ARMS, ramp=0), "user-1").reason == NOT_IN_RAMP


def test_what_cannot_be_divided_is_refused() -> None:
    with pytest.raises(ValidationError, match="two arms have one name"):
        Allocation(salt="s", arms=(Arm(name="a"), Arm(name="a")))
    with pytest.raises(ValidationError, match="at least 2"):
        Allocation(salt="s", arms=(Arm(name="a"),))
    with pytest.raises(ValidationError, match="is empty"):
        Slice(group="g", start=0.5, end=0.5)
    with pytest.raises(ValidationError, match="greater than 0"):
        Arm(name="a", weight=0)
