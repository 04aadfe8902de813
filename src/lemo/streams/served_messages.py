"""Messages of what the API answered: built by the API, read by the consumer.

A message is `{"tenant_id", "scenario_id", "share", "answers": [...]}`. Each answer holds who asked, how long it took,
and in `answer` what was sent. `share` is the share of answers that is logged: each stands for 1 / share of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal

import msgspec
import orjson
from msgspec import Meta, Struct

from lemo.domain.item import LONGEST_ID
from lemo.domain.scope import Scope
from lemo.domain.time import CLOCK_SKEW
from lemo.streams import Message
from lemo.streams.messages import MAX_MESSAGE_BYTES, BadMessage, read_object, take_scope

MESSAGE_BYTES = 32_000
"""A message is closed once it is so long, so that the length of a stream bounds its bytes."""
OLDEST_MS = 31 * 86_400_000
"""An answer that is older when the log takes it is refused: each week of answers is a partition in ClickHouse."""

Kind = Literal["recommendations", "similar", "popular", "latest", "batch"]
_Id = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)]
_Text = Annotated[str, Meta(max_length=LONGEST_ID)]
_Ids = Annotated[list[_Id], Meta(max_length=1_000)]


class ServedItem(Struct, gc=False, omit_defaults=True):
    """An item of an answer: answers by GET hold its reason in words, the others its source."""

    item_id: _Id
    score: float | None = None
    source: _Text = ""
    reason: str = ""
    explored: bool = False
    propensity: Annotated[float, Meta(gt=0, le=1)] | None = None
    team: _Text = ""
    """In an interleaved answer the arm that the item came from."""


class SentAnswer(Struct, gc=False, omit_defaults=True):
    """What is kept of an answer as it was sent."""

    request_id: _Id
    items: Annotated[list[ServedItem], Meta(max_length=1_000)]
    model_version: _Text | None = None
    pipeline_version: Annotated[int, Meta(ge=0, lt=2**32)] | None = None
    experiment: _Text | None = None
    arm: _Text | None = None
    degraded: bool = False


class Request(Struct, omit_defaults=True, kw_only=True):
    """What an answer was asked for. Times: `at` in Unix milliseconds, `took_us` in microseconds."""

    kind: Kind
    at: int
    took_us: Annotated[int, Meta(ge=0, lt=2**32)]
    user_id: _Text = ""
    session_id: _Text = ""
    """The visit that asked."""
    session: _Ids = []
    """The items of the session that asked."""
    of_items: _Ids = []
    """The items that similar ones were asked of."""
    placement: _Text | None = None
    pipeline_version: Annotated[int, Meta(ge=0, lt=2**32)] | None = None
    """The pipeline in service then, for an answer that does not say."""


class ServedAnswer(Request, kw_only=True):
    """An answer with what it was asked for."""

    answer: SentAnswer


class RawAnswer(Request, kw_only=True):
    """The same with the answer as it was sent, in JSON."""

    answer: msgspec.Raw


class _Message(Struct):
    tenant_id: _Id
    scenario_id: _Id
    answers: Annotated[list[ServedAnswer], Meta(min_length=1)]
    share: Annotated[float, Meta(gt=0, le=1)] = 1.0


_decode = msgspec.json.Decoder(_Message).decode


def served_messages(scope: Scope, share: float, answers: Iterable[bytes]) -> Iterator[Message]:
    """Messages that hold these answers, each a `ServedAnswer` as JSON, in order."""
    head = orjson.dumps({"tenant_id": scope.tenant_id, "scenario_id": scope.scenario_id, "share": share})
    parts: list[bytes] = []
    size = 0
    for part in answers:
        if parts and size + len(part) > MESSAGE_BYTES:
            yield _message(head, parts)
            parts, size = [], 0
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield _message(head, parts)


def read_served_message(value: bytes, arrived_ms: int) -> tuple[Scope, float, Sequence[ServedAnswer]]:
    """The scope, the logged share and the answers of a message that the log took at `arrived_ms`; raises BadMessage."""
    try:
        # As text, because of bytes it would not see that they are no UTF-8.
        message = _decode(value.decode())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        scope = take_scope(read_object(value))
        raise BadMessage(f"{error}.", scope) from error
    scope = Scope(message.tenant_id, message.scenario_id)
    for each in message.answers:
        if not arrived_ms - OLDEST_MS <= each.at <= arrived_ms + CLOCK_SKEW.total_seconds() * 1000:
            raise BadMessage(
                f"at: {each.at} is more than 31 days before the message arrived, or more than one hour after.",
                scope,
                "implausible-time",
            )
    return scope, message.share, message.answers


def _message(head: bytes, parts: Sequence[bytes]) -> Message:
    value = head[:-1] + b',"answers":[' + b",".join(parts) + b"]}"
    assert len(value) <= MAX_MESSAGE_BYTES, "answers are bounded"  # noqa: S101
    # Without a key, Kafka spreads the answers of a scenario over all partitions: their order means nothing.
    return Message(value)
