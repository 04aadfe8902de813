"""Files of items or events on their way into a scenario: how each is read, what of it is sent, and what came of it.

`lemo import` and the console import with it alike.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from time import sleep

from pydantic import BaseModel

from lemo.domain.errors import InvalidInput
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scenario import Scenario
from lemo.domain.scope import Scope
from lemo.files.plain_events import PlainEvents
from lemo.files.plan import NOTHING_SAID, REQUIRED, Wishes
from lemo.files.reading import Reading
from lemo.files.rejects import Rejects
from lemo.files.repeats import Repeats
from lemo.files.table import open_table
from lemo.files.tally import Tally
from lemo.intake.doubt import LOOK_SECONDS, Doubt
from lemo.intake.import_counts import Kind
from lemo.intake.preview import Preview, previewed
from lemo.intake.retry import patiently
from lemo.stores.connect import Stores
from lemo.streams import Message
from lemo.streams.messages import event_message, item_message, item_topic

HEAD_BATCHES = 10
"""Batches of a file, of 2,000 rows, that are read before the first is sent: what kind of file it is, shows there."""
MANY_CONFLICTS = 5
"""Fewer rows whose event_id stands for another event are bad rows, and no reason to stop."""

MODELS: dict[Kind, type[BaseModel]] = {"items": Item, "events": Event}


class FileImport:
    """One import of one or more files, which share the ids that came before.

    `wishes` are what a person says about the files, columns to `leave_out` are read as if they were not there.
    """

    def __init__(
        self,
        stores: Stores,
        scope: Scope,
        scenario: Scenario,
        kind: Kind,
        wishes: Wishes = NOTHING_SAID,
        leave_out: Collection[str] = (),
    ) -> None:
        self.stores = stores
        self.scope = scope
        self.scenario = scenario
        self.kind = kind
        self.wishes = wishes
        self.leave_out = list(leave_out)
        self.tally = Tally()
        self.named: set[str] = set()
        """The items that events name."""
        settings = stores.settings
        self.topic = (
            item_topic(settings.kafka_item_ingest_topics, scenario.template)
            if kind == "items"
            else settings.kafka_event_topic
        )
        self._actions: Collection[str] = scenario.actions if kind == "events" else ()
        self._repeats = Repeats()

    def columns(self, path: Path) -> list[str]:
        """The names of a file's columns; raises NotFound and InvalidInput for what is no such file."""
        table = open_table(path, REQUIRED[MODELS[self.kind]], self.wishes.encoding, self.wishes.delimiter)
        return [name for name in table.names if name]

    def look(self, path: Path) -> Preview:
        """How a file would be read, with its first rows; nothing is sent. Raises NotFound and InvalidInput."""
        reading = Reading(
            path,
            MODELS[self.kind],
            self._checked,
            Rejects(path, written=False),
            leave_out=self.leave_out,
            wishes=self.wishes,
            actions=self._actions,
        )
        return previewed(reading, self.wishes)

    def open(self, path: Path, rejects: Rejects | None = None) -> Reading[Message]:
        """A file to send; raises NotFound and InvalidInput."""
        if needed := [name for name in self.leave_out if name in REQUIRED[MODELS[self.kind]]]:
            raise InvalidInput(f"{needed[0]} cannot be left out: no row is read without it.")
        events = self.kind == "events"
        return Reading(
            path,
            MODELS[self.kind],
            self._message,
            rejects,
            leave_out=self.leave_out,
            repeats=self._repeats,
            wishes=self.wishes,
            actions=self._actions,
            plain=PlainEvents(self.scope, self._actions, self.tally, self.named) if events else None,
        )

    def send(self, reading: Reading[Message], tell: Callable[[], object]) -> None:
        """Sends all rows of a file and calls `tell` after each batch, which may raise to stop.

        Raises InvalidInput before the first row where ids stand for several events, EngineUnavailable where the log
        stays away for a minute.
        """
        log = self.stores.log
        with closing(log.publisher()) as publisher:
            send = patiently(publisher.publish)
            patiently(log.create_topics)([self.topic])
            batches = reading.batches()
            head = list(islice(batches, HEAD_BATCHES))
            _check_head(reading)
            for batch in chain(head, batches):
                send(self.topic, batch)
                tell()

    def wait(self, tell: Callable[[int, int], object], consumer_is_there: Callable[[], bool]) -> int:
        """Waits until the consumer has taken the topic; returns the messages that it had not when it stopped moving.

        `tell` gets the messages that are left, and the most there were.
        """
        look = patiently(self.stores.log.lag)
        group = self.stores.settings.kafka_group
        left = least = most = look([self.topic], group)[self.topic]
        tell(left, most)
        doubt = Doubt(consumer_is_there)
        while left and not doubt.quiet and not doubt.nobody(least):
            sleep(LOOK_SECONDS)
            left = look([self.topic], group)[self.topic]
            least = min(least, left)
            tell(left, most)
        return int(left)

    def unknown(self) -> list[str]:
        """The items that events name and the catalogue does not hold, where it has to."""
        if not self.named or self.scenario.catalogue == "none":
            return []
        return self.stores.items.unknown(self.scope, self.named)

    def _checked(self, model: BaseModel) -> BaseModel:
        """The model; raises InvalidInput for an action that the scenario does not know."""
        if isinstance(model, Event) and model.action not in self._actions:
            known = ", ".join(self._actions)
            raise InvalidInput(f"action: {model.action!r} is not an action of this scenario; it knows {known}")
        return model

    def _message(self, model: BaseModel) -> Message:
        self._checked(model)
        if isinstance(model, Event):
            sent = event_message(self.scope, model)
            self.named.add(model.item_id)
            self.tally.add(model)
            return sent
        assert isinstance(model, Item)  # noqa: S101 - MODELS has no other
        sent = item_message(self.scope, model)
        self.tally.add(model)
        return sent


def mostly_bad(readings: Sequence[Reading[Message]]) -> list[Reading[Message]]:
    """The files most of whose rows were rejected."""
    return [reading for reading in readings if reading.rejects.count > reading.good]


def _check_head(reading: Reading[Message]) -> None:
    """Raises InvalidInput, before anything of the file is sent, where it is plain that ids stand for several events."""
    if absent := reading.absent:
        raise InvalidInput(
            f"The first {reading.read:,} rows of {reading.path} have no column {absent[0]!r} to leave out.",
            "Nothing of the file was sent. Check the name.",
        )
    if reading.conflicting >= MANY_CONFLICTS and reading.conflicting * 10 >= reading.read:
        raise InvalidInput(
            f"In {reading.path} an event_id names no single event: {reading.conflicting:,} of the first"
            f" {reading.read:,} rows bear one that an earlier row bears with other contents, such as"
            f" {reading.conflict[:80]!r}.",
            "Nothing of the file was sent. Import it with `--leave-out event_id`: an id is derived from each row then,"
            " so that importing twice still counts once. Or give each event an id of its own.",
        )
