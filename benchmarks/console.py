"""How soon each page of a running console paints something, in headless Chromium, beside a bare page of NiceGUI.

The figure is the browser's own first contentful paint, observed with PerformanceObserver: the skeleton of the page with
what is known at once, not its numbers. Each visit is a new browser context, whose cache is empty; `again` is a second
visit in the same one. Both kinds of pages are opened in turns; ratios of the medians are what counts.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

import servers
from engines.chromium import path_of_chromium
from sites import wait_for

PAGES = ["/", "/analytics", "/explore", "/items", "/users", "/scenario", "/experiments", "/models", "/jobs", "/ingest"]
PAGES += ["/settings", "/audit", "/login"]
MOST_MS = 1_000
"""What a page may take on a quiet machine."""
BARE = """
from nicegui import ui
@ui.page("/")
def page(): ui.label("bare")
ui.run(host="127.0.0.1", port={port}, reload=False, show=False, show_welcome_message=False)
"""
PAINTED = """() => new Promise(resolve => new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (entry.name === "first-contentful-paint") resolve(entry.startTime);
}).observe({type: "paint", buffered: true}))"""


@contextmanager
def bare_page() -> Iterator[str]:
    """The address of a page of NiceGUI with one label, in a process of its own."""
    port = servers.free_port()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "bare.py"
        script.write_text(BARE.format(port=port))
        process = subprocess.Popen(
            [sys.executable, script], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        url = f"http://127.0.0.1:{port}/"
        try:
            wait_for(lambda: answers(url))
            yield url
        finally:
            process.terminate()
            process.wait(20)


def answers(url: str) -> bool:
    """Whether something listens there."""
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def paint(page: Page, url: str) -> float:
    """Milliseconds from the navigation to the first contentful paint."""
    page.goto(url, wait_until="commit")
    return float(page.evaluate(PAINTED))


def visits(browser: Browser, url: str) -> tuple[float, float]:
    """The first visit and the second one."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    try:
        page = context.new_page()
        return paint(page, url), paint(page, url)
    finally:
        context.close()


def main() -> None:
    """Prints the table; ends with 1 where a page needs longer than it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="console of a running `lemo demo`")
    parser.add_argument("--rounds", type=int, default=5, help="visits of each page (default: 5)")
    given = parser.parse_args()
    if not answers(given.url):
        raise SystemExit(f"No console answers at {given.url}: start `lemo demo` first, or name its address: --url.")
    slow = []
    with bare_page() as bare, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path_of_chromium(), args=["--no-sandbox"])
        print(f"{'page':<14}{'first ms':>10}{'bare':>8}{'ratio':>8}{'again ms':>10}{'bare':>8}{'ratio':>8}")
        for path in PAGES:
            ours, theirs = [], []
            for _ in range(given.rounds):
                theirs.append(visits(browser, bare))
                ours.append(visits(browser, given.url + path))
            medians = [statistics.median(each[at] for each in found) for at in (0, 1) for found in (ours, theirs)]
            first, bare_first, again, bare_again = medians
            print(
                f"{path:<14}{first:>10.0f}{bare_first:>8.0f}{first / bare_first:>8.2f}"
                f"{again:>10.0f}{bare_again:>8.0f}{again / bare_again:>8.2f}",
                flush=True,
            )
            if max(first, again) > MOST_MS:
                slow.append(path)
        browser.close()
    if slow:
        raise SystemExit(f"Longer than {MOST_MS} ms: {', '.join(slow)}.")


if __name__ == "__main__":
    main()
