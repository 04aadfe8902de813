"""How long a client of an engine waits: whoever looks at a page or a command waits seconds, a job waits minutes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds that a client waits for an engine before it raises EngineUnavailable."""

    connect: float
    """For a connection."""
    answer: float
    """For the answer to one call."""
    retries: int
    """Further attempts after a connection that broke; one replaces a connection that a restart of the engine cut."""


FOR_JOBS = Deadlines(connect=3.0, answer=120.0, retries=5)
"""For services and jobs, which outlive an engine that restarts and ask for millions of rows."""


def for_people(answer: float) -> Deadlines:
    """For pages, routes and commands."""
    return Deadlines(connect=2.0, answer=answer, retries=1)
