"""The audit log of the tenant that the key belongs to."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from lemo.api.dependencies import Api, TenantId
from lemo.api.problems import DOCUMENTED
from lemo.domain.audit import MOST_LINES, AuditLine
from lemo.stores.audit_log import audit_lines

_EXAMPLE: dict[str, Any] = {
    "lines": [
        {
            "at": "2026-11-27T03:00:00Z",
            "by": "default, API (key 0123456789ab)",
            "action": "key.create",
            "subject": "9f86d081884c",
            "scenario_id": "",
            "detail": {"role": "read", "name": "web shop"},
        }
    ]
}

router = APIRouter(
    prefix="/v1/audit", tags=["keys"], responses={code: DOCUMENTED[code] for code in (401, 403, 422, 503)}
)


class AuditLog(BaseModel):
    """Lines of the audit log, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    lines: list[AuditLine]


@router.get("")
def show_audit_log(
    services: Api,
    tenant_id: TenantId,
    limit: Annotated[int, Query(ge=1, le=MOST_LINES, description="How many, newest first.")] = 100,
) -> AuditLog:
    """Who changed keys, scenarios, schedules, models, items and accounts, and who started jobs by hand."""
    return AuditLog(lines=audit_lines(services.stores, tenant_id, limit))
