"""Chromium, from the system: not a server, each browser test starts its own."""

import shutil
import subprocess
from pathlib import Path

from engines.engine import Engine, Lack, debian

COMMANDS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""The shell without windows comes first: the tests of the console take two thirds of the processor time with it."""
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")


class Chromium(Engine):
    """The browser and a font for Chinese (else the pages show empty boxes)."""

    name = "chromium"

    def lacks(self) -> list[Lack]:
        lacks = [] if self.url() else [debian("Chromium", "chromium-headless-shell", "fonts-noto-cjk")]
        if not self._has_chinese():
            lacks.append(debian("a font for Chinese", "fonts-noto-cjk"))
        return lacks

    def url(self) -> str | None:
        """The path of the browser."""
        found = next(filter(None, map(shutil.which, COMMANDS)), None)
        return found or (str(MAC) if MAC.exists() else None)

    def _has_chinese(self) -> bool:
        if not shutil.which("fc-list"):  # without fontconfig there is nothing to ask; Debian's Chromium brings it
            return True
        answer = subprocess.run(["fc-list", ":lang=zh-cn"], capture_output=True, text=True, check=False)
        return bool(answer.stdout.strip())

    def start(self) -> str:
        return self.url() or ""

    def stop(self) -> bool:
        return False


def path_of_chromium() -> str:
    """The browser of this machine, for programs beside the tests; ends them with words where there is none."""
    chromium = Chromium(Path())
    if (path := chromium.url()) is None:
        raise SystemExit(f"There is no Chromium on this machine: {chromium.lacks()[0].hint}")
    return path
