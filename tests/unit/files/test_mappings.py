"""How a file was read can be kept under a name, and reads the next file of its kind without a word."""

from pathlib import Path
from typing import Any

import pytest

from lemo.domain.errors import InvalidInput
from lemo.domain.event import Event
from lemo.domain.file_mapping import FileMapping, replacing
from lemo.domain.scenario import Scenario, edited, scenario_from_template
from lemo.files.kept_mapping import mapping_of, wishes_of_mapping
from lemo.files.plan import Wishes
from lemo.files.reading import Reading

ACTIONS = ("view", "purchase", "rate")


def _same(row: Any) -> Any:
    return row


def opened(path: Path, content: str, wishes: Wishes) -> Reading[Event]:
    path.write_text(content)
    return Reading(path, Event, _same, wishes=wishes, actions=ACTIONS)


def test_what_was_said_and_guessed_is_kept_and_reads_the_next_file(tmp_path: Path) -> None:
    said = Wishes(fields={"item_id": "ware"}, words={"4": "purchase", "1": "view"}, order="dmy")
    with pytest.raises(InvalidInput, match="has no column action"):  # numbers that nobody explains are no words
        opened(tmp_path / "b.csv", "user;ware;type;date\nu;i;4;1.2.2019\n", Wishes(fields={"item_id": "ware"}))
    first = opened(tmp_path / "a.csv", "kunde;user;ware;type;date;colour\n7;u;i;4;1.2.2019;red\n", said)
    (event,) = first
    assert (event.user_id, event.item_id, event.action, event.timestamp.month) == ("u", "i", "purchase", 2)
    mapping = mapping_of("events", first.plan, said)
    assert mapping.fields == {"user_id": "user", "item_id": "ware", "action": "type", "timestamp": "date"}
    wishes = wishes_of_mapping("m", FileMapping.model_validate(mapping.model_dump()), "events")
    # A column `customer` would be guessed for user_id, were nothing kept; of the columns kept, `colour` never was one.
    again = opened(tmp_path / "c.csv", "customer;user;ware;type;date\nx;v;j;1;2.3.2019\n", wishes)
    (event,) = again
    assert (event.user_id, event.item_id, event.action) == ("v", "j", "view")
    assert event.attributes == {"customer": "x"}
    assert again.plan.guessed == set()


def test_a_column_that_is_gone_is_told_and_one_that_is_needed_refused(tmp_path: Path) -> None:
    wishes = wishes_of_mapping("m", FileMapping(kind="events", fields={"user_id": "u", "value": "stars"}), "events")
    head = "u,item_id,action,timestamp\n"
    reading = opened(tmp_path / "a.csv", f"{head}u,i,view,1569938523\n", wishes)
    assert [event.user_id for event in reading] == ["u"]
    assert reading.plan.notes == ["There is no column stars, so nothing has a value."]
    with pytest.raises(InvalidInput, match="has no column 'u'"):
        opened(tmp_path / "b.csv", "user_id,item_id,action,timestamp\nu,i,view,1569938523\n", wishes)
    with pytest.raises(InvalidInput, match="is one of events"):
        wishes_of_mapping("m", FileMapping(kind="events"), "items")


def test_a_mapping_of_the_documented_columns_reads_as_without_one(tmp_path: Path) -> None:
    content = "user_id,item_id,action,timestamp,value\nu,i,rate,1569938523,NaN\nu,j,rate,1569938523,4\n"
    plain = opened(tmp_path / "a.csv", content, Wishes())
    kept = mapping_of("events", plain.plan, Wishes())
    again = opened(tmp_path / "a.csv", content, wishes_of_mapping("m", kept, "events"))
    assert list(again) == list(plain)
    assert again.rejects.count == plain.rejects.count == 1


def test_a_mapping_takes_the_place_of_another_whole() -> None:
    old = FileMapping(kind="events", fields={"user_id": "a", "value": "b"}, words={"4": "purchase"}, date_order="dmy")
    new = FileMapping(kind="events", fields={"user_id": "c"}, no_time=True)
    scenario = edited(scenario_from_template("shop", "ecommerce"), {"mappings": {"m": replacing(None, old)}})
    assert scenario.mappings == {"m": old}
    scenario = edited(scenario, {"mappings": {"m": replacing(old, new)}})
    assert Scenario.model_validate(scenario.model_dump(mode="json")).mappings == {"m": new}
    assert edited(scenario, {"mappings": {"m": None}}).mappings == {}
