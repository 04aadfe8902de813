"""Variables that look like settings but are unknown. Each process reports them once, when it starts."""

import os
import re
from collections.abc import Callable, Iterable

from dotenv import dotenv_values

from lemo.settings import Settings, meant

_OF_TESTS = ("LEMO_TEST_", "LEMO_SERVICES")
_OF_KUBERNETES = re.compile(r"_SERVICE_(HOST|PORT)(_\w+)?$|_PORT_\d+_(TCP|UDP)(_\w+)?$")
"""What Kubernetes sets in each container for a service whose name begins with `lemo`."""

_reported: set[str] = set()


def unknown_settings() -> list[str]:
    """A sentence for each unknown `LEMO_` variable of the environment and line of `.env`, without its value.

    A name alone is no error there: another version, or another program of the same name, may know it. In `lemo.toml`,
    which is nobody else's, it is one (`lemo.settings`).
    """
    return [*_sentences(os.environ, ""), *_sentences(dotenv_values(".env"), " in .env")]


def report_unknown_settings(report: Callable[[str], None]) -> None:
    """Reports each unknown setting once in the life of this process."""
    for sentence in unknown_settings():
        if sentence not in _reported:
            _reported.add(sentence)
            report(sentence)


def _sentences(names: Iterable[str], where: str) -> Iterable[str]:
    for name in names:
        field = name.lower().removeprefix("lemo_")
        ours = name.upper().startswith("LEMO_") and not name.startswith(_OF_TESTS) and not _OF_KUBERNETES.search(name)
        if ours and field not in Settings.model_fields:
            yield f"{name}{where} is no setting and is ignored{meant(field)}. All there are: lemo settings"
