"""A group without a coordinator, as of brokers that have just started, is asked again for a short while."""

import time
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError, KafkaException

from lemo.streams.kafka import client
from lemo.streams.kafka.client import coordinated


def answers(*codes: int) -> Iterator[int]:
    yield from codes


def asked(codes: Iterator[int]) -> str:
    code = next(codes, None)
    if code is not None:
        raise KafkaException(KafkaError(code))
    return "offsets"


def test_it_is_asked_again_until_there_is_one() -> None:
    codes = answers(KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.NOT_COORDINATOR)
    assert coordinated(lambda: asked(codes)) == "offsets"


def test_other_errors_are_told_at_once() -> None:
    codes = answers(KafkaError.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException):
        coordinated(lambda: asked(codes))


def test_a_group_that_gets_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "COORDINATED_SECONDS", 0.15)
    codes = answers(*[KafkaError.NOT_COORDINATOR] * 1_000)
    started = time.monotonic()
    with pytest.raises(KafkaException):
        coordinated(lambda: asked(codes))
    assert time.monotonic() - started >= 0.15
