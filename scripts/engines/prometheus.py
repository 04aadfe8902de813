"""Prometheus and its promtool, from the system: tests of alert rules and dashboards start their own."""

import shutil

from engines.engine import Engine, Lack, debian


class Prometheus(Engine):
    """The folder of `prometheus` and `promtool`; nothing runs."""

    name = "prometheus"

    def lacks(self) -> list[Lack]:
        return [] if self.url() else [debian("Prometheus", "prometheus")]

    def url(self) -> str | None:
        """The path of promtool, where both are there."""
        return shutil.which("promtool") if shutil.which("prometheus") else None

    def start(self) -> str:
        return self.url() or ""

    def stop(self) -> bool:
        return False
