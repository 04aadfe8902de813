"""Of several versions of an item in one batch, only the one that is written counts as accepted."""

import json

from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.ingest.batch import Batch
from lemo.streams import Record

SCOPE = Scope("tenant", "shop")
ARRIVED = 1_700_000_000_000


def batch_of(*versions: int) -> Batch:
    batch = Batch()
    for position, version in enumerate(versions):
        record = Record("items", 3, str(position), ARRIVED, b"", b"", {})
        batch.add_item(SCOPE, Item(item_id="i", updated_at=version), record)
    return batch


def outcomes(batch: Batch, *accepted: str) -> list[tuple[str, str]]:
    (message,) = batch.results({SCOPE: accepted})
    return [(result["offset"], result["outcome"]) for result in json.loads(message.value)["items"]]


def test_a_version_that_was_outdone_in_its_batch_is_stale() -> None:
    batch = batch_of(ARRIVED - 20_000, ARRIVED - 10_000, ARRIVED - 15_000)
    assert outcomes(batch, "i") == [("0", "stale"), ("1", "accepted"), ("2", "stale")]
    assert outcomes(batch) == [("0", "stale"), ("1", "stale"), ("2", "stale")]


def test_of_equal_versions_the_later_one_is_accepted() -> None:
    assert outcomes(batch_of(ARRIVED, ARRIVED), "i") == [("0", "stale"), ("1", "accepted")]


def test_long_lists_of_results_are_shared_out_in_order() -> None:
    messages = batch_of(*range(ARRIVED - 450, ARRIVED)).results({SCOPE: {"i"}})
    assert [message.key for message in messages] == [b"tenant/shop"] * 5
    told = [json.loads(message.value) for message in messages]
    assert {(body["tenant_id"], body["scenario_id"]) for body in told} == {("tenant", "shop")}
    assert [result["offset"] for body in told for result in body["items"]] == [str(number) for number in range(450)]
