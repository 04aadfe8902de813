"""Moves an installation by a backup of it, then compares what both hold and answer."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from lemo.backup.make import make_backup
from lemo.backup.restore import restore_backup
from lemo.domain.scope import Scope
from lemo.jobs.profiles import profile
from lemo.jobs.report import unattended
from lemo.serving.restore import restore
from lemo.serving.service import RecommendationService
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.documents.transfer import count_documents

USERS = 1_000
"""Users of each scenario whose lists are compared."""
N = 10
_MOST_HOURS = 1_000_000

Watch = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Compared:
    """How many there are of something, here and there, and how many of them are not the same."""

    what: str
    here: int
    there: int
    different: int


def move(source: Stores, target: Settings, watch: Watch = lambda _part: None) -> list[Compared]:
    """Copies the installation to the target's engines, which must be empty, and compares both.

    Whoever writes meanwhile makes a difference: stop the services that write. Raises as `make_backup` and
    `restore_backup`.
    """
    target.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.state) as folder:
        archive = Path(folder) / "installation.tar.gz"
        make_backup(source, archive, watch=lambda part: watch(f"Copying {part}"))
        restore_backup(target, archive, lambda part: watch(f"Writing {part}"))
    with closing(Stores(target)) as there:
        return compare(source, there, watch)


def compare(source: Stores, target: Stores, watch: Watch = lambda _part: None) -> list[Compared]:
    """Compares documents by kind, then events, hours and lists of each scenario. Fills the target's Redis first."""
    compared = _documents(source, target)
    for scope in scopes_of(source):
        watch(f"Comparing {scope.scenario_id}")
        compared += _scenario(source, target, scope)
    return compared


def scopes_of(stores: Stores) -> Iterator[Scope]:
    """The scenarios of all tenants."""
    for tenant_id in stores.tenants.list():
        for scenario in stores.scenarios.list(tenant_id):
            yield Scope(tenant_id, scenario.scenario_id)


def _documents(source: Stores, target: Stores) -> list[Compared]:
    here, there = count_documents(source.documents), count_documents(target.documents)
    names = sorted(here.keys() | there.keys())
    counts = [(name, here.get(name, 0), there.get(name, 0)) for name in names]
    return [Compared(f"documents: {name}", one, other, abs(one - other)) for name, one, other in counts]


def _scenario(source: Stores, target: Stores, scope: Scope) -> list[Compared]:
    for epoch in target.aggregates.abandoned(0):
        target.aggregates.refresh(epoch)
    hours, hours_there = (stores.aggregates.counts(scope, "hour", _MOST_HOURS) for stores in (source, target))
    different = sum(hour not in hours_there for hour in hours) + sum(hour not in hours for hour in hours_there)
    name = f"{scope.tenant_id}/{scope.scenario_id}"
    events, events_there = sum(hour.events for hour in hours), sum(hour.events for hour in hours_there)
    found = [
        Compared(f"{name}: events", events, events_there, abs(events - events_there)),
        Compared(f"{name}: hours", len(hours), len(hours_there), different),
    ]
    if source.snapshots.current(scope, "model") is None:
        return found
    # What Redis holds besides the log is made anew, as the jobs of the new place will do.
    restore(target, scope)
    profile(target, scope, unattended())
    users = source.events.active_users(scope, USERS)
    lists, lists_there = (_lists(stores, scope, users) for stores in (source, target))
    changed = sum(lists[user] != lists_there[user] for user in users)
    return [*found, Compared(f"{name}: lists", len(lists), len(lists_there), changed)]


def _lists(stores: Stores, scope: Scope, users: list[str]) -> dict[str, list[str]]:
    with RecommendationService(stores, watch=False) as service:
        return {
            user: [each.item_id for each in answer.items] for user, answer in service.recommend_many(scope, users, N)
        }
