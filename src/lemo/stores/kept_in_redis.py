"""Every key that the product keeps in Redis, and what brings it back where Redis was emptied.

docs/reliability.md shows this list, and tests/integration/test_emptied_redis.py empties Redis under it. A key of a new
kind belongs here first.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Kept:
    """One kind of key, its name without the installation's in front."""

    database: int
    pattern: str
    holds: str
    comes_back: str
    """What rebuilds it, and how soon."""


RESTORED = "a worker rebuilds it from the documents within seconds; until then answers keep what was read before"
KEPT_IN_REDIS = (
    Kept(0, "inactive:*", "items that are off", RESTORED),
    Kept(0, "latest:*", "newest items", RESTORED),
    Kept(0, "embargoed:*", "items that are not published yet", RESTORED),
    Kept(0, "expiring:*", "items that expire", RESTORED),
    Kept(0, "unknown:*", "ids of snapshots that the catalogue does not know", RESTORED),
    Kept(0, "availability:*", "whether these five are whole", RESTORED),
    Kept(0, "availability-*", "a rebuild of them that is under way", "it ends without effect and is done again"),
    Kept(0, "*-new:*", "what such a rebuild has made", "the same"),
    Kept(0, "history:*", "recent histories", "new events at once, the past by `update-user-profiles-2hours`"),
    Kept(
        0,
        "seen:*",
        "all items that each user has seen or turned against",
        "`update-user-profiles-2hours` or `precompute-recommendations-4hours`, whichever runs first, from the events",
    ),
    Kept(0, "seen-basis:*", "by which rules those were last compared with the events", "the same"),
    Kept(0, "answer:*", "precomputed answers", "`precompute-recommendations-4hours`; until then requests compute them"),
    Kept(0, "embed:*", "items that wait for their vector", "all items are queued again with the availability"),
    Kept(0, "embed-announced:*", "that a run is asked for", "the next request asks again"),
    Kept(0, "embed-written:*", "vectors that similarity has not seen", "written again when the queued items are done"),
    Kept(0, "embed-taken:*", "vectors that similarity is at", "the same"),
    Kept(
        0,
        "lease:*",
        "which run is at work, and the last fencing number",
        "the clock gives higher ones; ADR 0008",
    ),
    Kept(0, "worker-check:*", "worker checks under way", "the next one"),
    Kept(0, "beats", "which beats live", "each tells again in its next round"),
    Kept(0, "installation", "whose Redis it is", "the leading beat claims it again within 10 s"),
    Kept(0, "redbeat:*", "the schedule's entries", "`scheduling/redbeat_entries.py`, from the documents, within 10 s"),
    Kept(0, "log:*", "the ingest log", "nothing: it is no copy. Messages not taken in yet are lost; use AOF, or Kafka"),
    Kept(0, "log-topics", "the names of the log's topics", "readers and publishers write theirs again"),
    Kept(1, "*", "Celery's queues", "runs that wait are sent again from their history (`scheduling/recovery.py`)"),
    Kept(2, "*", "Celery's results", "nothing needs them"),
)


def kept(database: int, name: str) -> Kept | None:
    """What a key (without the installation's name) is; None where the list does not say."""
    return next((each for each in KEPT_IN_REDIS if each.database == database and fnmatchcase(name, each.pattern)), None)
