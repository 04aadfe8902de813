"""What an import held is told at its end."""

from lemo.domain.item import Item
from lemo.files.tally import Tally


def test_attributes_whose_type_changes_are_told_with_counts() -> None:
    tally = Tally()
    for price in ("9.5", 3, "NaN", "cheap", None, "null"):
        tally.add(Item(item_id="i", attributes={"price": price, "colour": "red"}))
    assert tally.mixed() == ["price holds 2 numbers and 2 words for nothing and 1 texts."]
