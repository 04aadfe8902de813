"""Loaded by the consumer processes of tests/consumers.py: lets a batch be caught at a step.

At each step a process waits as long as the folder LEMO_TEST_GATES holds a file `<step>.shut`, and says so by a file
`<step>.<pid>`.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

_FOLDER = Path(os.environ["LEMO_TEST_GATES"])


def _pass(step: str) -> None:
    shut = _FOLDER / f"{step}.shut"
    if shut.exists():
        (_FOLDER / f"{step}.{os.getpid()}").touch()
    while shut.exists():
        time.sleep(0.02)


def _install() -> None:
    from lemo.ingest import service
    from lemo.stores.clickhouse.events import Events
    from lemo.streams.dead_letters import publish_dead_letters as publish

    insert, commit = Events.insert, service.Consumer._commit

    def gated_insert(self: Events, events: Any) -> int:
        _pass("before-write")
        return insert(self, events)

    def gated_publish(publisher: Any, topic: str, letters: Sequence[Any]) -> None:
        if letters:
            publish(publisher, topic, letters[:1])
            _pass("during-dead-letters")
        publish(publisher, topic, letters)

    def gated_commit(self: service.Consumer) -> None:
        committing = bool(self._uncommitted)
        if committing:
            _pass("before-commit")
        commit(self)
        if committing:
            _pass("after-commit")

    patch.object(Events, "insert", gated_insert).start()
    patch.object(service, "publish_dead_letters", gated_publish).start()
    patch.object(service.Consumer, "_commit", gated_commit).start()


_install()
