"""One cluster of Flink and one installation for all of these tests: to start them takes longer than most of them."""

from collections.abc import Iterator

import pytest

from flink_clusters import Cluster, running_cluster
from flink_sites import Installation, eventually


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("flink")) as cluster:
        yield cluster


@pytest.fixture(scope="package")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    redis_url: str,
    clickhouse_url: str,
    kafka_servers: str,
    cluster: Cluster,
) -> Iterator[Installation]:
    """An installation whose three jobs run."""
    made = Installation(tmp_path_factory.mktemp("site"), redis_url, clickhouse_url, kafka_servers, cluster.url)
    with made.consuming():
        topics = {made.settings.kafka_accepted_topic, made.settings.kafka_realtime_topic}
        eventually(lambda: topics <= set(made.stores.log.topics(made.settings.installation)))
        made.submit(cluster)
        yield made
    made.stores.close()
