"""Interleaving of two rankings by team draft, and the preference that clicks on the mixed list tell.

Radlinski, Kurup and Joachims, "How does clickthrough data reflect retrieval quality?" (CIKM 2008): as two captains
choose teams, the rankings take turns, chance decides who is first in each round, and each takes its best item that is
not taken yet. A click counts for the team of its item. Chapelle, Joachims, Radlinski and Yue, "Large-scale validation
and analysis of interleaved search evaluation" (TOIS 30(1), 2012): an answer is won by the team with more clicks. Where
users prefer neither, each team wins as often: users are compared with themselves, so that far fewer are needed.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from random import Random
from statistics import NormalDist
from typing import Literal, TypeVar

from lemo.statistics.estimates import Sample
from lemo.statistics.sequential import ALPHA, POWER, TIGHTEST_AT, multiplier, p_value
from lemo.statistics.verdict import FEWEST_UNITS, Decision

Item = TypeVar("Item", bound=Hashable)
Team = Literal[0, 1]


def team_draft(first: Sequence[Item], second: Sequence[Item], n: int, random: Random) -> list[tuple[Item, Team | None]]:
    """The n best items of two rankings, mixed, each with the ranking (0 or 1) whose team it is on.

    Where one ranking has no item left, the rest of the other follows on no team (None): it got no turn against it.
    """
    rankings = first, second
    at, sizes = [0, 0], [0, 0]
    taken: dict[Item, Team | None] = {}

    def next_of(team: Team) -> Item | None:
        while at[team] < len(rankings[team]):
            item = rankings[team][at[team]]
            if item not in taken:
                return item
            at[team] += 1
        return None

    while len(taken) < n:
        best = next_of(0), next_of(1)
        if best[0] is None or best[1] is None:
            break
        team: Team = 0
        if sizes[1] < sizes[0] or (sizes[1] == sizes[0] and random.random() < 0.5):
            team = 1
        item = best[team]
        assert item is not None  # noqa: S101 - both have one
        taken[item] = team
        sizes[team] += 1
    for item in (*first, *second):
        if len(taken) >= n:
            break
        taken.setdefault(item, None)
    return list(taken.items())


@dataclass(frozen=True)
class Preference:
    """How often the second ranking wins against the first, of the answers that one of them won."""

    share: float | None
    """.5 where users prefer neither; None without such an answer."""
    low: float | None
    high: float | None
    """Interval that holds the true share at all looks together; None where nothing varies."""
    p_value: float
    """Always valid."""
    units: int
    alpha: float


def preference(sample: Sample, tightest_at: int = TIGHTEST_AT, alpha: float = ALPHA) -> Preference:
    """The preference from the answers of each unit: `value` is those won by the second less those won by the first,
    `base` those that either won. Only units with such an answer are in the sample.

    Units that come often weigh more, and their answers are not independent: the variance is that of a ratio over units.
    """
    if not sample.units or not sample.base:
        return Preference(None, None, None, 1.0, 0, alpha)
    share = (1 + sample.metric) / 2
    error = sqrt(sample.variance / sample.units) / 2
    if not error:
        return Preference(share, None, None, 1.0, sample.units, alpha)
    reach = multiplier(sample.units, tightest_at, alpha) * error
    p = p_value((share - 0.5) / error, sample.units, tightest_at, alpha)
    return Preference(share, max(0.0, share - reach), min(1.0, share + reach), p, sample.units, alpha)


def units_for(effect: float, power: float = POWER, alpha: float = ALPHA) -> int:
    """Units with a decided answer that find a preference with at least `power`, where each decides one answer.

    `effect` is the difference of the two shares: .05 is 52.5 against 47.5 %. It is where intervals are tightest.
    """
    return ceil(((multiplier(1, 1, alpha) + NormalDist().inv_cdf(power)) / effect) ** 2)


def units_for_one_look(effect: float, power: float = POWER, alpha: float = ALPHA) -> int:
    """What a test would need that is evaluated once, at the end."""
    normal = NormalDist()
    return ceil(((normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)) / effect) ** 2)


def judged(found: Preference, names: tuple[str, str], planned: int | None) -> tuple[Decision, list[str]]:
    """The decision on the second ranking, and the sentences that explain it; `names` are those of the two."""
    if found.share is None or found.low is None or found.high is None or found.units < FEWEST_UNITS:
        so_far = f"{found.units} so far"
        return "too early", [f"Too early: {FEWEST_UNITS} units with an answer that one arm won are needed ({so_far})."]
    control, other = names
    level = f"{1 - found.alpha:.0%}"
    words = [
        f"{other} wins {found.share:.1%} of the answers that either wins ({level} interval {found.low:.1%} to"
        f" {found.high:.1%}), over {found.units:,} units."
    ]
    if found.p_value <= found.alpha:
        winner, loser = (other, control) if found.share > 0.5 else (control, other)
        words.append(f"Users prefer {winner} to {loser}. The interval allows for looking at any time.")
        return "better" if found.share > 0.5 else "worse", words
    if planned is not None and found.units >= planned:
        words.append(f"The planned {planned:,} units are reached and no preference is shown.")
    else:
        rest = f" of {planned:,} planned" if planned is not None else ""
        words.append(f"Undecided after {found.units:,} units{rest}: go on, the interval becomes narrower.")
    return "undecided", words
