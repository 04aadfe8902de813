"""Experiments as people meet them over HTTP: arms on every path, the log, results, guardrails, shipping."""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from consumers import connected, consume, consumer_settings
from lemo.cli.main import app
from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.experiments import guardrails
from lemo.jobs.cleanup import drop_snapshots
from lemo.jobs.report import Report
from lemo.serving.service import RecommendationService
from lemo.settings import Settings
from lemo.stores.connect import Stores
from sites import ITEMS, begin_catalogue, model_of, publish_model, running_api, wait_for

N = 4
CLICKS = {"even": 0.5, "odd": 0.1}
"""How likely a user clicks an item that is shown, by its brand."""
EFFECT = N / 2 * (CLICKS["even"] - CLICKS["odd"])
"""Clicks per user that answers of even items alone bring more than those of both."""


class World:
    """A scenario with a model, a running API, and users who click."""

    def __init__(self, settings: Settings, stores: Stores, scope: Scope, http: httpx.Client) -> None:
        self.settings, self.stores, self.scope, self.http = settings, stores, scope, http
        self.path = f"/v1/scenarios/{scope.scenario_id}"

    def call(self, method: str, path: str = "", status: int = 200, **rest: Any) -> Any:
        response = self.http.request(method, f"{self.path}/experiments{path}", **rest)
        assert response.status_code == status, response.text
        return response.json()

    def create(self, **draft: Any) -> Any:
        return self.call("POST", status=201, json=draft)

    def order(self, name: str, status: int = 200, **order: Any) -> Any:
        return self.call("PATCH", status=status, json={"name": name, **order})

    def show(self, name: str) -> Any:
        return self.call("GET", "/show", params={"name": name})

    def recommend(self, user_id: str, **query: Any) -> Any:
        response = self.http.get(f"{self.path}/recommendations", params={"user_id": user_id, "n": N, **query})
        assert response.status_code == 200, response.text
        return response.json()

    def ask(self, what: str = "recommendations", **body: Any) -> Any:
        response = self.http.post(f"{self.path}/{what}", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    def send(self, events: list[dict[str, Any]]) -> None:
        response = self.http.post(f"{self.path}/events", json={"events": events})
        assert response.status_code == 200, response.text
        assert response.json()["accepted"] == len(events)

    def taken_in(self, answers: int) -> None:
        """Waits until the log and the consumer have taken all answers and events."""
        topic = self.settings.kafka_served_topic
        wait_for(lambda: sum(message.value.count(b'"answer":') for message in self.stores.log.scan(topic)) >= answers)
        consume(self.settings, self.stores)


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path, scope: Scope) -> Iterator[World]:
    settings = consumer_settings(request, "redis", tmp_path)
    with connected(settings, scope) as stores, opened(settings, stores, scope) as found:
        yield found


@contextmanager
def opened(settings: Settings, stores: Stores, scope: Scope) -> Iterator[World]:
    stores.events.migrate()
    begin_catalogue(stores, scope)
    for version, favourite in (("1", 20), ("2", 0)):
        arrays, manifest = model_of(favourite=favourite).to_arrays()
        stores.snapshots.publish(scope, "model", version, arrays, manifest)
    publish_model(stores, scope, "3", model_of())
    items = [
        Item(item_id=each, attributes={"brand": "even" if number % 2 == 0 else "odd", "price": number})
        for number, each in enumerate(ITEMS)
    ]
    now = [time.time_ns() // 1_000_000] * len(items)
    stores.items.upsert(scope, items, now)
    stores.availability.add(scope, items, now)
    key = stores.api_keys.create(scope.tenant_id).key
    with running_api(Stores(settings, interactive=True)) as address:
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=address, headers=headers, timeout=30, trust_env=False) as http:
            yield World(settings, stores, scope, http)


def brand(item_id: str) -> str:
    return "even" if ITEMS.index(item_id) % 2 == 0 else "odd"


def test_a_known_effect_is_found_and_an_arm_that_breaks_a_guardrail_stops_by_itself(world: World) -> None:
    made = world.create(
        name="evens",
        why="Are even items better?",
        metric="clicks_per_unit",
        guardrails=[{"metric": "empty_share"}, {"metric": "action.dislike"}],
        salt="seeded",
        arms=[
            {"name": "control"},
            {"name": "even", "pipeline": {"filter": 'item.brand == "even"'}},
            {"name": "broken", "pipeline": {"filter": "item.price < 0"}},
        ],
    )
    assert [arm.get("pipeline_version") for arm in made["arms"]] == [None, 1, 2]
    assert made["state"] == "draft"
    assert "arm" not in world.recommend("anybody"), "a draft serves nobody"
    assert world.show("evens")["plan"] is None, "nothing is known of its metric yet"
    started = world.order("evens", state="running")
    assert (started["state"], started["slice"]["end"]) == ("running", 1)
    wait_for(lambda: "arm" in world.recommend("anybody"))

    draw = random.Random(7)
    events: list[dict[str, Any]] = []
    users = [f"user {number}" for number in range(500)]
    for user in users:
        answer = world.recommend(user)
        assert answer["experiment"] == "evens"
        shown = [item["item_id"] for item in answer["items"]]
        assert len(shown) == (0 if answer["arm"] == "broken" else N)
        if answer["arm"] == "even":
            assert {brand(each) for each in shown} == {"even"}
            assert answer["pipeline_version"] == 1
        about = {"user_id": user, "request_id": answer["request_id"]}
        for each in shown:
            events.append(about | {"item_id": each, "action": "impression"})
            if draw.random() < CLICKS[brand(each)]:
                events.append(about | {"item_id": each, "action": "click"})
    stamp = time.time()
    world.send([event | {"timestamp": stamp} for event in events])
    world.taken_in(len(users) + 1)

    results = world.show("evens")["results"]
    assert not results["blocked"]
    assert (results["crossed"], results["units"]) == (0, len(users) + 1)
    arms = {arm["name"]: arm for arm in results["arms"]}
    assert arms["even"]["decision"] == "better", arms["even"]["words"]
    clicks = arms["even"]["metrics"]["clicks_per_unit"]
    assert clicks["low"] <= EFFECT <= clicks["high"]
    assert clicks["low"] > 0
    assert arms["even"]["metrics"]["ctr"]["value"] == pytest.approx(CLICKS["even"], abs=0.05)
    assert [each["broken"] for each in arms["broken"]["guardrails"]] == [True, False]
    assert not any(each["broken"] for each in arms["even"]["guardrails"])

    world.create(name="next", group="g", metric="clicks_per_unit", effect=0.2, arms=[{"name": "a"}, {"name": "b"}])
    plan = world.show("next")["plan"]
    asked = len(users) + 1
    assert plan["now"] == pytest.approx(sum(event["action"] == "click" for event in events) / asked)
    assert plan["units_per_day"] == pytest.approx(asked / 14)
    assert plan["units"] > plan["units_for_one_look"] > asked
    assert plan["days"] == pytest.approx(plan["units"] / plan["units_per_day"], abs=1)

    report = Report(lambda _: None, lambda: None, 1)
    done = guardrails.check(world.stores, world.scope, report)
    assert done.detail == {"experiments": 1, "stopped": "evens/broken"}
    stopped = world.show("evens")
    assert [bool(arm["stopped_at"]) for arm in stopped["experiment"]["arms"]] == [False, False, True]
    assert "empty_share is 1, in the control 0" in stopped["experiment"]["arms"][2]["stopped_why"]
    assert stopped["changes"][0]["changed_by"] == "guardrail"
    of_broken = next(user for user in users if made_arm(world, "evens", user) == "broken")
    wait_for(lambda: "arm" not in world.recommend(of_broken))
    assert len(world.recommend(of_broken)["items"]) == N, "it gets what is in service"
    of_even = next(user for user in users if made_arm(world, "evens", user) == "even")
    assert world.recommend(of_even)["arm"] == "even", "nobody else moves"
    assert guardrails.check(world.stores, world.scope, report).detail == {"experiments": 1}

    shipped = world.order("evens", state="shipped", arm="even")
    assert (shipped["state"], shipped["shipped_pipeline_version"]) == ("shipped", 3)
    wait_for(lambda: "arm" not in world.recommend(of_even))
    assert {brand(item["item_id"]) for item in world.recommend(of_broken)["items"]} == {"even"}, "for everybody"
    assert world.order("evens", state="stopped")["state"] == "stopped"
    wait_for(lambda: {brand(item["item_id"]) for item in world.recommend("x")["items"]} == {"even", "odd"})
    lines = world.http.get("/v1/audit", params={"limit": 20}).json()["lines"]
    told = [line["action"] for line in lines if line["subject"] == "evens"]
    assert told == [f"experiment.{each}" for each in ("take-back", "ship", "stop-arm", "start", "create")]


def made_arm(world: World, name: str, user: str) -> str | None:
    return world.stores.experiments.get(world.scope, name).assign(user).arm


def test_an_arm_answers_on_every_path_and_never_for_another(world: World) -> None:
    world.create(name="models", salt="s", arms=[{"name": "old"}, {"name": "new", "model_version": "1"}])
    world.order("models", state="running")
    users = [f"u{number}" for number in range(30)]
    wait_for(lambda: "arm" in world.recommend(users[0]))
    expected = {user: made_arm(world, "models", user) or "none" for user in users}
    assert set(expected.values()) == {"old", "new"}
    first = {"old": ITEMS[0], "new": ITEMS[20]}
    versions = {"old": "3", "new": "1"}
    for _ in range(2):
        for user, arm in expected.items():
            answers = [
                world.recommend(user),
                world.ask(user_id=user, n=N),
                world.ask(user_id=user, n=N, session_id="s"),
            ]
            for answer in answers:
                assert (answer["experiment"], answer["arm"], answer["model_version"]) == ("models", arm, versions[arm])
                assert answer["items"][0]["item_id"] == first[arm]
    many = world.ask("recommendations/batch", users=users, n=N)["answers"]
    assert {each["user_id"]: each["arm"] for each in many} == expected
    for what in ("popular", "latest"):
        assert "arm" not in world.http.get(f"{world.path}/{what}").json(), "nobody asks who could have an arm"
    assert "arm" not in world.ask(session=[ITEMS[0]], n=N), "a session has no user"
    world.create(name="visits", unit="session", group="visits", arms=[{"name": "a"}, {"name": "b"}])
    world.order("visits", state="running")
    wait_for(lambda: world.ask(session=[ITEMS[0]], session_id="visit", n=N).get("experiment") == "visits")
    assert world.recommend("u0", session_id="visit")["experiment"] == "models", "what started first decides"
    few = Stores(world.settings.model_copy(update={"snapshots_kept": 1}))
    assert drop_snapshots(few, world.scope, "model") == 0, "the oldest is an arm's"
    world.stores.snapshots.delete(world.scope, "model", "1")
    with RecommendationService(few, watch=False) as without:
        assert {without.recommend(world.scope, user, N).arm for user in users} == {None}, "all arms or none"
    few.close()
    assert world.recommend("u0")["arm"] == expected["u0"], "where the model is mapped it goes on"
    world.order("models", state="stopped", why="enough")
    wait_for(lambda: world.recommend("u0", session_id="visit").get("experiment") == "visits")
    again = {world.recommend("u0", session_id="visit")["arm"] for _ in range(5)}
    assert len(again) == 1


def test_arms_of_similar_and_popular_items_have_the_same_users_and_results_of_their_own(world: World) -> None:
    arms = [{"name": "all"}, {"name": "even", "pipeline": {"filter": 'item.brand == "even"'}}]
    world.create(name="lists", answers=["similar", "popular"], metric="ctr", guardrails=[], salt="s", arms=arms)
    world.order("lists", state="running")

    def asked(what: str, **query: Any) -> Any:
        response = world.http.get(f"{world.path}/{what}", params={"n": N, **query})
        assert response.status_code == 200, response.text
        return response.json()

    wait_for(lambda: "arm" in asked("popular", user_id="u0"))
    users = [f"u{number}" for number in range(12)]
    expected = {user: made_arm(world, "lists", user) for user in users}
    assert set(expected.values()) == {"all", "even"}
    events: list[dict[str, Any]] = []
    for user in users:
        for placement in ("home", "detail"):
            answer = asked("popular", user_id=user, placement=placement)
            assert (answer["experiment"], answer["arm"]) == ("lists", expected[user])
            brands = {brand(item["item_id"]) for item in answer["items"]}
            assert brands == ({"even"} if expected[user] == "even" else {"even", "odd"})
            about = {"user_id": user, "request_id": answer["request_id"], "item_id": answer["items"][0]["item_id"]}
            events.append(about | {"action": "impression"})
            if placement == "home":
                events.append(about | {"action": "click"})
        similar = [
            asked("similar", item_id=ITEMS[0], user_id=user),
            world.ask("similar", item_ids=[ITEMS[0]], n=N, user_id=user),
        ]
        assert {(each["experiment"], each["arm"]) for each in similar} == {("lists", expected[user])}
        assert "arm" not in world.recommend(user), "the experiment is on other answers"
    for what in ("popular", "latest"):
        assert "arm" not in asked(what), "nobody says who asks"
    assert "arm" not in asked("popular", session_id="visit"), "the unit is the user"
    world.send([event | {"timestamp": time.time()} for event in events])
    world.taken_in(5 * len(users) + 4)

    def shown(arm: int, **query: str) -> tuple[int, float | None, float | None]:
        response = world.call("GET", "/show", params={"name": "lists", **query})["results"]["arms"][arm]
        metrics = response["metrics"]
        return response["units"], metrics["ctr"]["value"], metrics["requests_per_unit"]["value"]

    of_even = list(expected.values()).count("even")
    assert shown(1)[:2] == (of_even, 0.5)
    assert shown(1, kind="popular", placement="home")[1] == 1
    assert shown(1, placement="detail")[1] == 0
    assert shown(1, kind="similar") == (of_even, None, 2)
    assert world.call("GET", "/show", params={"name": "lists", "kind": "newest"}, status=422)


def test_an_interleaving_tells_which_arm_users_prefer(world: World) -> None:
    arms = [{"name": "odd", "pipeline": {"filter": 'item.brand == "odd"'}},
            {"name": "even", "pipeline": {"filter": 'item.brand == "even"'}}]  # fmt: skip
    made = world.create(name="mixed", kind="interleaving", effect=0.3, salt="seeded", arms=arms)
    assert (made["kind"], made["guardrails"]) == ("interleaving", [])
    for wrong, word in (
        ({"arms": [*arms, {"name": "c"}]}, "two lists"),
        ({"arms": arms, "guardrails": [{"metric": "empty_share"}]}, "none can be blamed"),
        ({"arms": arms, "metric": "ctr"}, "clicks"),
        ({"arms": arms, "answers": ["popular"]}, "only recommendations"),
        ({"arms": [{**arms[0], "weight": 2}, arms[1]]}, "equal"),
    ):
        refused = world.call("POST", status=422, json={"name": "x", "kind": "interleaving", **wrong})
        assert word in refused["detail"], wrong
    assert world.show("mixed")["preference"] is None
    world.order("mixed", state="running")
    wait_for(lambda: "experiment" in world.recommend("u0"))
    draw = random.Random(7)
    events: list[dict[str, Any]] = []
    users = [f"user {number}" for number in range(150)]
    for number, user in enumerate(users):
        answer = world.recommend(user) if number % 2 else world.ask(user_id=user, n=N)
        assert answer["experiment"] == "mixed"
        assert "arm" not in answer, "it is of both"
        teams = [item["team"] for item in answer["items"]]
        assert sorted(teams) == ["even"] * (N // 2) + ["odd"] * (N // 2)
        assert teams == [brand(item["item_id"]) for item in answer["items"]]
        about = {"user_id": user, "request_id": answer["request_id"], "action": "click"}
        for item in answer["items"]:
            if draw.random() < CLICKS[brand(item["item_id"])]:
                events += [about | {"item_id": item["item_id"]}] * draw.randint(1, 2)
    stamp = time.time()
    world.send([{**event, "timestamp": stamp, "event_id": str(at)} for at, event in enumerate(events)])
    world.taken_in(len(users) + 1)

    clicked: dict[str, set[tuple[str, str]]] = {"odd": set(), "even": set()}
    for event in events:
        clicked[brand(event["item_id"])].add((event["request_id"], event["item_id"]))
    of = {name: Counter(request for request, _ in pairs) for name, pairs in clicked.items()}
    requests = {request for pairs in clicked.values() for request, _ in pairs}
    won = {
        name: sum(of[name][request] > of[other][request] for request in requests)
        for name, other in (("odd", "even"), ("even", "odd"))
    }
    found = world.show("mixed")["preference"]
    assert world.show("mixed")["results"] is None
    assert {arm["name"]: (arm["clicks"], arm["won"]) for arm in found["arms"]} == {
        name: (len(clicked[name]), won[name]) for name in won
    }
    assert (found["answers"], found["units"]) == (len(users) + 1, len(users) + 1)
    assert (found["deciding"], found["ties"]) == (sum(won.values()), len(requests) - sum(won.values()))
    assert found["share"] == pytest.approx(won["even"] / sum(won.values()))
    two = [(1 - p) ** 2 * q**2 + 2 * (1 - p) ** 2 * q * (1 - q) + 2 * p * (1 - p) * q**2 for p, q in
           ((CLICKS["odd"], CLICKS["even"]), (CLICKS["even"], CLICKS["odd"]))]  # fmt: skip
    assert found["low"] <= two[0] / sum(two) <= found["high"]
    assert found["decision"] == "better", found["words"]
    assert "Users prefer even to odd" in found["words"][1]
    groups = world.http.get(f"{world.path}/analytics", params={"group": "arm"}).json()["groups"]
    assert [(each["key"], each["values"]["requests"]) for each in groups] == [("mixed", len(users) + 1)]
    assert not world.stores.answer_log.answers(world.scope, 0, 2**42, 9), "no pipeline alone gave them"
    assert world.order("mixed", state="shipped", arm="even")["shipped_pipeline_version"] == 3


def test_what_its_state_does_not_allow_is_refused_and_groups_have_room_for_so_much(world: World) -> None:
    arms = [{"name": "a"}, {"name": "b"}]
    world.create(name="one", share=0.6, ramp=0.5, arms=arms)
    assert "Somebody" not in world.call("POST", status=409, json={"name": "one", "arms": arms})["detail"]
    world.create(name="two", share=0.6, arms=arms)
    world.order("one", state="running")
    assert "one has 60%" in world.order("two", status=409, state="running")["detail"]
    world.order("two", changes={"share": 0.4})
    world.order("two", state="running")
    slices = [world.stores.experiments.get(world.scope, name).slice for name in ("one", "two")]
    assert slices[0] is not None
    assert slices[1] is not None
    assert not slices[0].overlaps(slices[1])
    assert world.order("one", changes={"ramp": 0.8})["ramp"] == 0.8
    assert "may only grow" in world.order("one", status=409, changes={"ramp": 0.1})["detail"]
    assert "cannot be changed" in world.order("one", status=409, changes={"metric": "ctr"})["detail"]
    assert "cannot be changed" in world.order("one", status=422, changes={"colour": 1})["detail"]
    assert "only once" in world.order("one", status=409, state="running")["detail"]
    assert "control" in world.order("one", status=422, state="stopped", arm="a")["detail"]
    assert "no arm" in world.order("one", status=422, state="stopped", arm="c")["detail"]
    ended = world.order("one", state="stopped", arm="b", why="slow")
    assert (ended["state"], ended["ended_why"]) == ("stopped", "arm b: slow"), "the control alone is no experiment"
    assert "already" in world.order("one", status=409, state="stopped")["detail"]
    assert "in service already" in world.order("one", status=422, state="shipped", arm="b")["detail"]
    assert "Did you mean" in world.order("won", status=404, state="running")["detail"]
    assert world.order("one", status=422)["detail"].startswith("Give `state`")
    for wrong, word in (
        ({"name": "x", "arms": arms[:1]}, "at least 2"),
        ({"name": "x", "arms": [arms[0], arms[0]]}, "two have one name"),
        ({"name": "x", "arms": [arms[0], {"name": "b", "pipeline": {"colour": 1}}]}, "colour"),
        ({"name": "x", "arms": [arms[0], {"name": "b", "pipeline": {"filter": "item.nothing == 1"}}]}, "nothing"),
        ({"name": "x", "arms": arms, "metric": "latency_ms"}, "decided by"),
        ({"name": "x", "arms": arms, "guardrails": [{"metric": "sadness"}]}, "no metric"),
        ({"name": "a/b", "arms": arms}, "name"),
    ):
        assert word in world.call("POST", status=422, json=wrong)["detail"], wrong
    for missing in ({"pipeline_version": 9}, {"model_version": "9"}):
        world.call("POST", status=404, json={"name": "x", "arms": [arms[0], {"name": "b", **missing}]})
    assert [each["name"] for each in world.call("GET", params={"state": "running"})["experiments"]] == ["two"]


def test_the_command_line_does_the_same(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "even.yaml").write_text('filter: item.brand == "even"\n')
    for name, value in world.settings.model_dump(exclude_defaults=True).items():
        text = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        monkeypatch.setenv(f"LEMO_{name.upper()}", json.dumps(text) if isinstance(text, list) else str(text))
    monkeypatch.setenv("LEMO_KEY", world.http.headers["Authorization"].removeprefix("Bearer "))

    def lemo(*words: str, code: int = 0) -> Any:
        result = CliRunner().invoke(app, [*words, "--scenario", world.scope.scenario_id])
        assert result.exit_code == code, (result.output, result.exception)
        return result.output

    arms = ["--arm", "control", "--arm", f"even={tmp_path / 'even.yaml'}"]
    told = lemo("experiments", "create", "cli", *arms, "--set", "metric=ctr", "--start", "--format", "json")
    assert json.loads(told)["state"] == "running"
    assert "running" in lemo("experiments", "list")
    shown = json.loads(lemo("experiments", "show", "cli", "--format", "json"))
    assert {**shown, "results": None} == {**world.show("cli"), "results": None}
    assert "too early" in lemo("experiments", "show", "cli").lower()
    assert "shipped" in lemo("experiments", "ship", "cli", "--arm", "even")
    assert world.stores.pipelines.current(world.scope).version == 2
    lemo("experiments", "ship", "cli", "--back")
    lemo("experiments", "ship", "cli", code=2)
    (tmp_path / "whole.yaml").write_text("arms:\n- {name: a}\n- {name: b, pipeline_version: 1}\nramp: 0.5\n")
    made = json.loads(lemo("experiments", "create", "whole", "-f", str(tmp_path / "whole.yaml"), "--format", "json"))
    assert (made["ramp"], made["arms"][1]["pipeline_version"]) == (0.5, 1)
    lemo("experiments", "start", "whole")
    assert "0.75" in lemo("experiments", "edit", "whole", "--set", "ramp=0.75")
    assert "stopped" in lemo("experiments", "stop", "whole", "--why", "enough")
