"""Versions of snapshots and collections: they sort by time, and are unique across processes."""

import uuid
from datetime import UTC, datetime

_FORM = "%Y%m%dT%H%M%S"


def new_version() -> str:
    """A version of now, such as `20260502T030000123-a1b2c3`."""
    now = datetime.now(UTC)
    return f"{now:{_FORM}}{now.microsecond // 1000:03d}-{uuid.uuid4().hex[:6]}"


def made_at(version: str) -> datetime | None:
    """When a version was made; None where it is of another form."""
    try:
        return datetime.strptime(version[:15], _FORM).replace(tzinfo=UTC)
    except ValueError:
        return None
