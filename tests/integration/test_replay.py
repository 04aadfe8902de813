"""Replays: a pipeline's click rate from the log of another, where clicks depend on the item alone and are known."""

import json
import random
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from lemo.cli.main import app
from lemo.domain.errors import NotFound
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.pipeline import Pipeline
from lemo.domain.scope import Scope
from lemo.experiments.replay import evaluated, replay
from lemo.serving.replayed import Replayed
from lemo.serving.service import RecommendationService
from lemo.settings import Settings
from lemo.stores.clickhouse.answer_log import LoggedAnswer, Reward
from lemo.stores.clickhouse.served import ServedRow
from lemo.stores.connect import Stores
from servers import new_database
from sites import ITEMS, add_scenario, model_of, publish_model

CLICKS = {"even": 0.5, "odd": 0.1}
NOW = datetime.now(UTC)


def brand(item_id: str) -> str:
    return "even" if ITEMS.index(item_id) % 2 == 0 else "odd"


@pytest.fixture(scope="module")
def stores(redis_url: str, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    settings = Settings(
        home=tmp_path_factory.mktemp("home"),
        installation=f"test{uuid.uuid4().hex[:12]}",
        redis_url=SecretStr(redis_url),
        clickhouse_url=SecretStr(clickhouse_url),
        clickhouse_database=new_database("replay"),
    )
    settings.state.mkdir(parents=True, exist_ok=True)
    opened = Stores(settings)
    opened.events.migrate()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def served(stores: Stores) -> tuple[Scope, str]:
    """A scenario of which 600 users were answered by the model, and clicked by the brand of the item."""
    scope, key = add_scenario(stores)
    publish_model(stores, scope, "1", model_of())
    items = [Item(item_id=each, attributes={"brand": brand(each)}) for each in ITEMS]
    stores.items.upsert(scope, items, [1] * len(items))
    stores.availability.add(scope, items, [1] * len(items))
    draw, rows, events = random.Random(3), [], []
    began = time.time() - 3_600
    for number in range(600):
        user, at = f"u{number}", began + number
        liked = draw.choice(ITEMS[:20])
        events.append(Event(user_id=user, item_id=liked, action="like", timestamp=at - 60))
        of_answer: dict[str, Any] = {"user_id": user, "request_id": f"r{number}"}
        shown = [ITEMS[(ITEMS.index(liked) + step) % len(ITEMS)] for step in (1, 2, 3)]
        rows.append(answer(scope, f"r{number}", user, at, shown))
        clicked = [each for each in shown if draw.random() < CLICKS[brand(each)]]
        events += [Event(item_id=each, action="click", timestamp=at + 5, **of_answer) for each in clicked]
    stores.served.insert(rows)
    stores.events.insert([(scope, event) for event in events])
    return scope, key


def answer(scope: Scope, request_id: str, user_id: str, at: float, items: list[str]) -> ServedRow:
    rest: dict[str, Any] = {"session": [], "of_items": [], "placement": "", "experiment": "", "arm": ""}
    return ServedRow(
        tenant_id=scope.tenant_id,
        scenario_id=scope.scenario_id,
        at=round(at * 1000),
        request_id=request_id,
        kind="recommendations",
        user_id=user_id,
        item_ids=items,
        sources=["similar"] * len(items),
        explored=[False] * len(items),
        propensities=[None] * len(items),
        model_version="1",
        pipeline_version=0,
        degraded=False,
        took_us=100,
        share=1.0,
        **rest,
    )


def test_users_are_answered_as_they_were_and_what_was_shown_is_shown_again(
    stores: Stores, served: tuple[Scope, str]
) -> None:
    with RecommendationService(stores, watch=False) as service:
        found = replay(stores, service.choices, served[0], Pipeline())
    assert (found.answers, found.rows, found.left_out) == (600, 1_800, 0)
    assert found.reproduced == found.overlap == 1, "clicks of later hide nothing"
    for each in found.estimates[:2]:
        assert each.value == pytest.approx(found.logged), "the same pipeline earns the same"
        assert not each.warnings
    assert found.estimates[2].value == pytest.approx(found.logged, abs=0.01)
    assert not found.warnings


def test_what_the_log_has_shown_too_seldom_is_told(stores: Stores, served: tuple[Scope, str], tmp_path: Path) -> None:
    """The true click rate of even items is in the intervals of what was shown; IPS counts the rest as nothing."""
    with RecommendationService(stores, watch=False) as service:
        found = replay(stores, service.choices, served[0], Pipeline(filter='item.brand == "even"'))
    ips, snips, robust = found.estimates
    assert 0.3 < found.overlap < 0.7
    assert snips.low < CLICKS["even"] < snips.high
    assert abs(robust.value - CLICKS["even"]) < 0.1
    assert ips.value < snips.value
    assert any("The mean weight is" in line for line in snips.warnings)
    assert 700 < snips.effective < 1_100


def test_the_command_tells_the_same(
    stores: Stores, served: tuple[Scope, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "even.yaml").write_text('filter: item.brand == "even"\n')
    for name, value in stores.settings.model_dump(exclude_defaults=True).items():
        monkeypatch.setenv(f"LEMO_{name.upper()}", getattr(value, "get_secret_value", lambda value=value: str(value))())
    monkeypatch.setenv("LEMO_KEY", served[1])
    words = ["replay", "--scenario", served[0].scenario_id, "--pipeline", str(tmp_path / "even.yaml")]
    told = CliRunner().invoke(app, [*words, "--format", "json"])
    assert told.exit_code == 0, (told.output, told.exception)
    assert json.loads(told.stdout)["rows"] == 1_800
    table = CliRunner().invoke(app, words)
    assert "snips" in table.output
    assert "Warning" in table.output
    (tmp_path / "even.yaml").write_text("filter: item.nothing == 1\n")
    assert "nothing" in str(CliRunner().invoke(app, words).exception)


def test_without_a_log_it_is_said(stores: Stores) -> None:
    scope, _ = add_scenario(stores)
    with RecommendationService(stores, watch=False) as service, pytest.raises(NotFound, match="were logged"):
        replay(stores, service.choices, scope, Pipeline())


def test_explored_places_are_weighed_by_their_propensities() -> None:
    """Half of the new items are clicked; the target shows all of them alike, the log showed the bad ones more often."""
    draw = random.Random(5)
    answers, rewards, target = [], {}, []
    for number in range(4_000):
        good = draw.random() < 0.2
        item = "good" if good else "bad"
        answers.append(LoggedAnswer(0, f"r{number}", f"u{number}", [item], [0.2 if good else 0.8], [True]))
        target.append(Replayed(frozenset(), frozenset({"good", "bad"}), 0.5, 1))
        if draw.random() < (0.6 if good else 0.2):
            rewards[f"r{number}", item] = Reward(True, False, 0.0)
    found = evaluated(answers, rewards, target, target, "clicks", NOW, NOW)
    assert found.logged == pytest.approx(0.28, abs=0.03)
    for each in found.estimates:
        assert each.low < 0.4 < each.high
        assert not each.warnings
    assert found.overlap == pytest.approx(1, abs=0.05)
    unknown = [replace_propensity(each) for each in answers[:1_000]] + answers[1_000:]
    left = evaluated(unknown, rewards, target, target, "clicks", NOW, NOW)
    assert (left.left_out, left.rows) == (1_000, 3_000)


def replace_propensity(logged: LoggedAnswer) -> LoggedAnswer:
    return logged._replace(propensities=[None])
