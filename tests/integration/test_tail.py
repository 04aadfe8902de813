"""The newest event messages of a tenant."""

import uuid

from lemo.streams import Message
from lemo.streams.redis.log import RedisLog
from lemo.streams.tail import newest_events


def test_the_tail_is_a_tenants_newest_event_messages(redis_url: str) -> None:
    def message(tenant: str, scenario: str, number: int) -> Message:
        event = f'"user_id": "u", "item_id": "{number}", "action": "view", "timestamp": {1_700_000_000_000 + number}'
        return Message(f'{{"tenant_id": "{tenant}", "scenario_id": "{scenario}", {event}}}'.encode(), b"one key")

    log, topic = RedisLog(f"{redis_url}/0", max_length=1_000), f"topic-{uuid.uuid4().hex[:12]}"
    publisher = log.publisher()
    mine = [message("mine", "shop", 1), message("mine", "news", 2), message("mine", "shop", 3)]
    odd = [
        Message(b"{}"),
        message("other", "shop", 4),
        Message(b'{"tenant_id": "mine", "scenario_id": "shop"}', b"one key"),
    ]
    publisher.publish(topic, [mine[0], *odd[:2], *mine[1:], odd[2]])
    publisher.close()
    found = newest_events(log, [topic], "mine")
    assert [each.event.get("item_id") for each in found] == [None, "3", "2", "1"]
    assert found[0].fault
    assert not any(each.fault for each in found[1:])
    assert len({each.id for each in found}) == 4
    assert [each.event["item_id"] for each in newest_events(log, [topic], "mine", "shop", 2) if not each.fault] == ["3"]
