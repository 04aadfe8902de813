"""Both document stores, for the contract of each repository that stands on them."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient

from lemo.stores.documents import Body, Documents
from lemo.stores.documents.mongo import MongoDocuments
from lemo.stores.documents.sqlite import SqliteDocuments


@pytest.fixture(params=["sqlite", "mongo"])
def documents(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Documents]:
    """An empty store."""
    opened: Documents
    if request.param == "sqlite":
        opened = SqliteDocuments(tmp_path / "documents.sqlite")
        yield opened
        opened.close()
        return
    url: str = request.getfixturevalue("mongo_url")
    name = f"lemo_test_{uuid.uuid4().hex[:12]}"
    opened = MongoDocuments(url, name)
    yield opened
    opened.close()
    client: MongoClient[Body] = MongoClient(url)
    client.drop_database(name)
    client.close()
