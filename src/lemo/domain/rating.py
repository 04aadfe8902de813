"""Ratings: from which value on one speaks for an item, and up to which against it, on any scale."""

from collections.abc import Mapping

Scale = tuple[float, float]
"""The least and the greatest rating that users can give."""

LIKED_FROM, DISLIKED_TO = 0.65, 0.35
"""Parts of a scale: 4 and 5 of 1-5 are liked and 1 and 2 disliked; of 0-10 these are 7 to 10 and 0 to 3."""
_OUTLYING = 0.02
"""Part of the users whose ratings may lie beyond the scale that the others use."""
_RARE = 0.002
"""Part of the users that shows that the lower end of a scale is in use."""
_FEW_USERS = 10
"""Among fewer users nobody counts as an outlier."""


def liked_from(scale: Scale) -> float:
    """The least rating that speaks for an item."""
    return scale[0] + LIKED_FROM * (scale[1] - scale[0])


def disliked_to(scale: Scale) -> float:
    """The greatest rating that speaks against an item."""
    return scale[0] + DISLIKED_TO * (scale[1] - scale[0])


def learn_scale(users: Mapping[float, float]) -> Scale | None:
    """The scale that ratings were given on, from how many users gave each value; None where the values do not tell.

    A user who gave several values counts in parts, so that one user never weighs more than one. The result is one of
    the usual scales (thumbs -1 to 1 or 0 to 1, stars from 0, 0.5 or 1 to 5, 0 or 1 to 10, 0 to 100, and those to both
    sides of 0) where the values fit one, else the range of the values. Values of a few users beyond it are ignored.
    Only ones do not tell: that may be the best of thumbs or the worst of stars.
    """
    total = sum(users.values())
    if total <= 0:
        return None
    spare = max(_OUTLYING * total, 1.0) if total >= _FEW_USERS else 0.0
    low, high = _end(users, spare, -1), _end(users, spare, 1)

    def used(below: float, least: float = float("-inf")) -> bool:
        return sum(count for value, count in users.items() if least <= value < below) > _RARE * total

    if high <= 1:
        if low < -1:
            return _beyond(low, high)
        return (-1.0, 1.0) if used(0, -1) else (0.0, 1.0) if used(1, 0) else None
    if low < 0:
        return _beyond(low, high)
    if high <= 5:
        return (0.0 if used(0.5, 0) else 0.5 if used(1, 0.5) else 1.0), 5.0
    if high <= 10:
        return (0.0 if used(1, 0) else 1.0), 10.0
    if high <= 100:
        return 0.0, 100.0
    return (low, high) if low < high else None


def _end(users: Mapping[float, float], spare: float, sign: int) -> float:
    """The greatest value (`sign` 1) or the least (-1) when those of at most `spare` users are left out."""
    beyond = 0.0
    values = sorted(users, reverse=sign > 0)
    for value in values:
        beyond += users[value]
        if beyond > spare + 1e-9:
            return value
    return values[-1]


def _beyond(low: float, high: float) -> Scale:
    """A scale to both sides of 0."""
    widest = max(-low, high)
    end = next((usual for usual in (5.0, 10.0, 100.0) if widest <= usual), widest)
    return -end, end
