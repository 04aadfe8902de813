"""What requests and responses look like, with the examples that the documentation shows."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lemo.domain.scenario import Scenario, Template
from lemo.intake.publishing import MOST
from lemo.serving.catalogue.schema import AttributeOverview

ITEM_EXAMPLE: dict[str, Any] = {
    "item_id": "video/42",
    "title": "一天吃遍成都",
    "categories": ["food"],
    "tags": ["成都", "street food"],
    "author": "xiaolin",
    "published_at": "2026-05-01T08:00:00Z",
    "expires_at": "2031-05-01T08:00:00Z",
    "duration_seconds": 312,
}
EVENT_EXAMPLE: dict[str, Any] = {
    "user_id": "user 7",
    "item_id": "video/42",
    "action": "like",
    "timestamp": "2026-05-02T19:30:00Z",
    "request_id": "8f14e45fceea467a9538e4f6a1b2c3d4",
    "position": 1,
}


class NewScenario(BaseModel):
    """A scenario to create."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"scenario_id": "shop", "template": "ecommerce"}}
    )

    scenario_id: str
    template: Template


class ChangedScenario(Scenario):
    """A scenario after a change."""

    takes_effect: list[str]
    """When the changes hold where, in sentences."""


class AttributeList(BaseModel):
    """What filters may name."""

    items: int
    """Items of the catalogue, those that are off included."""
    attributes: list[AttributeOverview]


class DeletedScenario(BaseModel):
    """What the deletion of a scenario removed."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "scenario_id": "shop",
                "removed": {"documents": 1204, "ClickHouse: events": 51200, "Milvus": 1, "snapshots": 38, "Redis": 412},
            }
        }
    )

    scenario_id: str
    removed: dict[str, int]
    """By store: documents, rows, collections, objects and keys."""


class ScenarioList(BaseModel):
    """The tenant's scenarios."""

    scenarios: list[Scenario]


class Check(BaseModel):
    """Whether an engine answers, and what goes without it."""

    works: bool
    detail: str


class Readiness(BaseModel):
    """Whether the API can answer, and what is missing."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "ready": True,
                "degraded": True,
                "missing": ["redis"],
                "checks": {
                    "redis": {"works": False, "detail": "Answers are popular items of the last snapshot."},
                    "documents": {"works": True, "detail": "SQLite 3.45"},
                },
            }
        }
    )

    ready: bool
    degraded: bool
    """True while something is missing and answers come from the last snapshot."""
    missing: list[str]
    checks: dict[str, Check]


class Alive(BaseModel):
    """The process runs."""

    status: str = Field(examples=["alive"])


def list_body(name: str, model: type[BaseModel], example: dict[str, Any], description: str) -> dict[str, Any]:
    """The OpenAPI request body `{name: [...]}`. FastAPI cannot derive it, as each entry is checked by itself."""
    # Further fields are welcome: they become attributes.
    entry = {**model.model_json_schema(), "additionalProperties": True}
    schema = {
        "type": "object",
        "required": [name],
        "properties": {name: {"type": "array", "maxItems": MOST, "items": entry}},
    }
    return {
        "requestBody": {
            "required": True,
            "description": description,
            "content": {"application/json": {"schema": schema, "example": {name: [example]}}},
        }
    }
