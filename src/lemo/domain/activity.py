"""How many outliers the activity of a scenario may have at either end, so that a few users do not set its time."""

FEW_SHARE = 10
"""One in so many users may be an outlier: an account of a test, a device whose clock is wrong, a list of old orders."""
MOST_STRAYS = 50
"""Most outliers; more users than this are activity, however many users there are."""


def strays(users: int) -> int:
    """How many of `users` users may have events outside the active time without extending it."""
    return min(MOST_STRAYS, users // FEW_SHARE)
