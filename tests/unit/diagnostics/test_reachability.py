"""What the doctor says of an engine that answers with an error."""

import pytest

from lemo.diagnostics.reachability import Address

REDIS = Address("Redis", "redis://127.0.0.1:1", "LEMO_REDIS_PORT", ("redis",), 6379, True, "redis-cli ping")


@pytest.mark.parametrize(
    "text",
    [
        "MISCONF Errors writing to the AOF file: No space left on device",
        "OOM command not allowed when used memory > 'maxmemory'.",
    ],
)
def test_a_full_engine_is_reported_as_full_and_not_as_another(text: str) -> None:
    finding = REDIS.explain(RuntimeError(text))
    assert "refuses writes" in finding.detail
    assert "Free disk space or memory" in finding.hint
    assert "right port" not in finding.hint
