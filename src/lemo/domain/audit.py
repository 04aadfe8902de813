"""The audit log: who changed what, when."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel

MOST_LINES = 1_000
"""Lines that one answer holds."""


class AuditLine(BaseModel):
    """One change of a tenant's configuration, models or data."""

    at: datetime
    by: str
    """Who: the tenant, and the API with the id of the key, the console with the account, or the command line."""
    action: str
    """A noun and a verb, such as `key.create` or `item.delete`."""
    subject: str
    """Name or id of what was changed."""
    scenario_id: str = ""
    """The scenario that it belongs to; empty for what belongs to the tenant."""
    detail: dict[str, Any] = {}
    """More about the change, such as the fields that were changed; never a secret."""
