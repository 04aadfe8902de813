"""Takes the pictures of the documentation from a running demo, in headless Chromium: `make screenshots`."""

import argparse
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, Error, sync_playwright

from engines.chromium import path_of_chromium

FOLDER = Path(__file__).parent.parent / "docs" / "images"
LOADED = "() => document.querySelector('main h2, main section') && !document.querySelector('[aria-busy=true]')"
"""Whether every part of a page has its answer."""


class Picture(NamedTuple):
    """What is taken: a page in a window."""

    name: str
    path: str
    width: int = 1400
    height: int = 900


PICTURES = (
    Picture("console", "/"),
    Picture("console-analytics", "/analytics?scenario=ecommerce&days=28", height=1300),
    Picture("console-explore", "/explore?scenario=vlog&user=vlog-user-0001"),
    Picture("console-scenario", "/scenario?scenario=ecommerce"),
)
"""Those that the documentation shows."""


def take(browser: Browser, url: str, picture: Picture, folder: Path) -> str:
    """Takes a picture once all of the page is there; returns what became of it."""
    context = browser.new_context(
        viewport={"width": picture.width, "height": picture.height},
        color_scheme="light",
        locale="en-US",
        reduced_motion="reduce",
    )
    try:
        page = context.new_page()
        try:
            answer = page.goto(url + picture.path)
        except Error as error:
            raise SystemExit(
                f"No console answers at {url}: start `lemo demo` first, or name its address: --url."
            ) from error
        if answer is None or answer.status != 200:
            return "there is no such page"
        page.wait_for_function(LOADED, timeout=60_000)
        page.wait_for_timeout(500)  # charts are drawn after their numbers came
        page.screenshot(path=folder / f"{picture.name}.png")
        return "taken"
    finally:
        context.close()


def main() -> None:
    """Takes all pictures, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="pictures to take; by default all")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="console of a running `lemo demo`")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    given = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path_of_chromium(), args=["--no-sandbox"])
        for picture in PICTURES:
            if not given.names or picture.name in given.names:
                print(f"{picture.name}: {take(browser, given.url, picture, given.folder)}")
        browser.close()


if __name__ == "__main__":
    main()
