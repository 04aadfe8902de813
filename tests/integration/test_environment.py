"""What the environment says to other programs changes nothing for engines of this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")

USE_EVERYTHING = """
import sys
from lemo.domain.scope import Scope
from lemo.settings import Settings
from lemo.stores.connect import Stores

stores, scope = Stores(Settings()), Scope("t", "s")
stores.events.migrate()
print(stores.events.count(scope), stores.events.ping(), stores.vectors.ping(), stores.log.ping())
stores.snapshots.ping()
from lemo.diagnostics.dependencies import Dependency
from lemo.diagnostics.doctor import examine, states
found = states(examine(stores.settings), Dependency)
for name in ("cache", "log", "events", "vectors", "snapshots"):
    assert found[Dependency[name]].state in ("ok", "warning"), found[Dependency[name]]
"""


@pytest.mark.parametrize("no_proxy", [None, "localhost", "corporate.example"])
def test_a_proxy_of_the_environment_is_not_asked_for_engines_of_this_machine(
    no_proxy: str | None,
    tmp_path: Path,
    redis_url: str,
    clickhouse_url: str,
    milvus_uri: str,
    s3_url: str,
    s3_bucket: str,
) -> None:
    environment = {
        **os.environ,
        **dict.fromkeys(PROXIES, "http://127.0.0.1:9"),
        **({"NO_PROXY": no_proxy} if no_proxy else {}),
        "LEMO_HOME": str(tmp_path),
        "LEMO_REDIS_URL": redis_url,
        "LEMO_CLICKHOUSE_URL": clickhouse_url,
        "LEMO_CLICKHOUSE_DATABASE": f"proxies_{os.getpid()}",
        "LEMO_MILVUS_URI": milvus_uri,
        "LEMO_SNAPSHOTS_URL": f"s3://{s3_bucket}/lemo",
        "LEMO_S3_ENDPOINT": s3_url,
        "LEMO_S3_ACCESS_KEY_ID": "a",
        "LEMO_S3_SECRET_ACCESS_KEY": "b",
    }
    found = subprocess.run(
        [sys.executable, "-c", USE_EVERYTHING],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("0 ClickHouse")


def test_celery_variables_of_another_project_carry_no_task_away(tmp_path: Path) -> None:
    code = "from lemo.tasks.celery_app import app; print(app.conf.broker_url, app.conf.result_backend)"
    others = dict.fromkeys(("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"), "redis://elsewhere:1/7")
    environment = {**os.environ, **others, "LEMO_HOME": str(tmp_path)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "elsewhere" not in found.stdout
