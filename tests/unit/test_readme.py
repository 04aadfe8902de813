"""What README.md and README.zh-CN.md say of numbers and fields is so."""

import re
from functools import cache

import pytest

from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.simulator.trial import NEWER_OR_VARIED
from lemo.simulator.world import World
from servers import ROOT

pytestmark = pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])


@cache
def demo_events() -> int:
    return sum(sum(1 for _ in dataset.events) for dataset in World(seed=7, scale=1.0, trial=NEWER_OR_VARIED).datasets())


def test_the_readme_counts_the_events_of_the_demo(name: str) -> None:
    counts = re.findall(r"[0-9]+,[0-9]{3}", (ROOT / name).read_text())
    assert counts == [f"{demo_events():,}"]


def test_the_readme_lists_each_field_of_files(name: str) -> None:
    for label, model in ((r"items|物品", Item), (r"events|事件", Event)):
        rows = re.findall(rf"^\| (?:{label}) \|.*", (ROOT / name).read_text(), re.M)
        named = set(re.findall(r"`([a-z_]+)`", rows[0]))
        assert named == model.model_fields.keys() - {"attributes"}
