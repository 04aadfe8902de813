"""What goes to Flink's jobs and comes back: accepted events, and rows of sessions, minutes and hot scores.

Only the consumer writes the first and reads the second. A field that the jobs of `deploy/flink` use has one name here
and there.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated

import msgspec
import orjson
from msgspec import Meta, Struct

from lemo.domain.event_columns import EventColumns
from lemo.domain.item import LONGEST_ID
from lemo.domain.realtime import HALF_LIVES, Act, MinuteRow, SessionRow, placement_of
from lemo.domain.scope import Scope
from lemo.streams import Message
from lemo.streams.messages import BadMessage, read_object, take_scope

_Id = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)]
_Count = Annotated[int, Meta(ge=0)]

Judge = Callable[[str, str, str, float | None], tuple[float, bool]]
"""The weight of an event of a tenant, scenario and action with a value, and whether it is a conversion."""


class SessionResult(Struct, tag="session", tag_field="kind"):
    """A row of a session; `at_ms` in Unix milliseconds."""

    tenant_id: _Id
    scenario_id: _Id
    event_id: _Id
    user_id: _Id
    item_id: _Id
    action: _Id
    at_ms: _Count
    session_id: _Id
    place: Annotated[int, Meta(ge=1, lt=2**32)]
    dwell_ms: Annotated[int, Meta(ge=0, lt=2**32)] | None

    @property
    def row(self) -> SessionRow:
        """The row without its scope."""
        return SessionRow(*(getattr(self, name) for name in SessionRow._fields))


class MinuteResult(Struct, tag="minute", tag_field="kind"):
    """Metrics of a minute."""

    tenant_id: _Id
    scenario_id: _Id
    minute: Annotated[int, Meta(ge=0, lt=2**32)]
    placement: str
    events: _Count
    impressions: _Count
    clicks: _Count
    conversions: _Count
    value: float

    @property
    def row(self) -> MinuteRow:
        """The row without its scope."""
        return MinuteRow(*(getattr(self, name) for name in MinuteRow._fields))


class HotResult(Struct, tag="hot", tag_field="kind"):
    """The levels of an item by half-life."""

    tenant_id: _Id
    scenario_id: _Id
    item_id: _Id
    levels: dict[str, float]
    until_ms: _Count
    """Its newest event came in then."""


Result = SessionResult | MinuteResult | HotResult
_decode = msgspec.json.Decoder(Result).decode


def acts_of(columns: EventColumns, judge: Judge) -> Iterator[tuple[Scope, Act]]:
    """Accepted events as real time sees them."""
    for tenant_id, scenario_id, event_id, user_id, item_id, action, at_ms, value, attributes in zip(
        columns.tenant_id,
        columns.scenario_id,
        columns.event_id,
        columns.user_id,
        columns.item_id,
        columns.action,
        columns.timestamp,
        columns.value,
        columns.attributes,
        strict=True,
    ):
        weight, converts = judge(tenant_id, scenario_id, action, value)
        placement = placement_of(orjson.loads(attributes).get("placement")) if "placement" in attributes else ""
        worth = (value or 0.0) if converts else 0.0
        act = Act(event_id, user_id, item_id, action, at_ms, placement, worth, converts, weight)
        yield Scope(tenant_id, scenario_id), act


def accepted_messages(acts: Iterable[tuple[Scope, Act]]) -> list[Message]:
    """A message for each event; those of a user keep their order."""
    return [
        Message(
            orjson.dumps({"tenant_id": scope.tenant_id, "scenario_id": scope.scenario_id} | act._asdict()),
            f"{scope}/{act.user_id}".encode(),
        )
        for scope, act in acts
    ]


def read_result(value: bytes) -> Result:
    """What Flink computed; raises BadMessage."""
    try:
        result: Result = _decode(value.decode())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadMessage(f"{error}.", take_scope(read_object(value))) from error
    if isinstance(result, HotResult) and not result.levels.keys() <= HALF_LIVES.keys():
        raise BadMessage(
            f"levels: the half-lives are {', '.join(HALF_LIVES)}.", Scope(result.tenant_id, result.scenario_id)
        )
    return result


def scopes_of(results: Sequence[Result]) -> set[Scope]:
    """The scopes that results are of."""
    return {Scope(each.tenant_id, each.scenario_id) for each in results}
