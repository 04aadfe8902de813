"""Copies all documents of an installation from one store into another, with their versions."""

from collections.abc import Mapping
from itertools import islice

from lemo.stores.documents import KINDS, WRITE_PROBES, Documents

KEPT = tuple(kind for kind in KINDS if kind is not WRITE_PROBES)
"""The kinds that a copy holds."""
_BATCH = 500


def copy_documents(source: Documents, target: Documents) -> int:
    """Copies every document, and returns how many; repeated, it changes nothing. Raises EngineUnavailable.

    What is written meanwhile may be missing; each document is whole.
    """
    count = 0
    for kind in KEPT:
        for scope in source.scopes(kind):
            ids = (id for id, _, _ in source.fields(kind, scope))
            while batch := list(islice(ids, _BATCH)):
                found = source.get_versioned(kind, scope, batch)
                bodies = {id: body for id, (_, body) in found.items()}
                target.put_newer(kind, scope, bodies, {id: version for id, (version, _) in found.items()})
                count += len(found)
    return count


def count_documents(documents: Documents) -> Mapping[str, int]:
    """How many documents each kind has, of all scopes; kinds without any are left out."""
    counts = {kind.name: sum(documents.count(kind, scope) for scope in documents.scopes(kind)) for kind in KEPT}
    return {name: count for name, count in counts.items() if count}
