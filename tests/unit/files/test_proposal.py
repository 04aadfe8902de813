"""Which scenario fits some files."""

import json
from pathlib import Path

import pytest

from lemo.domain.errors import InvalidInput
from lemo.files.proposal import proposed

EVENTS = "visitorid,itemid,event,timestamp\n"


def test_a_shop(tmp_path: Path) -> None:
    events = tmp_path / "events.csv"
    words = ["view"] * 5 + ["addtocart", "transaction", "Remove From Cart", "wish", "❤"]
    events.write_text(EVENTS + "".join(f"u,{n},{word},1433221332117\n" for n, word in enumerate(words)))
    items = tmp_path / "items.jsonl"
    rows = [
        {
            "itemid": n,
            "name": "x",
            "price": f"{n}.5",
            "sku": f"00{n}",
            "sizes": ["s"],
            "fair": True,
            "made": "2020-01-01",
        }
        for n in range(3)
    ]
    items.write_text("\n".join(json.dumps(row | {"dimensions": {"w": 1}}) for row in rows))
    proposal = proposed("shop", [items, events])
    scenario = proposal.scenario
    assert scenario.template == "ecommerce"
    assert scenario.actions["cart"].weight == 3
    assert (scenario.actions["remove_from_cart"].weight, scenario.actions["wish"].weight) == (0, 1)
    assert scenario.attribute_types == {
        "price": "number",
        "sku": "text",
        "sizes": "list",
        "fair": "boolean",
        "made": "timestamp",
    }
    told = " ".join(proposal.notes)
    assert "7 of 10 events" in told
    assert "wish is a new action" in told
    assert "1 words are no actions" in told
    assert "'❤'" in told


@pytest.mark.parametrize(
    ("words", "template"),
    [
        (["play", "skip", "finish"], "music"),
        (["enroll", "play"], "education"),
        (["read", "comment"], "news"),
        (["follow", "play"], "vlog"),
        (["view", "click"], "custom"),
        (["order"], "ecommerce"),
        (["view", "purchase", "remove_from_cart"], "ecommerce"),
    ],
)
def test_templates(words: list[str], template: str, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(EVENTS + "".join(f"u,i,{word},1433221332117\n" for word in words))
    assert proposed("s", [path]).scenario.template == template
    assert proposed("s", [path], "news").scenario.template == "news"


def test_ratings_and_files_that_are_neither(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,2,4,1433221332\n")
    scenario = proposed("films", [tmp_path / "ratings.csv"]).scenario
    assert scenario.actions["rate"].scale == "auto"
    (tmp_path / "timeless.csv").write_text("user_id,book_id,rating\n1,2,4\n")
    proposal = proposed("books", [tmp_path / "timeless.csv"])
    assert "holds no times: import it with `--no-time`" in proposal.notes[0]
    assert "knows the actions of 1 of 1 events" in proposal.notes[1]
    (tmp_path / "tags.csv").write_text("userId,movieId,tag,timestamp\n1,2,fun,1433221332\n")
    with pytest.raises(InvalidInput, match="no column action") as caught:
        proposed("films", [tmp_path / "tags.csv"])
    assert "--template" in caught.value.hint
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InvalidInput, match="no column user_id, item_id"):
        proposed("films", [tmp_path / "x.csv"])


def test_what_is_proposed_reads_the_files(tmp_path: Path) -> None:
    from lemo.domain.event import Event
    from lemo.files.reading import Reading

    path = tmp_path / "events.csv"
    path.write_text(EVENTS + "u,1,Add Wishlist,1433221332117\nu,2,VIEW,1433221332117\nu,3,buy,1433221332117\n")
    actions = proposed("shop", [path]).scenario.actions
    events: list[Event] = list(Reading(path, Event, lambda event: event, actions=actions))
    assert [event.action for event in events][:2] == ["add_wishlist", "view"]
    assert {event.action for event in events} <= set(actions)
