"""Flink, out of its Python package, in an environment of its own; only `make test-flink` asks for it.

Nothing runs: the tests start clusters of their own, and kill them.
"""

import shutil
import sys
from pathlib import Path

from engines.engine import Engine, Lack, debian, progress
from engines.process import Failed, run

CONNECTOR = "5.0.0-2.2"
ROOT = Path(__file__).resolve().parents[2]

POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>lemo.test</groupId>
  <artifactId>flink</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.flink</groupId><artifactId>flink-sql-connector-kafka</artifactId><version>{CONNECTOR}</version>
    </dependency>
  </dependencies>
</project>
"""


class Flink(Engine):
    """A virtual environment with Flink and its Kafka connector."""

    name = "flink"

    @property
    def connector(self) -> Path:
        """The Kafka connector's jar."""
        return self.folder / f"libs-{CONNECTOR}" / f"flink-sql-connector-kafka-{CONNECTOR}.jar"

    @property
    def _ready(self) -> Path:
        return self.folder / "venv" / "ready"

    def lacks(self) -> list[Lack]:
        lacks = []
        if not shutil.which("java"):
            lacks.append(debian("Java 17 or newer", "default-jre-headless"))
        if not self.connector.exists() and not shutil.which("mvn"):
            lacks.append(debian("Maven", "maven"))
        if sys.version_info[:2] != (3, 11) and not self._ready.exists() and not shutil.which("python3.11"):
            lacks.append(Lack("Python 3.11", "install Python 3.11, for which Flink's packages are"))
        return lacks

    def install(self) -> None:
        log = self.folder / "install.txt"
        lock = ROOT / "deploy" / "flink" / "requirements.lock"
        if not self._ready.exists() or self._ready.read_text() != lock.read_text():
            uv = ROOT / ".venv" / "bin" / "uv"
            if not uv.exists():
                raise Failed("uv is missing", "make install")
            with progress(self.name, "installing Flink's Python environment (440 MB)"):
                environment = self.fresh("venv")
                python = sys.executable if sys.version_info[:2] == (3, 11) else "python3.11"
                run([uv, "venv", "--quiet", "--clear", "--python", python, environment], log, self.folder)
                run(
                    [uv, "pip", "install", "--quiet", "--require-hashes", "--python", environment / "bin" / "python",
                     "-r", lock],
                    log,
                    self.folder,
                )  # fmt: skip
            self._ready.write_text(lock.read_text())
        if not self.connector.exists():
            (self.folder / "pom.xml").write_text(POM)
            part = self.fresh("libs.part")
            with progress(self.name, f"fetching Flink's Kafka connector {CONNECTOR} through Maven"):
                run(
                    ["mvn", "-B", "-ntp", "-q", "dependency:copy-dependencies", "-DincludeScope=runtime",
                     "-DexcludeTransitive=true", f"-DoutputDirectory={part}"],
                    log,
                    self.folder,
                )  # fmt: skip
            part.rename(self.connector.parent)

    def url(self) -> str | None:
        """The folder with the environment and the connector."""
        return str(self.folder) if self._ready.exists() and self.connector.exists() else None

    def start(self) -> str:
        return self.url() or ""

    def stop(self) -> bool:
        return False
