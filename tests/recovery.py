"""Recovery times: measured by the fault tests, printed at the end of the run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

PROPERTY = "recovery"


@contextmanager
def recovering(request: pytest.FixtureRequest, what: str) -> Iterator[None]:
    """Measures a block that begins with the fault (or with its end) and ends when all is well again."""
    began = time.monotonic()
    yield
    seconds = time.monotonic() - began
    request.node.user_properties.append((PROPERTY, f"{what}: {seconds:.1f} s"))
