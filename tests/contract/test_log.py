"""The contract of the ingest log, kept by Redis Streams and by Kafka."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from lemo.domain.errors import EngineUnavailable
from lemo.streams import Log, Message, Reader, Record
from lemo.streams.kafka.log import KafkaLog
from lemo.streams.lag import lag_of, waiting
from lemo.streams.redis.client import stream_key
from lemo.streams.redis.log import RedisLog
from lemo.streams.redis.reader import RedisReader

PATIENCE = 40.0


@pytest.fixture(params=["redis", "kafka", pytest.param("kafka, KIP-848", marks=pytest.mark.long)])
def log(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    made: Log
    if request.param == "redis":
        made = RedisLog(request.getfixturevalue("redis_url") + "/0", max_length=1_000)
    else:
        servers = {"bootstrap.servers": request.getfixturevalue("kafka_servers")}
        made = KafkaLog(servers, group_protocol="classic" if request.param == "kafka" else "consumer")
    readers: list[Reader] = []
    make = made.reader

    def reader(*args: Any, **options: Any) -> Reader:
        readers.append(make(*args, **options))
        return readers[-1]

    monkeypatch.setattr(made, "reader", reader)
    yield made
    # librdkafka never ends a consumer that nobody closed: a test that fails would hang a later one in the collector.
    for opened in readers:
        with suppress(RuntimeError):  # closed already
            opened.close()


@pytest.fixture
def topic(log: Log) -> Iterator[str]:
    name = f"topic-{uuid.uuid4().hex[:12]}"
    log.create_topics([name])
    yield name
    if isinstance(log, RedisLog):
        from redis import Redis

        with Redis.from_url(log._url) as redis:
            redis.delete(stream_key(name))


@pytest.fixture
def group() -> str:
    return f"group-{uuid.uuid4().hex[:12]}"


def numbered(start: int, end: int, key: bytes = b"") -> list[Message]:
    return [Message(str(number).encode(), key or str(number).encode()) for number in range(start, end)]


def publish(log: Log, topic: str, messages: list[Message]) -> None:
    publisher = log.publisher()
    assert publisher.publish(topic, messages) == len(messages)
    publisher.close()


def read(reader: Reader, count: int, limit: int = 50) -> list[Record]:
    """Polls until `count` records came."""
    records: list[Record] = []
    deadline = time.monotonic() + PATIENCE
    while len(records) < count:
        assert time.monotonic() < deadline, f"{len(records)} of {count} records came"
        polled = reader.poll(min(limit, count - len(records)), 0.5)
        assert len(polled) <= limit
        records += polled
    return records


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline


def test_messages_come_in_order_and_whole(log: Log, topic: str, group: str) -> None:
    odd = [
        Message(b"\xff\x00\r\n binary", "键/ \"'".encode(), {"h": b"\xff\x00", "名": "值".encode()}),
        Message(b"", b"key"),
        Message(b"x" * 900_000, b"key"),
    ]
    publish(log, topic, [Message(m.value, b"one key", {**m.headers, "key": m.key}) for m in odd])
    publish(log, topic, numbered(0, 300, b"one key"))
    reader = log.reader([topic], group, "a")
    before = time.time() * 1000
    records = read(reader, 303)
    assert [record.value for record in records] == [m.value for m in odd] + [str(n).encode() for n in range(300)]
    assert [record.headers for record in records[:3]] == [{**m.headers, "key": m.key} for m in odd]
    assert {record.key for record in records} == {b"one key"}
    assert {record.topic for record in records} == {topic}
    assert len({record.position for record in records}) == 303
    assert all(abs(record.timestamp - before) < 120_000 for record in records)
    reader.close()


def test_what_was_not_committed_comes_again(log: Log, topic: str, group: str) -> None:
    publish(log, topic, numbered(0, 100, b"k"))
    first = log.reader([topic], group, "a")
    records = read(first, 100)
    first.commit(records[:40])
    first.close()
    second = log.reader([topic], group, "a")
    again = read(second, 60)
    assert [record.value for record in again] == [str(number).encode() for number in range(40, 100)]
    assert [record.position for record in again] == [record.position for record in records[40:]]
    second.commit(again)
    second.commit(again)
    second.close()
    third = log.reader([topic], group, "a")
    publish(log, topic, [Message(b"new", b"k")])
    assert [record.value for record in read(third, 1)] == [b"new"]
    third.close()


def test_a_record_is_polled_once_while_its_reader_lives(log: Log, topic: str, group: str) -> None:
    publish(log, topic, numbered(0, 100))
    reader = log.reader([topic], group, "a")
    records = [*read(reader, 50), *read(reader, 50)]
    assert len({(record.partition, record.position) for record in records}) == 100
    assert reader.poll(10, 0.3) == []
    reader.commit(records)
    reader.close()
    assert log.lag([topic], group) == {topic: 0}


def test_two_readers_share_the_work(log: Log, topic: str, group: str) -> None:
    got: dict[str, list[bytes]] = {"a": [], "b": []}
    published = 0
    deadline = time.monotonic() + PATIENCE
    with reading(log, topic, group, "a", got["a"]), reading(log, topic, group, "b", got["b"]):
        while not (got["a"] and got["b"] and len(got["a"]) + len(got["b"]) >= published):
            assert time.monotonic() < deadline, {name: len(values) for name, values in got.items()}
            if not (got["a"] and got["b"]):  # Kafka hands partitions to the second one only after a while
                publish(log, topic, numbered(published, published + 40))
                published += 40
            threading.Event().wait(0.2)
    assert sorted(got["a"] + got["b"]) == sorted(str(number).encode() for number in range(published))


@contextmanager
def reading(log: Log, topic: str, group: str, member: str, got: list[bytes]) -> Iterator[None]:
    """A member that takes whatever comes, in a thread of its own.

    As in real life: a commit in the middle of a rebalance waits for the others, who must be able to do their part.
    """
    done = threading.Event()

    def take() -> None:
        reader = log.reader([topic], group, member)
        while not done.is_set():
            records = reader.poll(10, 0.1)
            reader.commit(records)
            got.extend(record.value for record in records)
        reader.close()

    with ThreadPoolExecutor(1) as thread:
        taking = thread.submit(take)
        try:
            yield
        finally:
            done.set()
        taking.result(PATIENCE)


def test_a_reader_that_holds_is_handed_nothing_and_loses_nothing(log: Log, topic: str, group: str) -> None:
    publish(log, topic, numbered(0, 100))
    reader = log.reader([topic], group, "a")
    records = read(reader, 30)
    for _ in range(2):
        for _ in range(20):
            reader.hold()
        records += read(reader, 30)
    records += read(reader, 10)
    assert sorted(int(record.value) for record in records) == list(range(100))
    reader.commit(records)
    reader.close()
    assert log.lag([topic], group) == {topic: 0}


@pytest.mark.parametrize("holding", [False, True])
def test_what_is_committed_before_it_is_revoked_is_read_once(log: Log, topic: str, group: str, holding: bool) -> None:
    publish(log, topic, numbered(0, 400))
    at_hand: list[Record] = []
    got: list[bytes] = []
    taken: list[int] = []

    def take() -> None:
        taken.append(len(at_hand))
        first.commit(at_hand)
        got.extend(record.value for record in at_hand)
        at_hand.clear()

    first = log.reader([topic], group, "first", take)
    at_hand += read(first, 100)
    theirs: list[bytes] = []
    deadline = time.monotonic() + PATIENCE
    with reading(log, topic, group, "second", theirs):
        while len(got) + len(at_hand) + len(theirs) < 400:
            assert time.monotonic() < deadline
            if holding and not taken and isinstance(log, KafkaLog):
                first.hold()  # until partitions are asked of it
            else:
                take()
                at_hand += first.poll(50, 0.1)
        take()
        while log.lag([topic], group) != {topic: 0}:  # a commit may have to wait for the end of a rebalance
            assert time.monotonic() < deadline
            assert not first.poll(1, 0.05)
        first.close()
    assert sorted(map(int, got + theirs)) == list(range(400))


def test_groups_read_independently_and_from_the_start(log: Log, topic: str, group: str) -> None:
    publish(log, topic, numbered(0, 20))
    for name in (group, f"{group}-replay"):
        reader = log.reader([topic], name, "a")
        records = read(reader, 20)
        assert sorted(int(record.value) for record in records) == list(range(20))
        reader.commit(records)
        reader.close()


def test_lag_counts_what_is_not_committed(log: Log, topic: str, group: str) -> None:
    empty = f"{topic}-empty"
    log.create_topics([empty])
    assert log.lag([topic, empty], group) == {topic: 0, empty: 0}
    publish(log, topic, numbered(0, 30, b"k"))
    assert log.lag([topic, empty], group) == {topic: 30, empty: 0}
    reader = log.reader([topic], group, "a")
    records = read(reader, 30)
    assert log.lag([topic], group) == {topic: 30}
    reader.commit(records[:10])
    assert log.lag([topic], group) == {topic: 20}
    reader.commit(records[10:])
    assert log.lag([topic], group) == {topic: 0}
    reader.close()


def test_the_oldest_is_the_first_that_is_not_committed(log: Log, topic: str, group: str) -> None:
    empty = f"{topic}-empty"
    log.create_topics([empty])
    assert log.oldest([topic, empty], group) == {}
    publish(log, topic, numbered(0, 5, b"k"))
    published = log.read_all(topic, 5)[-1].timestamp
    pause = threading.Event()
    while time.time() * 1000 <= published:  # what comes now is younger
        pause.wait(0.001)
    publish(log, topic, numbered(5, 10, b"k"))
    publish(log, topic, numbered(10, 50))  # everywhere
    stored = {record.value: record.timestamp for record in log.read_all(topic, 100)}
    assert stored[b"0"] < stored[b"5"]
    assert log.oldest([topic, empty], group) == {topic: stored[b"0"]}
    reader = log.reader([topic], group, "a")
    records = read(reader, 50)
    assert log.oldest([topic], group) == {topic: stored[b"0"]}
    reader.commit([record for record in records if record.value in (b"0", b"1", b"2", b"3", b"4")])
    assert log.oldest([topic], group) == {topic: stored[b"5"]}
    assert log.oldest([topic], f"{group}-another") == {topic: stored[b"0"]}
    reader.commit(records)
    assert log.oldest([topic], group) == {}
    reader.close()


def test_several_topics_are_read_by_one_reader(log: Log, topic: str, group: str) -> None:
    other = f"{topic}-other"
    log.create_topics([topic, other])
    publish(log, topic, numbered(0, 30))
    publish(log, other, numbered(30, 60))
    reader = log.reader([topic, other], group, "a")
    records = read(reader, 60, limit=7)
    assert {int(record.value) for record in records if record.topic == topic} == set(range(30))
    assert {int(record.value) for record in records if record.topic == other} == set(range(30, 60))
    reader.commit(records)
    assert sum(log.lag([topic, other], group).values()) == 0
    reader.close()


def test_topics_by_prefix_are_noticed_while_reading(log: Log, topic: str, group: str) -> None:
    early, late, alien = f"{topic}-a.b", f"{topic}-c", f"{topic[:-1]}-c"
    for name in (early, alien):
        log.create_topics([name])
        publish(log, name, numbered(0, 5))
    publish(log, topic, numbered(5, 10))
    assert log.topics(f"{topic}-") == [early]
    reader = log.reader([topic], group, "a", prefix=f"{topic}-")
    records = read(reader, 10)
    assert {(record.topic, int(record.value)) for record in records} == {
        *((early, number) for number in range(5)),
        *((topic, number) for number in range(5, 10)),
    }
    log.create_topics([late])
    publish(log, late, numbered(10, 60))
    found = read(reader, 50)
    assert {(record.topic, int(record.value)) for record in found} == {(late, number) for number in range(10, 60)}
    reader.commit([*records, *found])
    reader.close()
    everything = [topic, *log.topics(f"{topic}-")]
    assert everything == [topic, early, late]
    assert set(log.lag(everything, group).values()) == {0}


def test_a_prefix_that_no_topic_has_yet_is_no_reason_to_warn(log: Log, topic: str, group: str) -> None:
    publish(log, topic, numbered(0, 5))
    with capture_logs() as lines:
        reader = log.reader([topic], group, "a", prefix=f"{topic}-")
        assert len(read(reader, 5)) == 5
    reader.close()
    assert [line for line in lines if line["log_level"] == "warning"] == []


def test_read_all_shows_the_newest(log: Log, topic: str, group: str) -> None:
    assert log.read_all(topic, 10) == []
    publish(log, topic, numbered(0, 50, b"k"))
    assert [record.value for record in log.read_all(topic, 5)] == [b"45", b"46", b"47", b"48", b"49"]
    assert len(log.read_all(topic, 1_000)) == 50
    assert log.lag([topic], group) == {topic: 50}


def test_a_scan_hands_over_all_that_stood_there_when_it_began(log: Log, topic: str, group: str) -> None:
    assert list(log.scan(topic)) == []
    publish(log, topic, numbered(0, 2_500, b"k"))
    found = log.scan(topic)
    first = next(found)
    publish(log, topic, numbered(2_500, 2_600, b"k"))
    values = [int(record.value) for record in (first, *found)]
    assert values[:2_500] == list(range(2_500))
    assert len(values) <= 2_600
    assert log.lag([topic], group) == {topic: 2_600}


def test_records_are_removed_or_it_is_said_that_they_stay(log: Log, topic: str, group: str) -> None:
    publish(log, topic, numbered(0, 6))
    done = log.remove(topic, lambda record: record.value in (b"1", b"4"))
    left = sorted(record.value for record in log.scan(topic))
    if isinstance(log, RedisLog):
        assert done.count == 2
        assert left == [b"0", b"2", b"3", b"5"]
        assert [record.value for record in read(log.reader([topic], group, "a"), 4)] == left
        assert log.remove(topic, lambda _: False).remains == ""
    else:
        assert (done.count, len(left)) == (0, 6)
        assert "has no retention" in done.remains
        assert done.until is None
        assert log.remove(f"{topic}-none", lambda _: True).remains == ""


def test_kafka_says_when_records_are_gone(kafka_servers: str) -> None:
    topic, day = f"topic-{uuid.uuid4().hex[:12]}", 86_400_000
    log = KafkaLog({"bootstrap.servers": kafka_servers}, {topic: 3})
    log.create_topics([topic])
    before = time.time_ns() // 1_000_000
    done = log.remove(topic, lambda _: True)
    assert "by age" in done.remains
    assert done.until is not None
    assert before + 3 * day < done.until <= time.time_ns() // 1_000_000 + 3 * day + 7 * day


def test_publishers_serve_several_threads(log: Log, topic: str) -> None:
    publisher = log.publisher()
    threads = [
        threading.Thread(target=publisher.publish, args=(topic, numbered(start, start + 50)))
        for start in range(0, 400, 50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    publisher.close()
    assert sorted(int(record.value) for record in log.read_all(topic, 1_000)) == list(range(400))


def test_an_idle_poll_ends_in_time(log: Log, topic: str, group: str) -> None:
    reader = log.reader([topic], group, "a")
    started = time.monotonic()
    assert reader.poll(10, 0.5) == []
    assert time.monotonic() - started < 10
    reader.commit([])
    reader.close()


def test_ping_names_the_engine(log: Log) -> None:
    assert log.ping().startswith(("Redis", "Valkey", "Kafka"))


def test_without_its_server_redis_is_unavailable_and_keeps_the_password_to_itself(free_port: int) -> None:
    away = RedisLog(f"redis://:hush-hush@127.0.0.1:{free_port}/0", 1_000)
    for ask in (away.ping, lambda: away.lag(["t"], "g"), lambda: away.read_all("t", 1)):
        with pytest.raises(EngineUnavailable) as caught:
            ask()
        assert "hush-hush" not in str(caught.value)
    with pytest.raises(EngineUnavailable):
        away.publisher().publish("t", [Message(b"x")])
    with pytest.raises(EngineUnavailable):
        away.reader(["t"], "g", "a").poll(1, 0.1)


def test_without_its_brokers_kafka_is_unavailable(free_port: int) -> None:
    with pytest.raises(EngineUnavailable, match="Kafka"):
        KafkaLog({"bootstrap.servers": f"127.0.0.1:{free_port}"}).ping()


class TestRedisStreams:
    """What only Redis Streams need."""

    @pytest.fixture
    def log(self, redis_url: str) -> RedisLog:
        return RedisLog(redis_url + "/0", max_length=100)

    def test_trimming_drops_nothing_that_a_group_has_not_committed(self, log: RedisLog, topic: str, group: str) -> None:
        publish(log, topic, numbered(0, 2_000))
        slow, fast = log.reader([topic], f"{group}-slow", "a"), log.reader([topic], group, "a")
        held = read(slow, 500)
        slow.commit(held[:300] + held[310:])  # ten are still under way
        fast.commit(read(fast, 2_000, limit=1_000))
        assert isinstance(fast, RedisReader)
        fast.trim()
        assert log.lag([topic], f"{group}-slow") == {topic: 1_510}
        assert 1_700 <= len(log.read_all(topic, 5_000)) < 1_850  # whole nodes of the stream go, about 300 entries
        slow.close()
        again = log.reader([topic], f"{group}-slow", "a")
        rest = read(again, 1_510, limit=1_000)
        assert [int(record.value) for record in rest] == [*range(300, 310), *range(500, 2_000)]
        again.commit(rest)
        fast.trim()
        assert 100 <= len(log.read_all(topic, 5_000)) < 250
        again.close()
        fast.close()

    def test_topics_that_nobody_consumes_keep_their_newest_for_some_days(self, redis_url: str, topic: str) -> None:
        from redis import Redis

        log = RedisLog(redis_url + "/0", max_length=500, kept_days={topic: 3})
        old = int((time.time() - 4 * 86_400) * 1000)
        with Redis.from_url(redis_url + "/0") as redis:
            for number in range(300):
                redis.xadd(stream_key(topic), {"v": "old"}, id=f"{old}-{number + 1}")
        publish(log, topic, [Message(b"new")])
        values = [record.value for record in log.scan(topic)]
        assert values[-1] == b"new"
        assert values.count(b"old") < 120  # whole nodes of the stream go, about 100 entries
        publish(log, topic, numbered(0, 3_000))
        assert 500 <= len(list(log.scan(topic))) < 800

    def test_nothing_is_trimmed_before_a_group_reads(self, log: RedisLog, topic: str, group: str) -> None:
        publish(log, topic, numbered(0, 500))
        reader = log.reader([topic], group, "a")
        assert isinstance(reader, RedisReader)
        reader.trim()
        assert len(log.read_all(topic, 5_000)) == 500
        reader.close()

    def test_entries_of_a_dead_member_are_taken_over(
        self, log: RedisLog, topic: str, group: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("lemo.streams.redis.reader._DEAD_AFTER_MS", 0)
        publish(log, topic, numbered(0, 30))
        dead = log.reader([topic], group, "dead")
        read(dead, 20)
        dead.close()
        heir = log.reader([topic], group, "heir")
        records = read(heir, 30)
        assert sorted(int(record.value) for record in records) == list(range(30))
        heir.commit(records)
        assert log.lag([topic], group) == {topic: 0}
        heir.close()

    def test_an_answer_lost_with_its_connection_is_asked_for_again(
        self, log: RedisLog, topic: str, group: str, redis_url: str
    ) -> None:
        from redis import Redis

        publish(log, topic, numbered(0, 10))
        reader = log.reader([topic], group, "a")
        assert isinstance(reader, RedisReader)
        held = read(reader, 3)
        with Redis.from_url(redis_url + "/0") as redis:  # the server delivers to "a", but the reader never hears of it
            redis.xreadgroup(group, "a", {stream_key(topic): ">"}, count=4)
        reader._recover()  # what every failed poll does
        rest = read(reader, 7)
        assert sorted(int(record.value) for record in held + rest) == list(range(10))
        reader.close()

    def test_a_server_that_forgot_the_group_is_given_it_again(
        self, log: RedisLog, topic: str, group: str, redis_url: str
    ) -> None:
        from redis import Redis

        reader = log.reader([topic], group, "a")
        reader.poll(1, 0.01)
        with Redis.from_url(redis_url + "/0") as redis:
            redis.delete(stream_key(topic))
        publish(log, topic, numbered(0, 5))
        with pytest.raises(EngineUnavailable):
            reader.poll(10, 0.1)
        assert len(read(reader, 5)) == 5
        reader.close()

    def test_lag_counts_what_is_left_of_a_stream_that_somebody_cut(
        self, log: RedisLog, topic: str, group: str, redis_url: str
    ) -> None:
        from redis import Redis

        publish(log, topic, numbered(0, 10))
        reader = log.reader([topic], group, "a")
        reader.commit(read(reader, 4))
        with Redis.from_url(redis_url + "/0") as redis:
            redis.xtrim(stream_key(topic), maxlen=3, approximate=False)
            assert log.lag([topic], group) == {topic: 3}
            positions = [record.position for record in log.read_all(topic, 10)]
            redis.xdel(stream_key(topic), positions[1])
            assert log.lag([topic], group) == {topic: 2}
            redis.xtrim(stream_key(topic), maxlen=0, approximate=False)
            assert log.lag([topic], group) == {topic: 0}
        reader.close()


class TestKafka:
    """What only Kafka needs."""

    @pytest.fixture
    def log(self, kafka_servers: str) -> KafkaLog:
        return KafkaLog({"bootstrap.servers": kafka_servers})

    def test_what_a_transaction_took_back_is_no_lag(
        self, log: KafkaLog, topic: str, group: str, kafka_servers: str
    ) -> None:
        publish(log, topic, numbered(0, 8))
        transaction(kafka_servers, topic, 40, commit=False)
        assert waiting(log, [topic], group)[0][topic] > 8  # nobody has looked behind the first record yet
        reader = log.reader([topic], group, "a")
        records = read(reader, 8)
        assert not reader.poll(10, 0.5)
        assert waiting(log, [topic], group)[0][topic] >= 8  # what is at hand is not done
        reader.commit(records)
        reader.poll(10, 0.5)
        assert log.lag([topic], group) == {topic: 0}
        transaction(kafka_servers, topic, 40, commit=False)
        assert log.lag([topic], group)[topic] > 0
        assert waiting(log, [topic], group) == ({topic: 0}, {})  # even where nobody reads
        assert str(lag_of(log, [topic], group)) == "up to date"
        wait(lambda: not reader.poll(10, 0.2) and log.lag([topic], group) == {topic: 0})
        transaction(kafka_servers, topic, 4, commit=True)
        assert waiting(log, [topic], group)[0][topic] >= 4
        reader.commit(read(reader, 4))
        wait(lambda: not reader.poll(10, 0.2) and log.lag([topic], group) == {topic: 0})
        reader.close()

    def test_a_position_behind_marks_is_not_committed_while_a_record_before_it_is_at_hand(
        self, log: KafkaLog, topic: str, group: str, kafka_servers: str
    ) -> None:
        publish(log, topic, numbered(0, 8, b"k"))
        transaction(kafka_servers, topic, 40, commit=False)
        reader = log.reader([topic], group, "a")
        records = read(reader, 8)
        for _ in range(5):
            assert not reader.poll(10, 0.1)
            reader.hold()
        reader.commit(records[:5])
        assert not reader.poll(10, 0.1)
        reader.close()
        heir = log.reader([topic], group, "b")
        assert [record.value for record in read(heir, 3)] == [b"5", b"6", b"7"]
        heir.close()

    def test_an_open_transaction_is_no_lag(self, log: KafkaLog, topic: str, group: str, kafka_servers: str) -> None:
        from confluent_kafka import Producer

        publish(log, topic, numbered(0, 8))
        reader = log.reader([topic], group, "a")
        reader.commit(read(reader, 8))
        producer = Producer({"bootstrap.servers": kafka_servers, "transactional.id": f"open-{topic}"})
        producer.init_transactions(PATIENCE)
        producer.begin_transaction()
        producer.produce(topic, b"open", b"k")
        producer.flush(PATIENCE)
        assert log.lag([topic], group) == {topic: 0}
        producer.commit_transaction(PATIENCE)
        assert len(read(reader, 1)) == 1
        reader.close()


def transaction(kafka_servers: str, topic: str, count: int, *, commit: bool) -> None:
    """A transaction of numbered messages that is committed, or taken back."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": kafka_servers, "transactional.id": f"of-{topic}"})
    producer.init_transactions(PATIENCE)
    producer.begin_transaction()
    for number in range(count):
        producer.produce(topic, b"taken back" if not commit else b"kept", str(number).encode())
    producer.flush(PATIENCE)
    (producer.commit_transaction if commit else producer.abort_transaction)(PATIENCE)
