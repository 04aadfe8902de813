"""How `lemo import` sends what it read, and waits for the consumer."""

import time
from contextlib import closing
from itertools import chain, islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

    from lemo.files.reading import Reading
    from lemo.settings import Settings
    from lemo.streams import Log, Message

HEAD_BATCHES = 10
"""Batches of a file, of 2,000 rows, that are read before the first is sent: what kind of file it is, shows there."""
MANY_CONFLICTS = 5
"""Fewer rows whose event_id stands for another event are bad rows, and no reason to stop."""
LOOK_SECONDS = 0.2


def publish(log: "Log", topic: str, reading: "Reading[Message]", bars: "Progress") -> None:
    """Sends all rows of a file; raises InvalidInput before the first where ids stand for several events."""
    from rich.markup import escape

    from lemo.cli.retry import patiently

    task = bars.add_task(escape(reading.path.name), total=max(reading.total, 1), rows="")
    with closing(log.publisher()) as publisher:
        send = patiently(publisher.publish)
        patiently(log.create_topics)([topic])
        batches = reading.batches()
        head = list(islice(batches, HEAD_BATCHES))
        _check_head(reading)
        for batch in chain(head, batches):
            send(topic, batch)
            bars.update(task, completed=reading.done, rows=f"{reading.read:,} rows")
    bars.update(
        task, completed=max(reading.total, 1), rows=f"{reading.read:,} rows, {reading.rejects.count:,} rejected"
    )


def _check_head(reading: "Reading[Message]") -> None:
    """Raises InvalidInput, before anything of the file is sent, where it is plain that ids stand for several events."""
    from lemo.domain.errors import InvalidInput

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


def await_consumer(log: "Log", settings: "Settings", topic: str, bars: "Progress") -> int:
    """Waits until the group has committed the topic; returns what it had not when it stopped making headway."""
    from lemo.cli.retry import patiently
    from lemo.cli.waiting import Doubt

    look = patiently(log.lag)
    group = settings.kafka_group
    least = most = look([topic], group)[topic]
    task = bars.add_task("consumer", total=max(most, 1), rows=f"{most:,} to take")
    left = least
    doubt = Doubt(lambda: _consumer_is_there(settings))
    while left and not doubt.quiet and not doubt.nobody(least):
        time.sleep(LOOK_SECONDS)
        left = look([topic], group)[topic]
        least = min(least, left)
        bars.update(task, completed=max(most - left, 0), rows=f"{left:,} to take")
    if not left:
        bars.update(task, completed=max(most, 1), rows="taken")
    return int(left)


def _consumer_is_there(settings: "Settings") -> bool:
    from redis.exceptions import RedisError

    from lemo.cli.session import is_kept
    from lemo.diagnostics.log_probes import consumers

    if is_kept(settings, "consumer"):
        return True
    try:
        return consumers(settings, silent_seconds=5) > 0
    except (RedisError, OSError):
        return True  # the log is away; who asks it for the lag waits for it
