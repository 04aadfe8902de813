"""What an archive holds, under which names, and what it says about itself."""

from datetime import datetime

from pydantic import BaseModel

FORMAT = 1
"""Goes up when an older program cannot read the archive."""
ABOUT = "about.json"
"""Written last: an archive without it is not whole."""
LOG = "log.msgpack"
DOCUMENTS = "documents.sqlite"
TABLES = "tables"
KEY = "admin.key"
MODELS = "snapshots"


class TableRows(BaseModel):
    """What the archive holds of a table."""

    columns: list[str]
    rows: int
    """Rows that were there when they were counted; what came while they were copied is in it too."""


class About(BaseModel):
    """The description of a backup."""

    format: int
    lemo: str
    """The program that made it."""
    made_at: datetime
    """When it began: what was acknowledged before is in it."""
    installation: str
    state: int
    events_schema: int
    tables: dict[str, TableRows]
    messages: int
    """Messages that no consumer had taken in, dead letters and item results."""
    models: int
    """Files of snapshots; 0 where they were left out."""
