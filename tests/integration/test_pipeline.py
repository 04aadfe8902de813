"""A scenario's pipeline over HTTP and by the command line: stages, versions, trial, explanation."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from lemo.domain.errors import NotFound
from lemo.domain.item import Item
from lemo.domain.pipeline import HotRealtime
from lemo.domain.realtime import HALF_LIVES, hot_level
from lemo.domain.request import RecommendationRequest
from lemo.serving.service import RecommendationService
from lemo.serving.trials import Trials, Variant
from shops import Shop, item, open_shop
from sites import ITEMS, model_of, touch, wait_for


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Shop]:
    with open_shop(tmp_path_factory.mktemp("shop"), redis_url) as site:
        touch(site.stores, site.scope, "u", ITEMS[0])
        yield site


@pytest.fixture(autouse=True)
def default(shop: Shop) -> Iterator[None]:
    """Each test begins and ends with the default."""
    yield
    version = put(shop, {})["version"]
    wait_for(lambda: bool(shop.ask(user_id="u")["pipeline_version"] == version))


def path(shop: Shop, more: str = "") -> str:
    return f"/v1/scenarios/{shop.scope.scenario_id}/pipeline{more}"


def put(shop: Shop, pipeline: dict[str, Any], status: int = 200, **more: Any) -> dict[str, Any]:
    response = shop.http.put(path(shop), json={"pipeline": pipeline, **more})
    assert response.status_code == status, response.text
    return dict(response.json())


def got(shop: Shop, what: str = "recommendations", **query: Any) -> list[str]:
    """What a plain GET answers."""
    wanted = {"user_id": "u"} if what == "recommendations" else {}
    response = shop.http.get(f"/v1/scenarios/{shop.scope.scenario_id}/{what}", params=wanted | query)
    assert response.status_code == 200, response.text
    return [each["item_id"] for each in response.json()["items"]]


def test_a_changed_pipeline_counts_within_a_second_on_every_path(shop: Shop) -> None:
    assert got(shop, n=3) == ITEMS[1:4]
    assert put(shop, {"filter": 'item.brand == "even"'})["pipeline"]["filter"] == 'item.brand == "even"'
    even = set(ITEMS[::2])
    wait_for(lambda: set(got(shop, n=5)) <= even, seconds=1)
    for what in ("popular", "latest"):
        assert set(got(shop, what, n=10)) <= even, what
    assert set(shop.ids(user_id="u", n=10)) <= even
    assert shop.ids(user_id="u", n=2, filter="item.price > 10") == [each for each in ITEMS[11:] if each in even][:2]
    with RecommendationService(shop.stores, watch=False) as served:
        ((_, answer),) = served.recommend_many(shop.scope, ["u"], 5)
        assert [each.item_id for each in answer.items] == got(shop, n=5), "export and request are the same"


def test_stages_make_the_answer_that_they_say(shop: Shop) -> None:
    put(shop, {"boost": [{"filter": "item.price == 30", "weight": 50}]})
    wait_for(lambda: got(shop, n=2) == [ITEMS[30], ITEMS[1]])
    put(shop, {"cap": [{"by": "brand", "most": 2}]})
    wait_for(lambda: got(shop, n=10) == ITEMS[1:5])
    put(shop, {"promote": [{"filter": "item.price >= 20 && item.price < 25", "share": 0.25}]})
    wait_for(lambda: len(set(got(shop, n=8)) & set(ITEMS[20:25])) == 2)
    promoted = [each for each in shop.ask(user_id="u", n=8)["items"] if each["source"] == "promoted"]
    assert [each["reason"] for each in promoted] == ["featured"] * 2
    put(shop, {"pin": [{"item_id": ITEMS[9], "position": 2}]})
    wait_for(lambda: got(shop, n=3) == [ITEMS[1], ITEMS[9], ITEMS[2]])
    theirs = shop.ids(user_id="u", n=3, pin=[{"item_id": ITEMS[8], "position": 2}])
    assert theirs == [ITEMS[1], ITEMS[8], ITEMS[2]], "a request's pin takes the place"


def test_fresh_items_rise_and_alike_ones_part(shop: Shop) -> None:
    now = datetime.now(UTC)
    shop.write(item(12, published_at=now - timedelta(hours=1)), item(13, published_at=now - timedelta(days=300)))
    put(shop, {"freshness": {"weight": 50, "half_life_days": 2}})
    wait_for(lambda: got(shop, n=2)[0] == ITEMS[12])
    assert got(shop, n=3)[1] == ITEMS[1], "an old one is not lifted"
    shop.write(item(12, published_at=None), item(13, published_at=None))
    put(shop, {"diversity": {"strength": 0.9, "by": ["brand"]}})
    wait_for(lambda: [int(each.split("/")[1]) % 2 for each in got(shop, n=2)] == [1, 0])
    answer = shop.ids(user_id="u", n=2, diversity=0)
    assert answer == ITEMS[1:3]


def test_newest_items_are_candidates_where_they_are_asked_for(shop: Shop) -> None:
    shop.write(Item(item_id="just came", attributes={"price": 99, "brand": "rare"}))
    pipeline = {"recall": {"newest": 5}, "boost": [{"filter": 'item.brand == "rare"', "weight": 50}]}
    put(shop, pipeline)
    wait_for(lambda: got(shop, n=1) == ["just came"])
    shop.write(Item(item_id="just came", deleted=True))
    wait_for(lambda: "just came" not in got(shop, n=40))


def test_what_is_hot_now_is_a_candidate_and_rises_by_its_heat(shop: Shop) -> None:
    now = time.time_ns() // 1_000_000
    assert HALF_LIVES.keys() == set(get_args(HotRealtime.model_fields["half_life"].annotation))
    put(shop, {"hot": {"weight": 50, "half_life": "10m"}})
    assert got(shop, n=3) == ITEMS[1:4], "nothing is hot yet"
    shop.write(Item(item_id="unknown to the model"))
    hot = {ITEMS[30]: hot_level(1, now, 600), "unknown to the model": hot_level(1, now - 300_000, 600)}
    shop.stores.hot_scores.raise_to(shop.scope, {"10m": hot, "1h": {ITEMS[20]: 9.0}}, now)
    wait_for(lambda: got(shop, n=3) == [ITEMS[30], "unknown to the model", ITEMS[1]])
    answer = shop.ask(user_id="u", n=3)
    assert datetime.fromisoformat(answer["hot_until"]) == datetime.fromtimestamp(now / 1000, UTC)
    assert [each["source"] for each in answer["items"]] == ["popular", "hot", "similar"]
    assert got(shop, n=1, user_id="stranger") == [ITEMS[30]]
    shop.write(item(30, is_active=False))
    wait_for(lambda: got(shop, n=1) == ["unknown to the model"])
    shop.write(item(30, is_active=True), Item(item_id="unknown to the model", deleted=True))
    put(shop, {"hot": {"half_life": "2h"}}, status=422)


def test_every_version_is_kept_and_can_come_back(shop: Shop) -> None:
    first = put(shop, {"filter": "item.price > 5"}, why="no cheap things")
    second = put(shop, {"filter": "item.price > 6"}, after=first["version"])
    assert put(shop, {}, status=409, after=first["version"])["detail"].startswith("Somebody else")
    back = shop.http.post(path(shop, "/rollback"), json={}).json()
    assert (back["version"], back["pipeline"]) == (second["version"] + 1, first["pipeline"])
    assert back["why"] == f"back to version {first['version']}"
    newest, *_, oldest = shop.http.get(path(shop, "/history")).json()["versions"]
    assert (newest["version"], oldest["version"]) == (back["version"], 1)
    assert "API (key " in newest["changed_by"]
    patched = shop.http.patch(path(shop), json={"filter": None, "diversity": {"strength": 0.5}}).json()
    assert patched["pipeline"]["filter"] is None
    assert patched["pipeline"]["diversity"] == {"strength": 0.5, "by": ["categories"]}
    assert shop.http.post(path(shop, "/rollback"), json={"version": 9_999}).status_code == 404


@pytest.mark.parametrize(
    ("pipeline", "words"),
    [
        ({"filtr": "x"}, ["filtr", "Did you mean filter"]),
        ({"filter": "item.prise > 1"}, ["filter", "Did you mean price"]),
        ({"boost": [{"filter": "item.price > 1", "weight": 1}, {"filter": "item.", "weight": 1}]}, ["boost.1.filter"]),
        ({"boost": [{"filter": "item.price > 1", "wait": 1}]}, ["boost.0.wait", "Did you mean weight"]),
        ({"cap": [{"by": "athor", "most": 1}]}, ["cap.0.by", "Did you mean author"]),
        ({"diversity": {"strength": 2}}, ["diversity.strength", "less than or equal to 1"]),
        ({"promote": [{"filter": "true", "share": 0.7}, {"filter": "true", "share": 0.7}]}, ["more than 1 together"]),
        ({"filter": "item.price < request.most"}, ["filter", "most"]),
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_a_pipeline_that_does_not_fit_is_refused_with_its_place(
    shop: Shop, pipeline: dict[str, Any], words: list[str]
) -> None:
    told = json.dumps(put(shop, pipeline, status=422))
    for word in words:
        assert word in told


def test_variables_stand_in_for_what_a_request_does_not_say(shop: Shop) -> None:
    put(shop, {"filter": "item.price < request.most", "variables": {"most": 4}})
    wait_for(lambda: got(shop, n=10) == ITEMS[1:4])
    assert set(shop.ids(user_id="u", n=10, variables={"most": 3})) == {ITEMS[1], ITEMS[2]}


def test_a_trial_shows_before_and_after_and_changes_nothing(shop: Shop) -> None:
    body = {"pipeline": {"filter": 'item.brand == "even"'}, "user_id": "u", "n": 3}
    tried = shop.http.post(path(shop, "/check"), json=body).json()
    assert [each["item_id"] for each in tried["before"]["items"]] == ITEMS[1:4]
    assert tried["after"]["items"][0]["item_id"] == ITEMS[2]
    assert got(shop, n=3) == ITEMS[1:4]


def test_another_model_and_another_version_answer_beside_those_in_service(shop: Shop) -> None:
    arrays, manifest = model_of(favourite=20).to_arrays()
    shop.stores.snapshots.publish(shop.scope, "model", "2", arrays, manifest)
    version = put(shop, {"filter": 'item.brand == "odd"'})["version"]
    put(shop, {})
    with RecommendationService(shop.stores) as service:
        trials = Trials(shop.stores, service.choices)

        def ids(variant: Variant, user: str = "nobody") -> tuple[str | None, int, list[str]]:
            answer = trials.recommend(shop.scope, RecommendationRequest(user_id=user, n=2), {}, variant)
            return answer.model_version, answer.pipeline_version, [each.item_id for each in answer.items]

        assert ids(Variant())[::2] == ("1", [ITEMS[0], ITEMS[1]])
        assert ids(Variant(model_version="2"))[::2] == ("2", [ITEMS[20], ITEMS[21]])
        assert ids(Variant(pipeline_version=version)) == ("1", version, [ITEMS[1], ITEMS[3]])
        assert ids(Variant("2", version)) == ("2", version, [ITEMS[21], ITEMS[23]])
        assert ids(Variant(pipeline_version=0))[1:] == (0, [ITEMS[0], ITEMS[1]])
        for unknown in (Variant(model_version="3"), Variant(pipeline_version=10_000)):
            with pytest.raises(NotFound):
                ids(unknown)


def test_it_is_explained_why_an_item_is_answered_and_why_not(shop: Shop) -> None:
    shop.write(item(7, is_active=False))
    wait_for(lambda: ITEMS[7] not in got(shop, n=40))

    def why(item_id: str, **wishes: Any) -> str:
        (found,) = shop.ask(user_id="u", explain=[item_id], **wishes)["explained"]
        assert (found["position"] is None) == found["verdict"].startswith("It is not answered")
        return str(found["verdict"])

    assert why(ITEMS[1], n=3) == "It is answered at place 1."
    assert "switched off" in why(ITEMS[7])
    assert "seen" in why(ITEMS[0])
    assert "the request excludes it" in why(ITEMS[2], exclude=[ITEMS[2]])
    assert "request filter" in why(ITEMS[1], filter="item.price > 30")
    assert "by its score it is at place" in why(ITEMS[30], n=3)
    assert "does not know it" in why("no such item", n=3)
    assert "of the candidates, and 2 are answered" in why(
        ITEMS[5], n=2, boost=[{"filter": "item.price == 9", "weight": 9}]
    )
    put(shop, {"cap": [{"by": "brand", "most": 1}], "filter": "item.price != 2"})
    wait_for(lambda: len(got(shop, n=10)) == 2)
    assert "at most 1 items of one brand" in why(ITEMS[3])
    assert "pipeline filter" in why(ITEMS[2])
    (step, *_) = shop.ask(user_id="u", explain=[ITEMS[1]])["explained"][0]["steps"]
    assert (step["stage"], step["place"]) == ("recall", 1)
    assert "explained" not in shop.ask(user_id="u")
    shop.write(item(7, is_active=True))


def test_a_rule_that_fits_no_more_is_left_out_and_told(shop: Shop) -> None:
    put(shop, {"boost": [{"filter": "item.price == 30", "weight": 50}]})
    wait_for(lambda: got(shop, n=1) == [ITEMS[30]])
    settled = shop.http.patch(f"/v1/scenarios/{shop.scope.scenario_id}", json={"attribute_types": {"price": "text"}})
    assert settled.status_code == 200
    wait_for(lambda: got(shop, n=3) == ITEMS[1:4])
    assert shop.ask(user_id="u")["degraded"] is True
    shop.http.patch(f"/v1/scenarios/{shop.scope.scenario_id}", json={"attribute_types": {"price": None}})
    wait_for(lambda: got(shop, n=1) == [ITEMS[30]])


def test_precomputed_candidates_are_ordered_like_computed_ones(shop: Shop) -> None:
    put(shop, {"diversity": {"strength": 0.6, "by": ["brand"]}, "cap": [{"by": "brand", "most": 6}]})
    wait_for(lambda: shop.ask(user_id="u")["pipeline_version"] == shop.http.get(path(shop)).json()["version"])
    computed = shop.ask(user_id="u", n=12)["items"]
    with RecommendationService(shop.stores, watch=False) as served:
        for batch in served.precompute(shop.scope, ["u"]):
            shop.stores.precomputed.write_many(shop.scope, batch.answers, batch.marks)
    stored = shop.ask(user_id="u", n=12)["items"]
    assert [each["item_id"] for each in stored] == [each["item_id"] for each in computed]
    assert got(shop, n=12) == [each["item_id"] for each in computed]


def test_a_file_with_a_fault_is_told_with_its_line(tmp_path: Path) -> None:
    from lemo.domain.errors import InvalidInput
    from lemo.files.pipeline_file import PipelineFile

    def told(text: str) -> str:
        file = tmp_path / "pipeline.yaml"
        file.write_text(text, encoding="utf-8")
        with pytest.raises(InvalidInput) as error:
            PipelineFile(file)
        return str(error.value)

    assert "line 4: boost.1.weight: input should be a valid number" in told(
        "filter: item.in_stock\nboost:\n  - {filter: item.a, weight: 1}\n  - {filter: item.b, weight: much}\n"
    )
    assert "line 2: diversitty" in told("filter: item.in_stock\ndiversitty: {strength: 1}\n")
    assert "line 4: expected" in told("filter: item.in_stock\nboost:\n  - {filter: [\n")
    assert "must be an object" in told("- 1\n")
    good = tmp_path / "good.yaml"
    good.write_text('{"filter": "item.in_stock", "pin": [{"item_id": "a", "position": 1}]}')
    assert PipelineFile(good).pipeline.filter == "item.in_stock"


def test_two_processes_that_change_it_at_once_make_two_versions_or_one_conflict(shop: Shop) -> None:
    from concurrent.futures import ThreadPoolExecutor

    before = shop.http.get(path(shop)).json()["version"]
    with ThreadPoolExecutor(8) as pool:
        codes = list(
            pool.map(
                lambda n: shop.http.put(path(shop), json={"pipeline": {"filter": f"item.price > {n}"}}).status_code,
                range(8),
            )
        )
    after = shop.http.get(path(shop)).json()["version"]
    assert set(codes) <= {200, 409}
    assert after - before == codes.count(200)
