"""What a scenario held before an import and holds after it: what of the rows was new."""

from contextlib import closing
from dataclasses import dataclass
from typing import Literal

from lemo.domain.errors import EngineUnavailable
from lemo.domain.scope import Scope
from lemo.settings import Settings
from lemo.stores.connect import Stores

Kind = Literal["items", "events"]


@dataclass(frozen=True, slots=True)
class Held:
    """Items, or events and their users, of a scenario."""

    rows: int
    users: int = 0


def held(settings: Settings, scope: Scope, kind: Kind) -> Held | None:
    """What the stores hold now; None where they do not answer, as an import needs the log alone."""
    try:
        with closing(Stores(settings, interactive=True)) as stores:
            if kind == "items":
                return Held(stores.items.count(scope))
            if not stores.events.schema():
                return Held(0)
            return Held(stores.events.count(scope), stores.events.count_users(scope))
    except EngineUnavailable:
        return None


@dataclass(frozen=True, slots=True)
class Change:
    """What an import changed. Others may have written meanwhile."""

    kind: Kind
    before: Held
    after: Held

    @property
    def sentence(self) -> str:
        """The change in words."""
        new = self.after.rows - self.before.rows
        if self.kind == "items":
            return f"The catalogue holds {self.after.rows:,} active items now, {_signed(new)}."
        users = self.after.users - self.before.users
        return (
            f"The scenario holds {self.after.rows:,} events of {self.after.users:,} users now: {_signed(new)} events,"
            f" {_signed(users)} users who were unknown before."
        )

    def known(self, sent: int) -> int:
        """How many of the events that were sent the scenario held before, or stood in the files twice."""
        return max(sent - max(self.after.rows - self.before.rows, 0), 0) if self.kind == "events" else 0


def _signed(count: int) -> str:
    return f"{count:+,}" if count else "0"


def next_step(kind: Kind, scenario: str, held: Held | None) -> str:
    """What to do after an import."""
    if kind == "items":
        return f"Next: lemo import events FILE --scenario {scenario}"
    if held is not None and not held.rows:
        return ""
    return (
        f"Next: lemo jobs run train-model-daily --scenario {scenario} --wait (it also runs by itself each night), then"
        f" lemo recommend --scenario {scenario} --user USER"
    )
