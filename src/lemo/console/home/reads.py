"""What the first page reads from the stores of one tenant. Each read blocks, and raises LemoError."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from lemo.console.queries import Queries, attempt
from lemo.domain.errors import LemoError
from lemo.domain.run import Run
from lemo.domain.scope import Scope
from lemo.domain.time import from_milliseconds, milliseconds
from lemo.scheduling.health import JobState, job_states
from lemo.streams.lag import Lag, lag_of
from lemo.streams.topics import Topics

RUNS_READ = 60
RUNS_SHOWN = 8
FREQUENT = frozenset({"embed-items", "aggregate-realtime-minutely"})
"""Jobs that run at every arrival or minute: among the others, their runs of one outcome are one line."""
DEGRADED_HOURS = 24
LEAST_DEGRADED, FEWEST_ANSWERS = 0.01, 100
"""Share of degraded answers that somebody should look at, and of how many answers a share says something."""


@dataclass(frozen=True, slots=True)
class ScenarioCounts:
    """One scenario and its counts; a count is None while its engine is away."""

    scenario_id: str
    template: str
    items: int | None
    users: int | None
    events: int | None
    newest: datetime | None


@dataclass(frozen=True, slots=True)
class JobTrouble:
    """One job that is overdue or fails, with all of its scenarios in that state."""

    entry: str
    failing: bool
    scenarios: list[str]
    last_success: datetime | None
    """The oldest of them; None where one has never succeeded."""
    error: str
    hint: str


@dataclass(frozen=True, slots=True)
class DegradedAnswers:
    """The share of a scenario's answers that were degraded."""

    scenario_id: str
    share: float


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run, or the newest of several that are shown as one."""

    run: Run
    count: int
    rows: int
    """Rows that all of them wrote."""


class HomeReads:
    """The reads of one tenant."""

    def __init__(self, queries: Queries, tenant_id: str) -> None:
        self._settings = queries.settings
        self._stores = queries.stores
        self._tenant_id = tenant_id

    def trouble(self) -> list[JobTrouble]:
        """Jobs that are overdue or whose last run failed, those that fail first."""
        states = [state for state in job_states(self._stores, [self._tenant_id]) if state.overdue or state.failing]
        return troubles(states)

    def dead_letters(self) -> dict[str, int]:
        """Waiting dead letters by scenario."""
        return dict(Counter(letter.scenario_id for letter in self._stores.dead_letters.waiting_of(self._tenant_id)))

    def degraded(self) -> list[DegradedAnswers]:
        """Scenarios of which a share of the last answers was degraded that somebody should look at, the worst first."""
        since = milliseconds(datetime.now(UTC) - timedelta(hours=DEGRADED_HOURS))
        found = []
        for scenario in self._stores.scenarios.list(self._tenant_id):
            scope = Scope(self._tenant_id, scenario.scenario_id)
            answers, degraded = self._stores.served.degraded(scope, since)
            if answers >= FEWEST_ANSWERS and degraded >= LEAST_DEGRADED * answers:
                found.append(DegradedAnswers(scenario.scenario_id, degraded / answers))
        return sorted(found, key=lambda each: -each.share)

    def lag(self) -> Lag:
        """How far the consumers are behind, with the messages of all tenants."""
        log = self._stores.log
        return lag_of(log, Topics(self._settings).read_of(log), self._settings.kafka_group)

    def scenarios(self) -> tuple[list[ScenarioCounts], LemoError | None]:
        """The scenarios with their counts, and why some counts are missing."""
        away: LemoError | None = None
        counts = []
        for scenario in self._stores.scenarios.list(self._tenant_id):
            scope = Scope(self._tenant_id, scenario.scenario_id)
            behaviour: tuple[int | None, int | None, int | None] = (None, None, None)
            # An engine that did not answer is not asked again for the next scenario.
            if away is None:
                found = attempt(partial(self._behaviour, scope))
                if isinstance(found, LemoError):
                    away = found
                else:
                    behaviour = found
            users, events, newest = behaviour
            counts.append(
                ScenarioCounts(
                    scenario.scenario_id,
                    scenario.template,
                    self._stores.items.count(scope),
                    users,
                    events,
                    None if newest is None else from_milliseconds(newest),
                )
            )
        return counts, away

    def runs(self) -> list[RunLine]:
        """The newest runs."""
        return run_lines(self._stores.runs.list(self._tenant_id, limit=RUNS_READ))[:RUNS_SHOWN]

    def _behaviour(self, scope: Scope) -> tuple[int, int, int | None]:
        """Users, events, and Unix ms of the newest event."""
        events = self._stores.events
        return events.count_users(scope), events.count(scope), events.newest(scope)


def troubles(states: Iterable[JobState]) -> list[JobTrouble]:
    """The states by job and kind of trouble, those that fail first."""
    found: dict[tuple[bool, str], list[JobState]] = {}
    for state in states:
        found.setdefault((not state.failing, state.entry), []).append(state)
    lines = []
    for (overdue, entry), those in sorted(found.items(), key=lambda pair: pair[0]):
        successes = [state.last_success for state in those]
        known = [moment for moment in successes if moment is not None]
        last = next((state.last_ended for state in those if state.failing and state.last_ended), None)
        lines.append(
            JobTrouble(
                entry,
                not overdue,
                [state.scope.scenario_id for state in those],
                min(known) if len(known) == len(successes) else None,
                last.error if last else "",
                those[0].hint,
            )
        )
    return lines


def run_lines(runs: Iterable[Run]) -> list[RunLine]:
    """The runs, newest first; those of a frequent job of one scenario with one outcome are one line."""
    lines: dict[object, list[Run]] = {}
    for run in runs:
        key = (run.entry, run.scenario_id, run.outcome) if run.entry in FREQUENT else run.run_id
        lines.setdefault(key, []).append(run)
    return [RunLine(those[0], len(those), sum(run.rows_written for run in those)) for those in lines.values()]
