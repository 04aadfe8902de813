"""The ingest log on Redis Streams: one stream a topic, read by consumer groups. Opens publishers and readers."""

from collections.abc import Callable, Mapping, Sequence

from lemo.domain.deadlines import FOR_JOBS, Deadlines
from lemo.settings import DEFAULT_INSTALLATION
from lemo.streams import nothing
from lemo.streams.redis.admin import RedisAdmin
from lemo.streams.redis.client import connect, reader_name
from lemo.streams.redis.publisher import RedisPublisher
from lemo.streams.redis.reader import RedisReader


class RedisLog(RedisAdmin):
    """The log on one Redis database. Durable as far as the server's append-only file is (`appendfsync`).

    `max_length` is how many consumed messages each topic keeps. Topics in `kept_days`, which no group consumes, keep
    as many of their newest at most, and drop what is older than the days given. Topics in `bounded` keep so many
    messages at most, taken in or not, and none that every group has taken in.
    """

    def __init__(
        self,
        url: str,
        max_length: int,
        kept_days: Mapping[str, int] | None = None,
        installation: str = DEFAULT_INSTALLATION,
        deadlines: Deadlines = FOR_JOBS,
        bounded: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(url, installation, deadlines)
        self._max_length = max_length
        self._kept_days = dict(kept_days or {})
        self._bounded = dict(bounded or {})

    def publisher(self) -> RedisPublisher:
        """A new publisher."""
        client = connect(self._url, self._deadlines.retries, answer_seconds=self._deadlines.answer)
        return RedisPublisher(client, self._max_length, self._kept_days, self._installation, self._bounded)

    def reader(
        self,
        topics: Sequence[str],
        group: str,
        member: str,
        before_revoke: Callable[[], None] = nothing,
        *,
        prefix: str = "",
    ) -> RedisReader:
        """Joins the group; a member that comes back under its old name first gets what it left unfinished.

        Nothing is ever revoked: only what a dead member held is taken over.
        """
        del before_revoke
        return RedisReader(
            connect(self._url, retries=0, name=reader_name(self._installation)),
            topics,
            group,
            member,
            self._max_length,
            prefix,
            self._installation,
            frozenset(self._bounded),
        )
