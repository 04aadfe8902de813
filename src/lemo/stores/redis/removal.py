"""Takes a scenario out of Redis, and what was deleted out of its append-only file."""

from collections.abc import Iterable, Iterator

from redis import Redis
from redis.exceptions import ResponseError

from lemo.domain.scope import Scope
from lemo.stores.redis.client import Keys, translate_errors

_BATCH = 500
_ENTRIES = "redbeat:"
"""What RedBeat's keys begin with, behind the installation's name; `ENTRY@tenant/scenario` follows."""


class KeyRemoval:
    """Finds and deletes all keys of a scenario, whatever they hold. Calls raise EngineUnavailable."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._prefix = keys.prefix

    def keys(self, scope: Scope) -> Iterator[str]:
        """The names of the scenario's keys and of its schedules' entries; some may come twice."""
        patterns = (f"*:{scope.tenant_id}:{scope.scenario_id}*", f"{_ENTRIES}*@{scope}")
        with translate_errors():
            for pattern in patterns:
                for raw in self._redis.scan_iter(match=self._prefix + pattern, count=1000):
                    name = raw.decode(errors="surrogateescape")
                    # The pattern finds more: the id of another scenario's user may look like a scope.
                    if _scope_of(name.removeprefix(self._prefix)) == scope:
                        yield name

    def delete(self, names: Iterable[str]) -> int:
        """Deletes keys; returns their number."""
        found = sorted(set(names))
        with translate_errors():
            for start in range(0, len(found), _BATCH):
                batch = [name.encode(errors="surrogateescape") for name in found[start : start + _BATCH]]
                self._redis.zrem(f"{self._prefix}{_ENTRIES}:schedule", *batch)
                self._redis.unlink(*batch)
        return len(found)

    def rewrite_file(self) -> str:
        """Starts to write the append-only file anew, without what was deleted.

        Returns what the files of Redis may still hold, in words.
        """
        with translate_errors():
            about = self._redis.info("persistence")
            if not about.get("aof_enabled"):
                return (
                    "Redis keeps no append-only file; snapshots (RDB) of before hold the user until they are replaced."
                )
            try:
                self._redis.bgrewriteaof()
            except ResponseError as error:
                # Under way already, or forbidden by who runs the server.
                return f"Redis did not begin to rewrite its append-only file ({error}): send it BGREWRITEAOF."
        return "The append-only file is being rewritten, which takes seconds to minutes."


def _scope_of(name: str) -> Scope | None:
    """The scope that a key (without the installation's name) belongs to."""
    if name.startswith(_ENTRIES):
        tenant_id, _, scenario_id = name.rpartition("@")[2].partition("/")
        return Scope(tenant_id, scenario_id)
    what, *parts = name.split(":")
    if what == "lease":
        parts = parts[1:]
    return Scope(parts[0], parts[1]) if len(parts) > 1 else None
