"""Every kind of key in Redis, and what rebuilds it after Redis was emptied.

docs/reliability.md shows this list, and tests/integration/test_emptied_redis.py empties Redis under it. A key of a new
kind belongs here first.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class KeyPattern:
    """One kind of key, its name without the installation's in front."""

    database: int
    pattern: str
    holds: str
    comes_back: str
    """What rebuilds it, and how soon."""


RESTORED = "a worker rebuilds it from the documents within seconds; until then answers keep what was read before"
KEY_PATTERNS = (
    KeyPattern(0, "inactive:*", "inactive items", RESTORED),
    KeyPattern(0, "latest:*", "newest items", RESTORED),
    KeyPattern(0, "embargoed:*", "items that are not published yet", RESTORED),
    KeyPattern(0, "expiring:*", "items that expire", RESTORED),
    KeyPattern(0, "unknown:*", "ids of snapshots that the catalogue does not know", RESTORED),
    KeyPattern(0, "availability:*", "whether these five are whole", RESTORED),
    KeyPattern(0, "availability-*", "a rebuild of them in progress", "it ends without effect and is repeated"),
    KeyPattern(0, "*-new:*", "what such a rebuild has made", "the same"),
    KeyPattern(0, "history:*", "recent histories", "new events at once, the past by `update-user-profiles-2hours`"),
    KeyPattern(
        0,
        "seen:*",
        "all items that each user has seen or turned against",
        "`update-user-profiles-2hours` or `precompute-recommendations-4hours`, whichever runs first, from the events",
    ),
    KeyPattern(0, "seen-basis:*", "the rules by which those were last compared with the events", "the same"),
    KeyPattern(
        0,
        "recommended:*",
        "precomputed recommendations, and when what they depend on changed",
        "`precompute-recommendations-4hours`; requests compute them",
    ),
    KeyPattern(0, "item-feed:*", "which items changed last", "the API reads the catalogue from the documents anew"),
    KeyPattern(0, "embed:*", "items that wait for their vector", "all items are queued again with the availability"),
    KeyPattern(0, "embed-announced:*", "that a run was requested", "the next request repeats it"),
    KeyPattern(0, "embed-written:*", "vectors that similarity has not seen", "written with the queued items"),
    KeyPattern(0, "embed-taken:*", "vectors that similarity is processing", "the same"),
    KeyPattern(
        0,
        "lease:*",
        "which run is active, and the last fencing number",
        "the clock gives higher ones; ADR 0008",
    ),
    KeyPattern(0, "hot:*", "how hot items are now", "`aggregate-realtime-minutely`, with the next event that comes in"),
    KeyPattern(0, "hot-until:*", "up to when events are counted in that", "the same"),
    KeyPattern(0, "minute:*", "metrics of the last minutes, for Prometheus", "the same"),
    KeyPattern(0, "credit:*", "what a tenant may still ask or send within its limits", "counting begins anew"),
    KeyPattern(0, "worker-check:*", "worker checks in progress", "the next one"),
    KeyPattern(0, "beats", "which beats are alive", "each writes itself again in its next round"),
    KeyPattern(0, "installation", "the installation that owns this Redis", "the leading beat claims it within 10 s"),
    KeyPattern(
        0, "redbeat:*", "the schedule's entries", "`scheduling/redbeat_entries.py`, from the documents, within 10 s"
    ),
    KeyPattern(0, "log:*", "the ingest log", "nothing: messages not taken in yet are lost. Use AOF, or Kafka"),
    KeyPattern(0, "log-topics", "the names of the log's topics", "readers and publishers write theirs again"),
    KeyPattern(
        1, "*", "Celery's queues", "runs that wait are sent again from their history (`scheduling/recovery.py`)"
    ),
    KeyPattern(2, "*", "Celery's results", "nothing needs them"),
)


def key_pattern(database: int, name: str) -> KeyPattern | None:
    """The pattern of a key (without the installation's name); None where the list has none."""
    return next((each for each in KEY_PATTERNS if each.database == database and fnmatchcase(name, each.pattern)), None)
