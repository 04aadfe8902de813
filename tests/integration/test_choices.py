"""Requests with wishes over HTTP: filters, boosts, pins, sessions, fields; and how soon a changed item counts."""

import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from lemo.domain.errors import InvalidInput
from lemo.domain.item import Item
from lemo.recommenders.similar_items import similar_items
from lemo.serving.service import RecommendationService
from shops import Shop, item, open_shop
from sites import ITEMS, touch, wait_for


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Shop]:
    with open_shop(tmp_path_factory.mktemp("shop"), redis_url) as site:
        yield site


def test_only_what_matches_is_answered_and_as_many_as_match(shop: Shop) -> None:
    touch(shop.stores, shop.scope, "u", ITEMS[0])
    plain = shop.ids(user_id="u", n=5)
    assert plain[:3] == ITEMS[1:4], "what follows item 0, as the model has it"
    assert shop.ids(user_id="u", n=5, filter='item.brand == "even"')[0] == ITEMS[2]
    cheap = shop.ids(user_id="u", n=50, filter="item.price < request.most", variables={"most": 6})
    assert sorted(cheap) == sorted(ITEMS[1:6]), "all that match, but for the one that was seen"
    assert set(shop.ids(user_id="u", filter='"last" in item.categories')) == set(ITEMS[-2:])
    assert shop.ids(user_id="u", filter="item.price > 1000") == []


def test_items_that_no_model_knows_fill_up_a_filtered_answer(shop: Shop) -> None:
    shop.write(Item(item_id="unheard-of", attributes={"brand": "rare", "price": 3.5}))
    wait_for(lambda: shop.ids(user_id="u", filter='item.brand == "rare"') == ["unheard-of"])
    (found,) = shop.ask(user_id="u", filter='item.brand == "rare"', fields=["brand", "price", "title"])["items"]
    expected = {"item_id": "unheard-of", "score": 0.0, "source": "other", "because": []}
    assert found == expected | {"reason": "from the catalogue", "brand": "rare", "price": 3.5, "title": ""}


def test_a_changed_item_counts_within_a_second(shop: Shop) -> None:
    wanted: dict[str, Any] = {"user_id": "new", "n": 50, "filter": "item.in_stock && item.price < 3"}
    assert set(shop.ids(**wanted)) == set(ITEMS[:3])
    shop.write(item(1, in_stock=False), item(2, is_active=False), item(5, price=0.5))
    wait_for(lambda: set(shop.ids(**wanted)) == {ITEMS[0], ITEMS[5]}, seconds=1)
    shop.write(*map(item, (1, 2, 5)))
    shop.write(item(2, is_active=True))
    wait_for(lambda: set(shop.ids(**wanted)) == set(ITEMS[:3]))


def test_a_lost_feed_is_made_up_for_from_the_documents(shop: Shop) -> None:
    wanted: dict[str, Any] = {"user_id": "new", "n": 50, "filter": "item.price == 7777"}
    assert shop.ids(**wanted) == []
    shop.write(item(4, price=7777))
    shop.stores.redis.delete(shop.stores.keys("item-feed", shop.scope.tenant_id, shop.scope.scenario_id))
    wait_for(lambda: shop.ids(**wanted) == [ITEMS[4]])
    shop.write(item(4), item(6, price=7777))
    wait_for(lambda: shop.ids(**wanted) == [ITEMS[6]])
    shop.write(item(6))


def test_a_session_stands_for_a_user_and_adds_to_one(shop: Shop) -> None:
    assert shop.ids(session=[ITEMS[9]], n=3) == ITEMS[10:13]
    assert ITEMS[9] not in shop.ids(session=[{"item_id": ITEMS[9], "action": "view"}], n=50)
    touch(shop.stores, shop.scope, "both", ITEMS[0])
    answer = shop.ask(user_id="both", session=[ITEMS[9]], n=6)
    assert {ITEMS[1], ITEMS[10]} <= {each["item_id"] for each in answer["items"]}
    assert {because for each in answer["items"] for because in each["because"]} == {ITEMS[0], ITEMS[9]}
    assert {each["source"] for each in answer["items"]} == {"similar"}


def test_boosts_pins_exclusions_and_repeats(shop: Shop) -> None:
    touch(shop.stores, shop.scope, "w", ITEMS[0])
    boost = [{"filter": "item.price == 15", "weight": 50}]
    assert shop.ids(user_id="w", n=3, boost=boost) == [ITEMS[15], ITEMS[1], ITEMS[2]]
    assert ITEMS[1] not in shop.ids(user_id="w", n=3, boost=[{"filter": "item.price == 1", "weight": -50}])
    answer = shop.ask(user_id="w", n=3, pin=[{"item_id": ITEMS[17], "position": 2}])["items"]
    assert [each["item_id"] for each in answer] == [ITEMS[1], ITEMS[17], ITEMS[2]]
    assert (answer[1]["source"], answer[1]["reason"]) == ("pinned", "chosen for you")
    shop.write(item(17, is_active=False))
    pin = [{"item_id": ITEMS[17], "position": 1}]
    wait_for(lambda: ITEMS[17] not in shop.ids(user_id="w", n=3, pin=pin))
    shop.write(item(17, is_active=True))
    mistyped = [{"item_id": "no such item", "position": 1}]
    assert shop.ids(user_id="w", n=2, pin=mistyped) == ITEMS[1:3]
    (first, *_) = shop.ask(user_id="w", n=2, fields=["item_id", "title"])["items"]
    assert (first["item_id"], first["title"]) == (ITEMS[1], "Item 1")
    assert shop.ids(user_id="w", n=2, exclude=[ITEMS[1]]) == ITEMS[2:4]
    assert ITEMS[0] not in shop.ids(user_id="w", n=50)
    assert ITEMS[0] in shop.ids(user_id="w", n=50, repeat="allow")
    assert ITEMS[0] in shop.ids(user_id="w", n=50, repeat=True), "as earlier versions said it"


def test_only_what_the_user_has_had_is_answered_where_that_is_wanted(shop: Shop) -> None:
    assert shop.ids(user_id="again", repeat="only") == []
    for number in (3, 8, 3):
        touch(shop.stores, shop.scope, "again", ITEMS[number])
    answer = shop.ask(user_id="again", n=10, repeat="only", explain=[ITEMS[3], ITEMS[5]])
    assert sorted(each["item_id"] for each in answer["items"]) == sorted([ITEMS[3], ITEMS[8]])
    assert {(each["source"], each["reason"]) for each in answer["items"]} == {("repeat", "you had it before")}
    why = {each["item_id"]: each["verdict"] for each in answer["explained"]}
    assert "it is due again" in why[ITEMS[3]]
    assert "has not had it" in why[ITEMS[5]]
    assert shop.ids(user_id="again", repeat="only", exclude=[ITEMS[3]]) == [ITEMS[8]]
    assert shop.ids(user_id="again", repeat="only", filter="item.price == 3") == [ITEMS[3]]
    refused = shop.ask("recommendations", 422, user_id="again", repeat="sometimes")
    assert "never" in str(refused)


def test_similar_items_of_several_and_what_the_current_one_costs(shop: Shop) -> None:
    rows = [[1, 2, 3], [2, 3, 4]] + [[-1] * 3] * (len(ITEMS) - 2)
    near = np.array(rows, dtype=np.int32), np.where(np.array(rows) >= 0, [0.9, 0.6, 0.3], 0).astype(np.float32)
    arrays, manifest = similar_items(ITEMS, near, None, 3).to_arrays()
    shop.stores.snapshots.publish(shop.scope, "similar", "1", arrays, manifest)
    shop.stores.snapshots.point(shop.scope, "similar", "1", time.time_ns())
    wait_for(lambda: shop.ids("similar", item_ids=[ITEMS[0]]) == ITEMS[1:4])
    assert shop.ids("similar", item_ids=ITEMS[:2]) == [ITEMS[2], ITEMS[3], ITEMS[4]], "by the sum of both"
    cheap = shop.ask("similar", item_ids=[ITEMS[1]], filter="item.price <= current.price + 2")["items"]
    assert [each["item_id"] for each in cheap] == [*ITEMS[2:4], ITEMS[0]]
    assert [each["source"] for each in cheap] == ["similar", "similar", "popular"], "what matches fills it up"
    assert "There is no item 'unknown'" in shop.ask("similar", 404, item_ids=["unknown"])["detail"]
    assert shop.ids("similar", item_ids=["unknown", ITEMS[0]]) == ITEMS[1:4]


def test_what_is_wrong_is_told(shop: Shop) -> None:
    def told(what: str = "recommendations", **body: Any) -> str:
        return str(shop.ask(what, status=422, **body)["detail"])

    assert "Did you mean price?" in told(user_id="u", filter="item.prise < 3")
    assert "user_id, or session" in told(n=3)
    assert "Did you mean filter" in told(user_id="u", filtr="x")
    assert 'needs "variables"' in told(user_id="u", filter="item.price < request.most")
    assert "variables are numbers, texts" in told(
        user_id="u", filter="item.price < request.a", variables={"a": {"b": 1}}
    )
    assert "current item only where similar" in told(user_id="u", filter="item.price < current.price")
    assert "twice" in told(user_id="u", pin=[{"item_id": "a", "position": 1}, {"item_id": "b", "position": 1}])
    assert "score" in told(user_id="u", fields=["score"])
    assert "Did you mean view" in told(session=[{"item_id": ITEMS[0], "action": "veiw"}])
    many: dict[str, Any] = {"filter": "item.price in request.many", "variables": {"many": list(range(1_001))}}
    assert "1,001 elements" in told(user_id="u", **many)


def test_attributes_have_types_that_can_be_settled(shop: Shop) -> None:
    path = f"/v1/scenarios/{shop.scope.scenario_id}"
    shop.ids(user_id="u", filter="true")

    def types() -> dict[str, str]:
        found = shop.http.get(f"{path}/attributes").json()
        return {each["name"]: each["type"] for each in found["attributes"]}

    assert types() == types() | {"price": "number", "brand": "text", "in_stock": "boolean", "categories": "list"}
    changed = shop.http.patch(path, json={"attribute_types": {"price": "text"}})
    assert changed.json()["attribute_types"] == {"price": "text"}, changed.text
    wait_for(lambda: types()["price"] == "text")
    assert shop.http.patch(path, json={"attribute_types": {"price": "money"}}).status_code == 422
    shop.http.patch(path, json={"attribute_types": {"price": None}})
    wait_for(lambda: types()["price"] == "number")


def test_many_users_are_answered_as_each_alone(shop: Shop) -> None:
    wishes: dict[str, Any] = {"n": 3, "filter": 'item.brand == "odd"', "fields": ["price"]}
    users = ["u", "w", "nobody"]
    answers = shop.ask("recommendations/batch", users=users, **wishes)["answers"]
    assert [each["user_id"] for each in answers] == users
    for each in answers:
        assert each["items"] == shop.ask(user_id=each["user_id"], **wishes)["items"]
    shop.ask("recommendations/batch", users=[], status=422)


def test_an_export_holds_only_what_matches(shop: Shop) -> None:
    with RecommendationService(shop.stores, watch=False) as served:
        answers = dict(served.recommend_many(shop.scope, ["u", "nobody"], 50, 'item.brand == "odd"'))
        with pytest.raises(InvalidInput):
            list(served.recommend_many(shop.scope, ["u"], 5, "item.prise > 1"))
    for user, answer in answers.items():
        found = [each.item_id for each in answer.items]
        asked = shop.ids(user_id=user, n=50, filter='item.brand == "odd"')
        assert set(found) == set(asked) - {"unheard-of"}, user
        assert set(found) <= set(ITEMS[1::2])


def test_items_are_looked_at_page_by_page_and_by_filter(shop: Shop) -> None:
    path = f"/v1/scenarios/{shop.scope.scenario_id}/items"
    shown = shop.http.get(path, params={"item_id": ITEMS[3]}).json()
    assert (shown["title"], shown["attributes"]["price"]) == ("Item 3", 3)
    assert shop.http.get(path, params={"item_id": "unknown"}).status_code == 404
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = shop.http.get(f"{path}/list", params={"limit": 7, "cursor": cursor}).json()
        assert len(page["items"]) <= 7
        seen += [each["item_id"] for each in page["items"]]
        cursor = page["cursor"]
    assert set(seen) >= set(ITEMS)
    assert seen == sorted(set(seen))
    dear = shop.http.get(f"{path}/list", params={"filter": "item.price >= 37 && item.price < 100"}).json()
    assert [each["item_id"] for each in dear["items"]] == ITEMS[37:]
    assert dear["total"] == 3
    assert shop.http.get(f"{path}/list", params={"filter": "item.prise > 1"}).status_code == 422


def test_items_are_searched_by_title_and_id_in_any_case(shop: Shop) -> None:
    def found(**query: Any) -> tuple[list[str], int]:
        page = shop.http.get(f"/v1/scenarios/{shop.scope.scenario_id}/items/list", params=query).json()
        return [each["item_id"] for each in page["items"]], page["total"]

    shop.write(
        Item(item_id="名/1", title="铸铁炒锅 GROSS"), Item(item_id="Untitled/ẞ"), Item(item_id="off/1", is_active=False)
    )
    wait_for(lambda: found(search="铁炒")[0] == ["名/1"])
    assert found(search="groß")[0] == ["名/1"]
    assert found(search="untitled/SS")[0] == ["Untitled/ẞ"]
    assert found(search="OFF/")[0] == ["off/1"]
    assert found(search="item 1", limit=3) == (sorted([ITEMS[1], *ITEMS[10:20]])[:3], 11)
    assert found(search="item 1", filter="item.price > 15", limit=3) == (ITEMS[16:19], 4)
    assert found(search="nothing has this") == ([], 0)
    shop.write(Item(item_id="off/1", deleted=True))
    wait_for(lambda: found(search="off/") == ([], 0))


def test_items_are_changed_and_deleted_through_the_log(shop: Shop) -> None:
    path = f"/v1/scenarios/{shop.scope.scenario_id}/items"
    topic = shop.stores.settings.kafka_item_ingest_topics[0]

    def published() -> dict[str, Any]:
        body: dict[str, Any] = json.loads(shop.stores.log.read_all(topic, 1)[0].value)
        return body

    place = {"tenant_id": shop.scope.tenant_id, "scenario_id": shop.scope.scenario_id, "item_id": ITEMS[3]}
    changed = shop.http.patch(path, params={"item_id": ITEMS[3]}, json={"in_stock": False, "title": None})
    assert changed.json() == {"accepted": 1, "rejected": []}
    assert published() == {**place, "title": "", "attributes": {"in_stock": False}}
    assert shop.http.delete(path, params={"item_id": ITEMS[3]}).status_code == 200
    assert published() == {**place, "deleted": True}
    shop.write(Item(item_id="short-lived"))
    shop.write(Item(item_id="short-lived", deleted=True))
    for gone in ("unknown", "short-lived"):
        assert shop.http.delete(path, params={"item_id": gone}).status_code == 404
        assert shop.http.patch(path, params={"item_id": gone}, json={}).status_code == 404
    wrong = shop.http.patch(path, params={"item_id": ITEMS[3]}, json={"tags": 7})
    assert (wrong.status_code, "tags" in wrong.json()["detail"]) == (422, True)
    assert shop.http.patch(path, params={"item_id": ITEMS[3]}, json={"item_id": "other"}).status_code == 422
    assert shop.http.patch(path, params={"item_id": ITEMS[3]}, json=[]).status_code == 422
