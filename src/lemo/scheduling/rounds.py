"""A file that says when the beat of this host last made a round: what tells a beat that hangs from one that waits."""

import contextlib
import socket
import time
from pathlib import Path

from lemo.settings import Settings

_SLOWEST_SECONDS = 60.0
"""A round may take so long, besides its loop: Redis is slow, or a thousand entries are due."""


def rounds_file(settings: Settings) -> Path:
    """The file, whose time of change is that of the last round."""
    return settings.state / "run" / f"beat-{socket.gethostname()}"


def note_round(settings: Settings) -> None:
    """Says that a round begins; a full disk is no reason for a beat to end."""
    with contextlib.suppress(OSError):
        file = rounds_file(settings)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch()


def since_round(settings: Settings) -> float | None:
    """Seconds since the last round; None where no beat of this host has made one."""
    try:
        return max(0.0, time.time() - rounds_file(settings).stat().st_mtime)
    except OSError:
        return None


def makes_rounds(settings: Settings) -> bool:
    """Whether the last round is as new as that of a beat that lives."""
    seconds = since_round(settings)
    return seconds is not None and seconds <= settings.beat_loop_seconds + _SLOWEST_SECONDS
