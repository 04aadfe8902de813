"""What a few users must not decide: from when to when a scenario is active."""

FEW_SHARE = 10
"""One in so many users may be a stray: an account of a test, a device whose clock is wrong, a list of old orders."""
MOST_STRAYS = 50
"""So many users are activity, however many there are in all."""


def strays(users: int) -> int:
    """How many of so many users may act before or after all others without a say in when the scenario is active."""
    return min(MOST_STRAYS, users // FEW_SHARE)
