"""`lemo upgrade` makes what is missing, changes nothing when repeated, and no program touches a newer one's state."""

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_lines import run_command
from lemo.domain.errors import Conflict
from lemo.domain.scope import SYSTEM
from lemo.settings import Settings
from lemo.stores.clickhouse.events import SCHEMA_VERSION
from lemo.stores.connect import Stores
from lemo.stores.documents import INSTALLATION
from lemo.stores.installation import claim_at_start
from lemo.stores.state_version import STATE_VERSION, state_version
from lemo.stores.upgrade import upgrade
from lemo.streams.topics import Topics


@pytest.fixture
def stores(tmp_path: Path, valkey_url: str, clickhouse_url: str) -> Iterator[Stores]:
    name = f"up{uuid.uuid4().hex[:12]}"
    made = Stores(Settings(home=tmp_path, redis_url=valkey_url, clickhouse_url=clickhouse_url, installation=name))
    yield made
    made.close()


def lemo(stores: Stores, *words: str) -> "subprocess.CompletedProcess[str]":
    settings = stores.settings
    env = {
        **os.environ,
        "LEMO_HOME": str(settings.home),
        "LEMO_INSTALLATION": settings.installation,
        "LEMO_REDIS_URL": settings.redis(0).removesuffix("/0"),
        "LEMO_CLICKHOUSE_URL": settings.clickhouse,
        "COLUMNS": "300",
    }
    return run_command(words, env)


def test_the_command_makes_tables_topics_and_the_key_once(stores: Stores) -> None:
    first = lemo(stores, "upgrade", "--format", "json")
    assert first.returncode == 0, first.stderr
    key = stores.settings.admin_key_file.read_text()
    assert stores.api_keys.find(key.strip()) is not None
    assert key.strip() not in first.stdout + first.stderr
    topics = Topics(stores.settings)
    assert set(stores.log.lag(topics.fixed, "somebody")) == set(topics.fixed)
    assert lemo(stores, "upgrade").returncode == 0
    assert stores.settings.admin_key_file.read_text() == key
    again = upgrade(stores)
    assert [(each.before, each.now) for each in again] == [
        (STATE_VERSION, STATE_VERSION),
        (SCHEMA_VERSION, SCHEMA_VERSION),
    ]


def test_a_job_of_a_cluster_leaves_no_key_that_nobody_reads(stores: Stores) -> None:
    done = lemo(stores, "upgrade", "--no-admin-key")
    assert done.returncode == 0, done.stderr
    assert not stores.settings.admin_key_file.exists()
    assert state_version(stores.documents) == STATE_VERSION


def test_a_service_that_starts_gives_state_its_version(stores: Stores) -> None:
    assert state_version(stores.documents) == 0
    claim_at_start(stores.settings)
    assert state_version(stores.documents) == 1


def test_newer_documents_are_refused_and_left_alone(stores: Stores) -> None:
    newer = {"version": STATE_VERSION + 1}
    stores.documents.put(INSTALLATION, SYSTEM, {"state": newer})
    with pytest.raises(Conflict, match="a newer Lemo wrote them"):
        claim_at_start(stores.settings)
    refused = lemo(stores, "upgrade")
    assert refused.returncode == 1
    assert "Run that newer Lemo again" in refused.stderr
    assert stores.documents.get(INSTALLATION, SYSTEM, "state") == newer
    assert stores.events.schema() is None


def test_newer_tables_are_refused(stores: Stores) -> None:
    upgrade(stores)
    database = stores.settings.clickhouse_database
    stores.events._ask(
        lambda client: client.insert(f"{database}.schema_version", [[SCHEMA_VERSION + 1]], column_names=["version"])
    )
    with pytest.raises(Conflict, match="tables of events"):
        upgrade(stores)
