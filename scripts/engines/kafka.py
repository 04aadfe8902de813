"""Kafka in KRaft mode, its jars through Maven."""

import shutil
import uuid
from pathlib import Path

from engines.engine import Engine, Lack, debian, progress
from engines.process import LOOPBACK, choose_port, listens, run

VERSION = "4.4.0"

POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>lemo.test</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.5</version>
    </dependency>
  </dependencies>
</project>
"""

LOG4J = """\
Configuration:
  status: error
  appenders:
    Console:
      name: out
      PatternLayout: {pattern: "%d{ISO8601} %p %c{1}: %m%n"}
  Loggers:
    Root:
      level: info
      AppenderRef: {ref: out}
"""

# Event times may be years old, so nothing may be deleted for its age; one broker, so every internal topic has one copy.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.retention.ms=-1
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
"""


class Kafka(Engine):
    """One node, broker and controller together."""

    name = "kafka"
    variable = "LEMO_TEST_KAFKA_PORT"
    usual_port = 17002

    @property
    def _libraries(self) -> Path:
        return self.folder / f"libs-{VERSION}"

    def lacks(self) -> list[Lack]:
        lacks = []
        if not shutil.which("java"):
            lacks.append(debian("Java 17 or newer", "default-jre-headless"))
        if not self._libraries.exists() and not shutil.which("mvn"):
            lacks.append(debian("Maven", "maven"))
        return lacks

    def install(self) -> None:
        if self._libraries.exists():
            return
        (self.folder / "pom.xml").write_text(POM)
        part = self.fresh("libs.part")
        with progress(self.name, f"fetching Kafka {VERSION} through Maven"):
            run(
                ["mvn", "-B", "-ntp", "-q", "dependency:copy-dependencies", "-DincludeScope=runtime",
                 f"-DoutputDirectory={part}"],
                self.folder / "install.txt",
                self.folder,
            )  # fmt: skip
        part.rename(self._libraries)

    def url(self) -> str | None:
        port = self.daemon.port
        return f"{LOOPBACK}:{port}" if port else None

    def start(self) -> str:
        if not self.daemon.port:
            self._launch(choose_port(self.variable, self.usual_port))
        port = self.daemon.port or 0
        self.daemon.wait(lambda: "Kafka Server started" in self.daemon.log.read_text() and listens(port), 90)
        return f"{LOOPBACK}:{port}"

    def _launch(self, port: int) -> None:
        controller = choose_port("LEMO_TEST_KAFKA_CONTROLLER_PORT", self.usual_port + 1)
        properties = self.folder / "server.properties"
        properties.write_text(
            PROPERTIES.format(host=LOOPBACK, port=port, controller=controller, data=self.fresh("data"))
        )
        (self.folder / "log4j2.yaml").write_text(LOG4J)
        java = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{self._libraries}/*"]
        # Hexadecimal, because a cluster id must not start with "-": the tool would take it for an option.
        cluster = uuid.uuid4().hex[:22]
        run(
            [*java, "-Xmx128m", "kafka.tools.StorageTool", "format", "-t", cluster, "-c", properties],
            self.folder / "install.txt",
            self.folder,
        )
        self.daemon.start(
            [*java, "-Xms256m", "-Xmx256m", f"-Dlog4j2.configurationFile={self.folder / 'log4j2.yaml'}",
             "kafka.Kafka", properties],
            port,
        )  # fmt: skip
