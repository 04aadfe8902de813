"""Notices that an `event_id` comes again with other contents, in another batch than before.

The store keeps the first event of each id, so the others are lost without a trace: somebody gave one id to several
events. Looking into the store would cost more than the write, so the ids of the last events are remembered here.
"""

from lemo.domain.event_columns import CONTENTS, EventColumns
from lemo.domain.scope import Scope

LARGEST_BATCH = 2_000
"""Events of a batch that is watched. In larger ones come backlogs and imports: there speed matters, and `lemo import`
looks itself."""
_KEPT = 100_000
"""Ids of a generation; two are kept; 20 MB."""


class RecentIds:
    """The ids of the last 100,000 to 200,000 events of small batches, with hashes of what they stood for."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._new: dict[int, int] = {}
        self._old: dict[int, int] = {}

    def conflicts(self, events: EventColumns) -> list[tuple[Scope, str]]:
        """Of each event whose id came in an earlier batch with other contents: its scope and id.

        `events` hold each id once. What was delivered again has the same contents, and is none.
        """
        if len(events) > LARGEST_BATCH:
            return []
        found = []
        contents = zip(*(getattr(events, name) for name in CONTENTS), strict=True)
        for tenant_id, scenario_id, event_id, content in zip(
            events.tenant_id, events.scenario_id, events.event_id, contents, strict=True
        ):
            key, mark = hash((tenant_id, scenario_id, event_id)), hash(content)
            known = self._new.get(key)
            if known is None:
                known = self._new[key] = self._old.get(key, mark)
            if known != mark:
                found.append((Scope(tenant_id, scenario_id), event_id))
        if len(self._new) >= self._kept:
            self._old, self._new = self._new, {}
        return found
