"""The worked example of a source of one's own, from installing its package to removing it again."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy
import pytest

import lemo
import servers
from sites import wait_for

EXAMPLE = servers.ROOT / "docs/examples/lemo-by-author"
SHOP = "/v1/scenarios/shop"
AUTHORS, DAYS, USERS = 12, 20, 24
START = datetime(2026, 1, 1, tzinfo=UTC)
SECONDS = 120.0
"""Longest wait for one thing, where the machine has much else to do."""


class Environment:
    """A fresh virtual environment with the packages of this one, and a home folder for Lemo."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        self.python = str(folder / "venv/bin/python")
        (packages,) = (folder / "venv").glob("lib/python*/site-packages")
        running = [str(Path(module.__file__ or "").parents[1]) for module in (numpy, lemo)]
        (packages / "running.pth").write_text("\n".join(running))
        self.home = folder / "home"
        self.variables = servers.environment(self.home)
        self.address = f"http://127.0.0.1:{self.variables['LEMO_API_PORT']}"

    def uv(self, *words: str | Path) -> None:
        """Installs or removes packages of the environment, without a network."""
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        assert uv
        command = [uv, "pip", *words, "--python", self.python, "--offline", "--quiet"]
        subprocess.run(command, check=True, env=self.variables)

    def lemo(self, *words: str, code: int | None = 0) -> str:
        """What a command prints, standard output (JSON is one line) first."""
        command = [self.python, "-m", "lemo.cli.main", *words]
        done = subprocess.run(command, env=self.variables, capture_output=True, text=True, check=False)
        assert code in (None, done.returncode), done.stdout[-2000:] + done.stderr[-3000:]
        return done.stdout + done.stderr

    def restart(self, *names: str) -> None:
        """Ends services as an operator may; the supervisor starts them again."""
        before = servers.supervised(self.variables)
        for name in names:
            os.kill(before[name], signal.SIGTERM)

        def again() -> bool:
            now = servers.supervised(self.variables)
            return all(now.get(name, before[name]) != before[name] for name in names)

        wait_for(again, SECONDS)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    made = Environment(tmp_path)
    made.uv("install", "--no-deps", "--no-build-isolation", EXAMPLE)
    try:
        made.lemo("up", "--detach")
        yield made
    finally:
        made.lemo("down")


def items() -> list[dict[str, str]]:
    """Every author publishes once a day; of the first day there is one more, which hardly anybody has seen."""
    daily = [(author, f"a{author}-{day}") for day in range(DAYS) for author in range(AUTHORS)]
    more = [(author, f"a{author}-unseen") for author in range(AUTHORS)]
    return [{"item_id": item_id, "author": f"author {author}", "title": item_id} for author, item_id in daily + more]


def events() -> list[dict[str, str]]:
    """Every user reads nearly all of one author on the day that it appears: only the author tells what comes next.

    They are too few to train a ranker on, so that the hybrid of the sources answers.
    """
    read = [
        (f"u{user}", f"a{user % AUTHORS}-{day}", START + timedelta(days=day, seconds=user))
        for day in range(DAYS)
        for user in range(USERS)
        if (31 * user + 17 * day) % 10
    ]
    read += [(f"guest{author}", f"a{author}-unseen", START + timedelta(days=1)) for author in range(AUTHORS)]
    return [
        {"user_id": user, "item_id": item_id, "action": "click", "timestamp": moment.isoformat()}
        for user, item_id, moment in read
    ]


def finished(http: httpx.Client, entry: str) -> dict[str, Any]:
    """A run of a job for the shop, when it has ended well."""
    queued = http.post("/v1/jobs/run", json={"entry": entry, "scenario": "shop"}).json()["runs"][0]

    def run() -> dict[str, Any]:
        return dict(http.get("/v1/runs/show", params={"run_id": queued["run_id"]}).json())

    wait_for(lambda: run()["outcome"] not in ("queued", "running"), SECONDS)
    assert run()["outcome"] == "ok", run()
    return run()


def answers(condition: Callable[[], bool]) -> Callable[[], bool]:
    """The condition, which does not hold while nobody listens."""

    def holds() -> bool:
        try:
            return condition()
        except httpx.TransportError:
            return False

    return holds


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_source_of_another_package_is_trained_promoted_served_and_missed(environment: Environment) -> None:
    lemo = environment.lemo
    listed = {row["source"]: row for row in json.loads(lemo("sources", "list", "--format", "json"))}
    assert listed["by-author"]["from"] == "lemo-by-author 1.0"
    assert "by-author" in lemo("sources", "check", "by-author")

    lemo("scenarios", "create", "shop", "--template", "news")
    key = (environment.home / "admin.key").read_text().strip()
    with httpx.Client(
        base_url=environment.address, headers={"Authorization": f"Bearer {key}"}, timeout=SECONDS
    ) as http:
        # Named in the scenario: only what is installed.
        refused = lemo("scenarios", "edit", "shop", "--set", "sources=item-knn,by-autor", code=1)
        assert "Did you mean by-author?" in " ".join(refused.split())
        changed = lemo("scenarios", "edit", "shop", "--set", "sources=item-knn,ridge,popularity,by-author")
        assert "sources holds from the next training on" in " ".join(changed.split())
        answer = http.patch(SHOP, json={"sources": ["popularty"]})
        assert (answer.status_code, "Did you mean popularity?" in answer.json()["detail"]) == (422, True)
        wanted = ["item-knn", "ridge", "popularity", "by-author"]
        assert http.get(SHOP).json()["sources"] == wanted
        assert http.patch(SHOP, json={"sources": wanted}).json()["sources"] == wanted

        assert http.post(f"{SHOP}/items", json={"items": items()}).json()["accepted"] == len(items())
        assert http.post(f"{SHOP}/events", json={"events": events()}).json()["accepted"] == len(events())
        counted: dict[str, str | int] = {"by": "day", "limit": 1000}
        wait_for(
            lambda: (
                sum(row["events"] for row in http.get(f"{SHOP}/stats", params=counted).json()["periods"])
                == len(events())
            ),
            SECONDS,
        )
        wait_for(lambda: len(http.get(f"{SHOP}/latest", params={"n": 200}).json()["items"]) == 200, SECONDS)

        # Trained, evaluated, promoted.
        trained = finished(http, "train-model-daily")["detail"]
        assert trained["promoted"] is True
        assert trained["ndcg_at_10"] > 0.5 > 0.1 > trained["popularity_ndcg_at_10"]
        (model,) = http.get(f"{SHOP}/models").json()["models"]
        assert (model["version"], model["champion"]) == (trained["version"], True)
        assert "by-author" in [source["source"] for source in model["config"]["sources"]]
        evaluated = json.loads(lemo("evaluate", "--scenario", "shop", "--format", "json").splitlines()[0])
        assert evaluated["champion_version"] == trained["version"]
        assert evaluated["champion"]["ndcg_at_10"] > 0.5

        # Served: what the user has not read of the author, though nobody who read others has read it.
        def served(user: str) -> dict[str, Any]:
            return dict(http.get(f"{SHOP}/recommendations", params={"user_id": user, "n": 3}).json())

        wait_for(lambda: served("u1")["model_version"] == trained["version"], SECONDS)
        own = {f"a1-{day}" for day in range(DAYS) if not (31 + 17 * day) % 10} | {"a1-unseen"}
        assert len(own) == 3
        first = served("u1")
        assert {item["item_id"] for item in first["items"]} == own
        assert first["degraded"] is False
        finished(http, "precompute-recommendations-4hours")

        # Without its package: the last answers go on, and who asks for more hears what is missing.
        environment.uv("uninstall", "lemo-by-author")
        environment.restart("api", "worker")
        wait_for(answers(lambda: served("u1")["degraded"]), SECONDS)
        assert [item["item_id"] for item in served("u1")["items"]] == [item["item_id"] for item in first["items"]]
        missing = " ".join(lemo("recommend", "--scenario", "shop", "--user", "u1", code=1).split())
        assert "No source 'by-author' is installed." in missing
        assert "train-model-daily" in missing

        # Training goes on without it, and says so.
        again = finished(http, "train-model-daily")["detail"]
        assert "'by-author' was left out" in again["without"]
        assert (again["promoted"], again["serving"]) == (True, again["version"])
        wait_for(lambda: served("u1")["model_version"] == again["version"], SECONDS)
        assert served("u1")["degraded"] is False
        back = http.post(f"{SHOP}/models/promote", json={"version": trained["version"]})
        assert (back.status_code, "'by-author'" in back.json()["detail"]) == (404, True)
