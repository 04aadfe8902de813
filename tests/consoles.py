"""A filled installation, its console as a process, and what a browser sees of it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from playwright.sync_api import Page

import servers
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.jobs.profiles import profile
from lemo.jobs.report import unattended
from lemo.stores.connect import Stores
from sites import begin_catalogue

SHOP = "shop"
TITLES = {"kitchen": ("Copper kettle", "铸铁炒锅"), "garden": ("Garden shears", "园艺手套")}
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


@dataclass
class Visit:
    """A page and all that went on in it."""

    page: Page
    hosts: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Console:
    """A running console and the key of the tenant whose data it shows."""

    url: str
    tenant_id: str
    key: str


def until(condition: Callable[[], bool], process: "subprocess.Popen[bytes]", seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"the console ended with exit code {process.returncode}"
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def alive(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live", timeout=2, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def fill(stores: Stores, tenant_id: str) -> None:
    """Forty items of two kinds, users that like one of them and their profiles, a trained model and its run."""
    scope = Scope(tenant_id, SHOP)
    stores.tenants.create(tenant_id)
    stores.scenarios.create(tenant_id, scenario_from_template(SHOP, "ecommerce"))
    items = [
        Item(
            item_id=f"{kind}/{number}",
            title=f"{TITLES[kind][number % 2]} {number}",
            categories=[kind],
            tags=["steel", "新品"],
            author=f"{kind} studio",
            published_at=NOW - timedelta(days=number),
        )
        for kind in TITLES
        for number in range(20)
    ]
    stores.items.upsert(scope, items, [milliseconds(NOW)] * len(items))
    begin_catalogue(stores, scope)
    stores.availability.add(scope, items, [milliseconds(NOW)] * len(items))
    rows = [
        (
            scope,
            Event(
                user_id=f"用户 {user}",
                item_id=f"{list(TITLES)[user % 2]}/{(user * 7 + step * 3) % 20}",
                action="order" if step % 3 else "view",
                timestamp=NOW - timedelta(hours=(user * 5 + step * 31) % 700),
            ),
        )
        for user in range(60)
        for step in range(6)
    ]
    stores.events.migrate()
    stores.events.insert(rows)
    stores.history.add(rows)
    run = stores.runs.create(tenant_id, "train-model-daily", SHOP, "manual")
    run.started_at = datetime.now(UTC)
    publish(stores, scope)
    profile(stores, scope, unattended())
    run.finished_at, run.outcome, run.rows_written = datetime.now(UTC), "ok", len(items)
    stores.runs.save(tenant_id, run)
    failed = stores.runs.create(tenant_id, "update-user-profiles-2hours", SHOP, "schedule")
    failed.outcome, failed.error = "failed", "Milvus did not answer."
    stores.runs.save(tenant_id, failed)


def publish(stores: Stores, scope: Scope) -> None:
    """Fits model and similar items on all events, and lets them serve."""
    from lemo.recommenders.data.interactions import Interactions
    from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
    from lemo.recommenders.similar_items import similar_items
    from lemo.recommenders.sources.item_knn import item_similarity
    from recommender_worlds import best_first

    rules = stores.scenarios.get(scope).actions
    interactions = Interactions.from_table(stores.events.interactions(scope), rules)
    model = HybridRecommender.fit(interactions, HybridConfig(), rules)
    similar = similar_items(
        interactions.item_ids, best_first(item_similarity(interactions.csr(None), 10.0, 20)), None, 20
    )
    for kind, (arrays, manifest) in {"model": model.to_arrays(), "similar": similar.to_arrays()}.items():
        stores.snapshots.publish(scope, kind, "20261101T120000", arrays, manifest)
        stores.snapshots.point(scope, kind, "20261101T120000", 1)


def start(settings: dict[str, str], log: Path) -> "tuple[subprocess.Popen[bytes], str]":
    port = servers.free_port()
    variables = {**os.environ, **settings, "LEMO_CONSOLE_PORT": str(port)}
    # NiceGUI takes a test's variable for an order to simulate its browser.
    variables = {name: value for name, value in variables.items() if not name.startswith(("PYTEST_", "NICEGUI_"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", "from lemo.cli.console import console; console()"],
            env=variables,
            cwd=log.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return process, f"http://127.0.0.1:{port}"


def narrow(page: Page, width: int = 390) -> None:
    """Makes the window as narrow as a phone, and waits until the page fits into it."""
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width, timeout=5_000)


def picture(page: Page, name: str) -> None:
    """Keeps a screenshot where LEMO_TEST_PICTURES names a folder."""
    folder = os.environ.get("LEMO_TEST_PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
