"""The beat processes in Redis: which one leads, which stand by, and since when."""

from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ValidationError
from redis import Redis

from lemo.stores.redis.client import Keys, translate_errors

_FORGOTTEN_AFTER = timedelta(days=1)


class Beat(BaseModel):
    """The last report of one beat process. Times are UTC, by the clock of its machine."""

    name: str
    """`host:pid`."""
    state: Literal["leading", "standby", "stopped"]
    since: datetime
    """When that state began."""
    seen: datetime
    """The time of the report: one in each loop interval while it lives and reaches Redis."""
    fired: int = 0
    """Entries that it has started since it began to lead."""

    def alive(self, within: timedelta) -> bool:
        """Whether its last report is newer than that and not of an orderly stop."""
        return self.state != "stopped" and datetime.now(UTC) - self.seen <= within


class Beats:
    """The beats of an installation. Every call raises EngineUnavailable when Redis does not answer."""

    def __init__(self, redis: Redis, keys: Keys | None = None) -> None:
        self._redis = redis
        # A hash in database 0: name of a beat -> `Beat` as JSON.
        self._key = (keys or Keys())("beats")

    def tell(self, beat: Beat) -> None:
        """Writes the report of a beat."""
        with translate_errors():
            self._redis.hset(self._key, beat.name, beat.model_dump_json())

    def list(self) -> list[Beat]:
        """The beats of the last day, the one seen last first; older ones are forgotten."""
        with translate_errors():
            reports = self._redis.hgetall(self._key)
            beats, old = [], []
            for name, text in reports.items():
                try:
                    beat = Beat.model_validate_json(text)
                except ValidationError:  # written by a newer version or by hand
                    old.append(name)
                    continue
                if datetime.now(UTC) - beat.seen > _FORGOTTEN_AFTER:
                    old.append(name)
                else:
                    beats.append(beat)
            if old:
                self._redis.hdel(self._key, *old)
        return sorted(beats, key=lambda beat: beat.seen, reverse=True)
