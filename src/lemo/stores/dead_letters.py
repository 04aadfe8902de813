"""Dead letters that wait for somebody: listed, counted, and sent on their way again."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from lemo.domain.errors import NotFound
from lemo.domain.scope import Scope
from lemo.stores.documents import REPLAYED_LETTERS, Documents
from lemo.stores.documents.bodies import moment_text
from lemo.streams import Log, Message, Publisher
from lemo.streams.dead_letters import DeadLetter, read_dead_letter

LISTED = 10_000
"""Newest dead letters that match, which a listing shows; and how many of all tenants a first look takes."""
_MORE = 8
"""Times as many as before that the next look takes, where other tenants' letters left too few."""
_BATCH = 500


@dataclass(slots=True)
class Replayed:
    """What a replay did."""

    by_topic: dict[str, int] = field(default_factory=dict)
    """Messages published again, by topic."""
    left: dict[str, str] = field(default_factory=dict)
    """Letters that matched and stay, by id, and why."""

    @property
    def count(self) -> int:
        """Messages published again."""
        return sum(self.by_topic.values())


class DeadLetters:
    """The dead letters of tenants; those of no known tenant belong to the tenant "".

    The log keeps every letter for its retention; which ones were replayed stands in the documents, by the letter's id.
    A letter that was refused twice, because its message was read again after a crash, has one id and is listed once.
    """

    def __init__(self, log: Log, topic: str, documents: Documents, may_replay: Callable[[str], bool]) -> None:
        """`may_replay` says of a topic whether the consumer reads it."""
        self._log = log
        self._topic = topic
        self._documents = documents
        self._may_replay = may_replay

    def waiting_of(self, tenant_id: str, scenario_id: str = "", reason: str = "") -> list[DeadLetter]:
        """Those that wait, of the newest `LISTED` that match, newest first; `reason` as in `matches`."""
        found: dict[str, DeadLetter] = {}
        limit = LISTED
        while True:
            records = self._log.read_all(self._topic, limit)
            letters = [read_dead_letter(record) for record in records]
            mine = [letter for letter in letters if matches(letter, tenant_id, scenario_id, reason)]
            if len(mine) >= LISTED or len(records) < limit:
                break
            limit *= _MORE
        for letter in mine[-LISTED:]:
            found.pop(letter.id, None)
            found[letter.id] = letter
        replayed = self._replayed(tenant_id, list(found))
        return [letter for id, letter in reversed(found.items()) if id not in replayed]

    def get(self, tenant_id: str, id: str) -> DeadLetter:
        """One letter, also one that was replayed, as long as the log keeps it; raises NotFound."""
        for record in self._log.scan(self._topic):
            letter = read_dead_letter(record)
            if letter.id == id and letter.tenant_id == tenant_id:
                return letter
        raise NotFound(f"There is no dead letter {id[:300]!r}.", "`lemo dead-letters list` shows which there are.")

    def count_waiting(self, tenant_ids: Iterable[str]) -> tuple[int, int]:
        """How many letters of these tenants and of none wait, of the newest `LISTED`; and when the newest was refused.

        The time is in Unix ms, 0 without a letter.
        """
        letters = [read_dead_letter(record) for record in self._log.read_all(self._topic, LISTED)]
        by_id = {(letter.tenant_id, letter.id): letter.refused_at for letter in letters}
        for tenant_id in ("", *tenant_ids):
            mine = [id for owner, id in by_id if owner == tenant_id]
            for id in self._replayed(tenant_id, mine):
                del by_id[tenant_id, id]
        return len(by_id), max(by_id.values(), default=0)

    def replay(
        self, tenant_id: str, ids: Sequence[str] | None = None, scenario_id: str = "", reason: str = ""
    ) -> Replayed:
        """Publishes the messages of these letters, or of all that match, to the topics they came from.

        The bytes, keys and headers are the original ones. A letter is marked as replayed after the log has taken its
        message: a replay that dies in between may be repeated, since items and events count once. What fails again
        comes back as a new letter. Raises NotFound, before anything is published, when one of `ids` does not exist.
        """
        done = Replayed()
        wanted = None if ids is None else set(ids)
        found = self._found(tenant_id, wanted, scenario_id, reason)
        if wanted is not None:
            letters = list(found)
            missing = sorted(wanted - {letter.id for letter in letters})
            if missing:
                raise NotFound(
                    f"There is no dead letter {missing[0][:300]!r}; nothing was replayed.",
                    "`lemo dead-letters list` shows which there are.",
                )
            found = iter(letters)
        publisher = self._log.publisher()
        try:
            for batch in _batches(found):
                self._publish(publisher, tenant_id, batch, done)
        finally:
            publisher.close()
        return done

    def _found(self, tenant_id: str, ids: set[str] | None, scenario_id: str, reason: str) -> Iterator[DeadLetter]:
        """Each matching letter once; those named by id even if they were replayed before."""
        seen: set[str] = set()
        matching = (
            letter
            for letter in map(read_dead_letter, self._log.scan(self._topic))
            if matches(letter, tenant_id, scenario_id, reason) and (ids is None or letter.id in ids)
        )
        for batch in _batches(matching):
            replayed = set() if ids is not None else self._replayed(tenant_id, [letter.id for letter in batch])
            for letter in batch:
                if letter.id not in seen and letter.id not in replayed:
                    seen.add(letter.id)
                    yield letter

    def _publish(self, publisher: Publisher, tenant_id: str, letters: Sequence[DeadLetter], done: Replayed) -> None:
        by_topic: dict[str, list[DeadLetter]] = {}
        for letter in letters:
            if letter.truncated:
                done.left[letter.id] = "only the beginning of its message is kept; send the whole one again"
            elif not self._may_replay(letter.topic):
                done.left[letter.id] = f"the consumer does not read the topic {letter.topic!r}"
            else:
                by_topic.setdefault(letter.topic, []).append(letter)
        for topic, mine in by_topic.items():
            messages: list[Message] = [letter.message for letter in mine]
            publisher.publish(topic, messages)
            moment = {"replayed_at": moment_text(datetime.now(UTC))}
            self._documents.put(REPLAYED_LETTERS, Scope(tenant_id), {letter.id: dict(moment) for letter in mine})
            done.by_topic[topic] = done.by_topic.get(topic, 0) + len(mine)

    def forget_replayed_before(self, tenant_id: str, moment: datetime) -> int:
        """Drops marks of replays before the moment, whose letters the log has dropped long since; returns how many."""
        scope, before = Scope(tenant_id), moment_text(moment)
        old = [id for id, body in self._documents.scan(REPLAYED_LETTERS, scope) if str(body["replayed_at"]) < before]
        return self._documents.delete(REPLAYED_LETTERS, scope, old)

    def _replayed(self, tenant_id: str, ids: Sequence[str]) -> set[str]:
        return set(self._documents.get_many(REPLAYED_LETTERS, Scope(tenant_id), ids))


def matches(letter: DeadLetter, tenant_id: str, scenario_id: str = "", reason: str = "") -> bool:
    """Whether a letter is the tenant's, for the scenario, and for the reason: its fault, or words of its reason."""
    return (
        letter.tenant_id == tenant_id
        and scenario_id in ("", letter.scenario_id)
        and (reason in ("", letter.fault) or reason.casefold() in letter.reason.casefold())
    )


def _batches(letters: Iterator[DeadLetter]) -> Iterator[list[DeadLetter]]:
    while batch := list(islice(letters, _BATCH)):
        yield batch
