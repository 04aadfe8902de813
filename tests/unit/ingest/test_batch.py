"""Each write of an item has a result of its own, in the order of the log."""

import json
from collections.abc import Sequence

from lemo.domain.item import Item
from lemo.domain.scope import Scope
from lemo.ingest.batch import Batch
from lemo.streams import Record

SCOPE = Scope("tenant", "shop")
ARRIVED = 1_700_000_000_000


def batch_of(*versions: int) -> Batch:
    records = [Record("items", 3, str(position), ARRIVED, b"", b"", {}) for position in range(len(versions))]
    writes = [
        (Item(item_id="i", updated_at=version), record) for version, record in zip(versions, records, strict=True)
    ]
    return Batch(items={SCOPE: writes})


def outcomes(batch: Batch, accepted: Sequence[bool]) -> list[tuple[str, str]]:
    (message,) = batch.results({SCOPE: accepted})
    return [(result["offset"], result["outcome"]) for result in json.loads(message.value)["items"]]


def test_a_write_that_the_store_did_not_apply_is_stale() -> None:
    batch = batch_of(ARRIVED - 20_000, ARRIVED - 10_000, ARRIVED - 15_000)
    assert outcomes(batch, [True, True, False]) == [("0", "accepted"), ("1", "accepted"), ("2", "stale")]


def test_long_lists_of_results_are_shared_out_in_order() -> None:
    messages = batch_of(*range(ARRIVED - 450, ARRIVED)).results({SCOPE: [True] * 450})
    assert [message.key for message in messages] == [b"tenant/shop"] * 5
    told = [json.loads(message.value) for message in messages]
    assert {(body["tenant_id"], body["scenario_id"]) for body in told} == {("tenant", "shop")}
    assert [result["offset"] for body in told for result in body["items"]] == [str(number) for number in range(450)]
