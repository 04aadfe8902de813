"""Settings that would make the consumer read what it writes are refused."""

import pytest
from pydantic import ValidationError

from lemo.settings import Settings


@pytest.mark.parametrize("name", ["kafka_dead_letter_topic", "kafka_item_results_topic", "kafka_served_topic"])
@pytest.mark.parametrize(
    ("topic", "why"),
    [
        ("acts-of-nobody", "tenants' event topics"),
        ("acts", "would read what it writes"),
        ("goods", "would read what it writes"),
    ],
)
def test_what_the_consumer_writes_it_must_not_read(name: str, topic: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Settings(kafka_event_topic="acts", kafka_item_ingest_topics=["goods"], **{name: topic})


def test_the_default_names_are_checked_too() -> None:
    with pytest.raises(ValidationError, match="tenants' event topics"):
        Settings(kafka_event_topic="items-ingest")


def test_results_and_dead_letters_do_not_share_a_topic() -> None:
    with pytest.raises(ValidationError, match="LEMO_KAFKA_DEAD_LETTER_TOPIC"):
        Settings(kafka_item_results_topic="lemo-dead-letters")
    with pytest.raises(ValidationError, match="LEMO_KAFKA_ITEM_RESULTS_TOPIC"):
        Settings(kafka_served_topic="items-ingest-results")
    assert Settings(kafka_item_results_topic="").kafka_item_results_topic == ""
