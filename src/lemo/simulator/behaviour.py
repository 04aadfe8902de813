"""What users of the small world see and do.

Each session shows a short list, drawn from what the user might like, what is popular and what is new. A shown item is
looked at the less the lower it stands (the examination hypothesis; Craswell et al., "An Experimental Comparison of
Click Position-Bias Models", WSDM 2008), and clicked when it is looked at and suits the user's taste at that moment.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lemo.simulator.catalogue import DAY_MS, Catalogue

Array = np.ndarray[Any, Any]

SHOWN = 8
"""Items of one session."""
MOST_SESSIONS = 16
STEP_MS = 40_000
"""Time between two clicks of a session."""
DRIFTERS = 0.35
"""Share of users who swap one of their two favourite categories for another at some moment."""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What may follow a click: `action` after `delay_ms`, with a probability that grows with affinity."""

    action: str
    after: str
    """The action it follows: click, or an earlier follow-up."""
    chance: float
    """For an item that suits the user as most clicked ones do."""
    delay_ms: int
    value: str = ""
    """What its value is: `watched` seconds, `price`, or nothing."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How users of one scenario behave."""

    follow_ups: tuple[FollowUp, ...]
    click_share: float = 0.34
    """Clicks per impression, over the whole world."""
    half_life_days: float | None = None
    """How fast items age; None: they do not."""


@dataclass(frozen=True, eq=False)
class Treatment:
    """An experiment: from a moment on, users see the lists of their arm and react to them."""

    since_ms: int
    arms: Array
    """int (users,): the arm of each user."""
    clicks: Array
    """float (arms,): clicks per impression as a multiple of `Habits.click_share`."""
    taste: Array
    """float (arms,): how much the lists go by the user's taste, as a multiple of what they do else."""
    newness: Array
    """float (arms,): how much the lists prefer items of the last week, beyond what they do else."""

    def arms_at(self, users: Array, moments: Array) -> Array:
        """int, like `users`: their arm, -1 before the experiment."""
        return np.where(moments < self.since_ms, -1, self.arms[users])


@dataclass(frozen=True, eq=False)
class LatestInteractions:
    """n events as columns."""

    users: Array
    items: Array
    actions: Array
    """int (n,): codes into `names`."""
    names: list[str]
    timestamps: Array
    """int64 (n,), Unix milliseconds, rising."""
    values: Array
    """float (n,), NaN for none."""
    positions: Array
    """int (n,): place in the list shown, from 1."""
    sessions: Array
    """int (n,): number of the user's session."""


@dataclass(frozen=True, eq=False)
class _Tastes:
    """Per user: two favourite categories with a favourite theme each, and what becomes of the second."""

    before: Array
    after: Array
    turn_ms: Array

    def at(self, users: Array, moments: Array) -> Array:
        """float (users, items): how well each item suits each user at that user's moment."""
        return np.where((moments < self.turn_ms[users])[:, None], self.before[users], self.after[users])


def simulate(
    random: np.random.Generator,
    catalogue: Catalogue,
    habits: Habits,
    users: int,
    start_ms: int,
    end_ms: int,
    treatment: Treatment | None = None,
) -> LatestInteractions:
    """All events of `users` users between the moments."""
    tastes = _make_tastes(random, catalogue, users, start_ms, end_ms)
    counts = np.minimum(1 + random.geometric(1 / 2.8, users), MOST_SESSIONS)
    moments = _session_moments(random, counts, start_ms, end_ms)
    known = np.zeros((users, len(catalogue.items)), dtype=bool)
    shown: list[tuple[Array, Array, Array, Array, Array]] = []
    for session in range(int(counts.max())):
        # The sessions of one round belong to different users, so they are drawn together.
        who = np.flatnonzero(counts > session)
        when = moments[who, session]
        suits = tastes.at(who, when)
        arms = treatment.arms_at(who, when) if treatment is not None else np.full(len(who), -1)
        pull = 0.55 * suits + 0.8 * catalogue.appeal[None, :]
        if treatment is not None:
            pull = pull + _change_of_lists(treatment, arms, catalogue, suits, when)
        lists = _display(random, catalogue, habits, pull, known[who], when)
        affinity = np.take_along_axis(suits, lists, axis=1) + 0.5 * catalogue.appeal[lists]
        clicked = random.random(lists.shape) < _chances_by_arm(affinity, habits.click_share, treatment, arms)
        # A list may be shorter than SHOWN while few items are published: what is not out yet is not shown.
        there = catalogue.published_ms[lists] <= when[:, None]
        rows, places = np.nonzero(clicked & there)
        known[who[rows], lists[rows, places]] = True
        shown.append((who, when, lists, np.where(there, clicked, False), there))
    return _interactions(random, catalogue, habits, tastes, shown, end_ms)


def _make_tastes(random: np.random.Generator, catalogue: Catalogue, users: int, start_ms: int, end_ms: int) -> _Tastes:
    categories = int(catalogue.categories.max()) + 1
    themes = int(catalogue.themes.max()) + 1
    per_category = max(themes // categories, 1)
    # Some categories have more friends than others.
    crowd = np.log(1.0 / np.arange(1, categories + 1) ** 0.5)[random.permutation(categories)]
    order = np.argsort(-(crowd + random.gumbel(size=(users, categories))), axis=1)
    rows = np.arange(users)

    def affinity(first: Array, second: Array) -> Array:
        liking = random.normal(-1.8, 0.3, (users, categories))
        liking[rows, first] = random.normal(1.3, 0.3, users)
        liking[rows, second] = random.normal(0.9, 0.3, users)
        return liking

    theme_bias = random.normal(0, 0.3, (users, themes))
    for rank in range(3):
        favourite = order[:, rank] * per_category + random.integers(0, per_category, users)
        theme_bias[rows, np.minimum(favourite, themes - 1)] += 1.3
    before = affinity(order[:, 0], order[:, 1])
    drifts = random.random(users) < DRIFTERS
    after = np.where(drifts[:, None], affinity(order[:, 0], order[:, 2]), before)
    turn = start_ms + (random.uniform(0.25, 0.75, users) * (end_ms - start_ms)).astype(np.int64)

    def per_item(liking: Array) -> Array:
        return np.asarray(liking[:, catalogue.categories] + theme_bias[:, catalogue.themes], dtype=np.float32)

    return _Tastes(per_item(before), per_item(after), turn)


def _session_moments(random: np.random.Generator, counts: Array, start_ms: int, end_ms: int) -> Array:
    """int64 (users, sessions): rising per user, mostly in the evening (UTC), with an hour left before the end."""
    size = (len(counts), int(counts.max()))
    days = max((end_ms - start_ms) // DAY_MS, 1)
    day = random.integers(0, days, size)
    hour = np.where(random.random(size) < 0.6, random.normal(19.5, 1.8, size), random.uniform(6, 23, size))
    moments = start_ms + day * DAY_MS + (np.clip(hour, 0, 22.9) * 3_600_000).astype(np.int64)
    # Sessions beyond a user's count are pushed behind the others, so that sorting leaves the user's own in front.
    moments[np.arange(size[1])[None, :] >= counts[:, None]] = np.iinfo(np.int64).max
    return np.sort(moments, axis=1)


def _display(
    random: np.random.Generator, catalogue: Catalogue, habits: Habits, pull: Array, known: Array, when: Array
) -> Array:
    """int (sessions, SHOWN): items of a weak recommender that knows some of the taste, popularity and freshness.

    `pull`: float (sessions, items), what taste and popularity say of each item.
    """
    ages = _ages(catalogue, when)
    if habits.half_life_days is not None:
        pull = pull - np.log(2) * np.clip(ages, 0, None) / habits.half_life_days
    else:
        pull = pull + 0.5 * (ages < 7)
    pull = np.where(known, pull - 4, pull)
    pull = np.where(ages < 0, -1e9, pull + random.gumbel(size=pull.shape))
    places = min(SHOWN, pull.shape[1])
    best = np.argpartition(-pull, places - 1, axis=1)[:, :places]
    order = np.argsort(-np.take_along_axis(pull, best, axis=1), axis=1, kind="stable")
    return np.take_along_axis(best, order, axis=1)


def _ages(catalogue: Catalogue, when: Array) -> Array:
    """float (sessions, items): days since each item was published, negative before."""
    return np.asarray((when[:, None] - catalogue.published_ms[None, :]) / DAY_MS)


def _change_of_lists(treatment: Treatment, arms: Array, catalogue: Catalogue, suits: Array, when: Array) -> Array:
    """float (sessions, items): what the arm of each session adds to the pull of the items."""
    # The last element is for sessions before the experiment.
    taste = np.append(treatment.taste, 1.0)[arms] - 1
    newness = np.append(treatment.newness, 0.0)[arms]
    return np.asarray(0.55 * taste[:, None] * suits + newness[:, None] * (_ages(catalogue, when) < 7))


def _chances_by_arm(affinity: Array, share: float, treatment: Treatment | None, arms: Array) -> Array:
    """Chances of which each arm has the mean that it is known to have, whatever its lists hold."""
    if treatment is None:
        return _click_chances(affinity, share)
    chances = np.empty_like(affinity, dtype=float)
    factors = np.append(treatment.clicks, 1.0)
    for arm in np.unique(arms):
        rows = arms == arm
        chances[rows] = _click_chances(affinity[rows], share * float(factors[arm]))
    return chances


def _click_chances(affinity: Array, share: float) -> Array:
    """float, like `affinity`: examination times attraction, shifted so that the mean is `share`."""
    examined = (1.0 / np.arange(1, affinity.shape[1] + 1) ** 0.35)[None, :]
    low, high = -20.0, 20.0
    for _ in range(30):
        shift = (low + high) / 2
        if float((examined / (1 + np.exp(-(2.0 * affinity + shift)))).mean()) < share:
            low = shift
        else:
            high = shift
    return np.asarray(examined / (1 + np.exp(-(2.0 * affinity + low))))


def _interactions(
    random: np.random.Generator,
    catalogue: Catalogue,
    habits: Habits,
    tastes: _Tastes,
    shown: list[tuple[Array, Array, Array, Array, Array]],
    end_ms: int,
) -> LatestInteractions:
    """Impressions, clicks and what follows them, in order of time."""
    names = ["impression", "click", *(step.action for step in habits.follow_ups)]
    parts: list[tuple[Array, ...]] = []
    for session, (who, when, lists, clicked, there) in enumerate(shown):
        width = lists.shape[1]
        rows, places = np.nonzero(there)
        users, items, moments = who[rows], lists[rows, places], when[rows]
        one = np.full(len(rows), session + 1)
        parts.append((users, items, np.zeros(len(rows), int), moments, np.full(len(rows), np.nan), places + 1, one))
        rows, places = np.nonzero(clicked)
        users, items = who[rows], lists[rows, places]
        order = np.cumsum(clicked, axis=1)[rows, places]
        moments = when[rows] + 5_000 + order * STEP_MS // max(width, 1)
        suits = tastes.at(users, moments)[np.arange(len(users)), items]
        done = {"click": np.ones(len(rows), dtype=bool)}
        steps = [("click", "", 5_000)] + [(step.action, step.value, step.delay_ms) for step in habits.follow_ups]
        for step in habits.follow_ups:
            lean = 1 / (1 + np.exp(-(suits - 1.0)))
            done[step.action] = done[step.after] & (random.random(len(rows)) < np.minimum(2 * step.chance * lean, 0.97))
        for code, (action, value, delay) in enumerate(steps, start=1):
            took = done[action]
            values = np.full(len(rows), np.nan)
            if value == "price":
                values = catalogue.prices[items]
            elif value == "watched":
                share = np.where(done.get("finish", took), 1.0, random.uniform(0.05, 0.9, len(rows)))
                values = np.round(catalogue.seconds[items] * share)
            moment = moments + (delay if code > 1 else 0)
            one = np.full(len(rows), session + 1)
            columns = (users, items, np.full(len(rows), code), moment, values, places + 1, one)
            parts.append(tuple(column[took] for column in columns))
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
    users, items, actions, timestamps, values, positions, sessions = joined
    order = np.lexsort((positions, actions, users, timestamps))
    keep = order[timestamps[order] < end_ms]
    return LatestInteractions(
        users[keep], items[keep], actions[keep], names, timestamps[keep], values[keep], positions[keep], sessions[keep]
    )
