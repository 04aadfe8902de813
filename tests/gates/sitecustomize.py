"""Loaded by the worker processes of tests/workers.py: lets a run be caught at a stage.

In front of each stage of each job, and of the moment at which a snapshot is put into service, a process waits as long
as the folder LEMO_TEST_GATES holds a file `<entry>.<number>.shut`, and says so by a file `<entry>.<number>.<pid>`.
"""

import os
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

_FOLDER = Path(os.environ["LEMO_TEST_GATES"])
_LEASE_SECONDS = float(os.environ["LEMO_TEST_LEASE_SECONDS"])
_SWITCH = 9


def _pass(entry: str, number: int) -> None:
    shut = _FOLDER / f"{entry}.{number}.shut"
    if shut.exists():
        (_FOLDER / f"{entry}.{number}.{os.getpid()}").touch()
    while shut.exists():
        time.sleep(0.02)


def _install() -> None:
    from lemo.jobs import report
    from lemo.stores.objects import snapshots
    from lemo.stores.redis import lease

    original_lease, original_stage = lease.Lease.__init__, report.Report.stage
    original_point = snapshots.Snapshots.point
    now: dict[str, Any] = {"entry": "", "number": 0}

    def begin(self: lease.Lease, redis: Any, entry: str, scope: Any, **keys: Any) -> None:
        now.update(entry=entry, number=0)
        original_lease(self, redis, entry, scope, _LEASE_SECONDS, **keys)

    def stage(self: report.Report, name: str, total: int = 0) -> None:
        now["number"] += 1
        original_stage(self, name, total)
        _pass(now["entry"], now["number"])

    def point(self: snapshots.Snapshots, *arguments: Any) -> None:
        _pass(now["entry"], _SWITCH)
        original_point(self, *arguments)

    patch.object(lease.Lease, "__init__", begin).start()
    patch.object(report.Report, "stage", stage).start()
    patch.object(snapshots.Snapshots, "point", point).start()


_install()
