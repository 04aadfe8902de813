"""How many files a process may have open: sockets count, and every service holds dozens."""

import resource

from lemo.domain.errors import LemoError

NEEDED = 1024
"""What the supervisor asks for; engines and services inherit the limit."""
ENOUGH = 65_536


def raise_limit() -> int:
    """Raises this process's soft limit as far as its hard one allows; returns what holds then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return ENOUGH if soft == resource.RLIM_INFINITY else soft


def check_limit() -> None:
    """Raises LemoError where the hard limit leaves too few."""
    allowed = raise_limit()
    if allowed < NEEDED:
        raise LemoError(
            f"A process may have only {allowed:,} files and sockets open here (hard limit of `ulimit -n`), and Lemo's"
            f" need {NEEDED:,}.",
            "Raise it: `ulimit -Hn 65536` as root before `lemo up`, `nofile` in /etc/security/limits.conf,"
            " `LimitNOFILE=65536` of a systemd unit, or `--ulimit nofile=65536` of docker run.",
        )
