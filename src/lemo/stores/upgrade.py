"""Brings an installation's state to this program's version: what `lemo upgrade` and the containers' first job do."""

from dataclasses import dataclass

from lemo.stores.clickhouse.events import SCHEMA_VERSION
from lemo.stores.connect import Stores
from lemo.stores.installation import claim
from lemo.stores.state_version import STATE_VERSION, refuse_newer, state_version, write_state_version
from lemo.streams.topics import Topics


@dataclass(frozen=True, slots=True)
class Upgraded:
    """One part of the state: its version before (0: it did not exist, or had none) and now."""

    part: str
    before: int
    now: int


def upgrade(stores: Stores) -> list[Upgraded]:
    """Makes what is missing of tables and topics, and brings all to this program's version.

    Repeating it changes nothing, and it may be killed anywhere: the version is written last. Raises Conflict where the
    state is newer or belongs to another installation, and EngineUnavailable.
    """
    documents, events = state_version(stores.documents), stores.events.schema() or 0
    refuse_newer("documents", documents)
    refuse_newer("tables of events", events, SCHEMA_VERSION)
    claim(stores)
    stores.events.migrate()
    topics = Topics(stores.settings)
    stores.log.create_topics([*topics.fixed, *topics.written])
    write_state_version(stores.documents)
    return [Upgraded("documents", documents, STATE_VERSION), Upgraded("events", events, SCHEMA_VERSION)]
