"""Receipts of erasures: what was removed where, what remains until when, and that nothing was found afterwards."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from lemo.domain.errors import NotFound
from lemo.domain.scope import Scope
from lemo.stores.documents import ERASURES, Documents
from lemo.stores.documents.bodies import body_of


class ErasedFrom(BaseModel):
    """What one store held of the user."""

    store: str
    scenario_id: str = ""
    """Empty for what all scenarios share."""
    removed: int
    """Rows, entries, keys or documents."""
    remains: str = ""
    """What the engine's files may still hold, and why; empty for nothing."""
    until: datetime | None = None
    """When that is gone; null where nothing remains or nobody knows."""
    found: int | None = None
    """What the check found of it; null before it, and where nobody can search: see `remains`."""


class ErasureReceipt(BaseModel):
    """Proof of an erasure. It names the user by a keyed hash, so that it may be kept."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "receipt_id": "7f3a90c1d2e84b6f9a51c0de83b7a642",
                "user_hash": "5b0c6a6e1f7f3a2d9d0c4b8e7a1f2c3d4e5f6071",
                "scenario_id": "",
                "erased_at": "2026-11-27T22:30:00Z",
                "erased_before": "2026-11-27T22:30:00Z",
                "erased_by": "default, API (key 1a2b3c4d)",
                "stores": [
                    {
                        "store": "ClickHouse: events",
                        "scenario_id": "shop",
                        "removed": 214,
                        "remains": "2 replaced parts, which the engine deletes from its disk within minutes.",
                        "until": None,
                        "found": 0,
                    }
                ],
                "verified_at": "2026-11-27T22:30:02Z",
                "clean": True,
            }
        }
    )

    receipt_id: str
    user_hash: str
    scenario_id: str = ""
    """The scenario that it was for; empty for all of the tenant."""
    erased_at: datetime
    erased_before: datetime
    """Events from before this moment do not come back, whoever sends them again. Later ones are a new user's."""
    erased_by: str
    stores: list[ErasedFrom] = []
    verified_at: datetime | None = None
    """When all stores were last searched for the user; null where the erasure was cut short: repeat it."""
    clean: bool = False
    """Whether that search found nothing."""


class Erasures:
    """Receipts of tenants."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def put(self, tenant_id: str, receipt: ErasureReceipt) -> None:
        """Writes or replaces a receipt."""
        self._documents.put(ERASURES, Scope(tenant_id), {receipt.receipt_id: body_of(receipt)})

    def get(self, tenant_id: str, receipt_id: str) -> ErasureReceipt:
        """One receipt; raises NotFound."""
        body = self._documents.get(ERASURES, Scope(tenant_id), receipt_id)
        if body is None:
            raise NotFound(f"There is no receipt {receipt_id[:80]!r}.", "Check it: the erasure has told it.")
        return ErasureReceipt.model_validate(body)
