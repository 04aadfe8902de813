"""How old what serves is, and why it cannot be renewed: one account of models, catalogues and pipelines."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

STALE_SECONDS = 30.0
"""Age from which answers of what could not be renewed are degraded."""


@dataclass(frozen=True, slots=True)
class Renewals:
    """Statistics of the renewal of all scopes."""

    scopes: int
    """Scopes that are served."""
    stale: int
    """Scopes that could not be renewed for `STALE_SECONDS`."""
    oldest_seconds: float
    """Age of the oldest part; 0 without a scope."""
    failed: int
    """Renewals that failed, in whole or in part, since the process started."""
    fault: str
    """Class of a current error; its message is left out, because it may name tenants. Empty without one."""

    def with_part(self, part: "Renewals") -> "Renewals":
        """Models with a part that some scopes have besides, such as a catalogue."""
        return Renewals(
            self.scopes,
            max(self.stale, part.stale),
            max(self.oldest_seconds, part.oldest_seconds),
            self.failed + part.failed,
            self.fault or part.fault,
        )


def is_old(moment: float) -> bool:
    """Whether what was last read at a moment (monotonic seconds) is so old that answers of it are degraded."""
    return time.monotonic() - moment > STALE_SECONDS


def renewals_of(read: Sequence[tuple[float, str]], failed: int = 0) -> Renewals:
    """Of the moments (monotonic seconds) at which scopes were last read, each with the class of its current error."""
    faults = [fault for _, fault in read if fault]
    return Renewals(
        scopes=len(read),
        stale=sum(is_old(moment) for moment, _ in read),
        oldest_seconds=max((time.monotonic() - moment for moment, _ in read), default=0.0),
        failed=failed,
        fault=faults[-1] if faults else "",
    )
