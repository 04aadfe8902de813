"""Messages of the tenant that could not be taken in: why, and sending them on their way again."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, model_validator

from lemo.api.dependencies import Api, RawBody, TenantId, model_of
from lemo.api.problems import DOCUMENTED
from lemo.domain.time import from_milliseconds
from lemo.streams.dead_letters import DeadLetter
from lemo.streams.messages import FAULTS

router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"], responses=DOCUMENTED)

_REASON = f"Only those with this fault ({', '.join(FAULTS)}), or with these words in the reason."


class Letter(BaseModel):
    """A message that was refused: where it stood and why."""

    id: str
    scenario_id: str
    """As the message claims it."""
    refused_at: datetime
    fault: str
    reason: str
    topic: str
    partition: str
    position: str

    @classmethod
    def of(cls, letter: DeadLetter) -> "Letter":
        """The letter as it is listed."""
        return cls(
            id=letter.id,
            scenario_id=letter.scenario_id,
            refused_at=from_milliseconds(letter.refused_at),
            fault=letter.fault,
            reason=letter.reason,
            topic=letter.topic,
            partition=letter.partition,
            position=letter.position,
        )


class WholeLetter(Letter):
    """A message that was refused, whole; bytes of key and value that are not UTF-8 are written as `\\xff`."""

    stage: str
    key: str
    value: str


class LetterList(BaseModel):
    """Messages that were refused and wait, newest first."""

    dead_letters: list[Letter]
    waiting: int
    """How many match, of the newest 10,000 refused messages of the installation."""


class ReplayOrder(BaseModel):
    """What to send again: letters by id, or all that match."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"ids": ["user-behaviors:0:17"]}})

    ids: list[str] | None = None
    all: bool = False
    scenario: str = ""
    """Only with `all`: those for this scenario."""
    reason: str = ""
    """Only with `all`: those with this fault, or with these words in the reason."""

    @model_validator(mode="after")
    def _either(self) -> "ReplayOrder":
        if self.all == (self.ids is not None) or (self.ids is not None and (self.scenario or self.reason)):
            raise ValueError('send either "ids", or "all": true with "scenario" and "reason" if you like')
        return self


class ReplayDone(BaseModel):
    """What was sent again."""

    replayed: int
    by_topic: dict[str, int]
    left: dict[str, str]
    """Letters that cannot be sent again, and why."""


@router.get("")
def list_dead_letters(
    services: Api,
    tenant_id: TenantId,
    scenario: Annotated[str, Query(description="Only messages for this scenario.")] = "",
    reason: Annotated[str, Query(description=_REASON)] = "",
    limit: Annotated[int, Query(ge=1, le=1000, description="How many, newest first.")] = 100,
) -> LetterList:
    """Messages of the tenant that were refused and have not been replayed, newest first."""
    found = services.stores.dead_letters.waiting_of(tenant_id, scenario, reason)
    return LetterList(dead_letters=[Letter.of(letter) for letter in found[:limit]], waiting=len(found))


@router.get("/show")
def show_dead_letter(
    services: Api,
    tenant_id: TenantId,
    id: Annotated[str, Query(description="As in GET /v1/dead-letters.", min_length=1, max_length=500)],
) -> WholeLetter:
    """One refused message whole, as it came."""
    letter = services.stores.dead_letters.get(tenant_id, id)
    return WholeLetter(
        **Letter.of(letter).model_dump(),
        stage=letter.stage,
        key=letter.message.key.decode(errors="backslashreplace"),
        value=letter.message.value.decode(errors="backslashreplace"),
    )


@router.post(
    "/replay",
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": ReplayOrder.model_json_schema()}}}
    },
)
def replay_dead_letters(services: Api, tenant_id: TenantId, body: RawBody) -> ReplayDone:
    """Publishes dead letters again, with their original bytes, to their original topics: once their cause is fixed.

    What fails again comes back as a new dead letter. Replaying twice is harmless: items and events count once.
    """
    wanted = model_of(body, ReplayOrder)
    done = services.stores.dead_letters.replay(tenant_id, wanted.ids, wanted.scenario, wanted.reason)
    return ReplayDone(replayed=done.count, by_topic=done.by_topic, left=done.left)
