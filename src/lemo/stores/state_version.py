"""The version of an installation's state, which stands in its documents.

A program that finds a newer version does not start: it would write what the newer program no longer reads. State
without a version was written before there were versions, and is as version 1.
"""

from lemo.domain.errors import Conflict
from lemo.domain.scope import SYSTEM
from lemo.stores.documents import INSTALLATION, Documents

STATE_VERSION = 1
"""The version of the documents, keys in Redis, topics and snapshots that this program reads and writes.

A change that an older program cannot read raises it, and adds its step to `lemo.stores.upgrade`.
"""
_ID = "state"
_UNVERSIONED = 1
"""The version of state that was written before there were versions."""


def state_version(documents: Documents) -> int:
    """The version of the state, 0 where nothing has written one; raises EngineUnavailable."""
    body = documents.get(INSTALLATION, SYSTEM, _ID)
    return 0 if body is None else int(body["version"])


def check_state(documents: Documents) -> None:
    """What a service does as it starts: refuses state of a newer program, gives state without a version its version.

    Raises Conflict and EngineUnavailable.
    """
    found = state_version(documents)
    refuse_newer("documents", found)
    if not found:
        documents.put_new(INSTALLATION, SYSTEM, _ID, {"version": _UNVERSIONED})


def write_state_version(documents: Documents) -> None:
    """Says that the state has this program's version; raises EngineUnavailable."""
    documents.put(INSTALLATION, SYSTEM, {_ID: {"version": STATE_VERSION}})


def refuse_newer(part: str, found: int, known: int = STATE_VERSION) -> None:
    """Raises Conflict where `part` of the state has a version that this program does not know."""
    if found > known:
        raise Conflict(
            f"The {part} have version {found}; this program knows versions up to {known}: a newer Lemo wrote them.",
            "Run that newer Lemo again, or restore a backup from before its upgrade.",
        )
