"""Scenarios: their rules, and how they are changed."""

from typing import Any

import pytest

from lemo.domain.errors import InvalidInput
from lemo.domain.scenario import TEMPLATES, Scenario, Template, edited, scenario_from_template

SHOP = scenario_from_template("shop", "ecommerce")


@pytest.mark.parametrize("template", TEMPLATES)
def test_ratings_of_every_template_are_weighed_by_value(template: Template) -> None:
    rules = scenario_from_template("any", template).actions
    assert {name for name, rule in rules.items() if rule.scale == "auto"} == {"rate"} & set(rules)


def test_a_scenario_from_before_scales_gets_one_for_its_ratings() -> None:
    stored = SHOP.model_dump(mode="json")
    for rule in stored["actions"].values():
        for field in ("scale", "learnt", "dislike_value"):
            del rule[field]
    assert Scenario.model_validate(stored).actions == SHOP.actions
    stored["actions"]["rate"]["min_value"] = 7
    assert Scenario.model_validate(stored).actions["rate"].scale is None, "a limit set by hand stays alone"


def test_changes_merge_and_null_removes() -> None:
    changed = edited(
        SHOP,
        {"actions": {"rate": {"min_value": 4}, "wishlist": {"weight": 2}, "share": None}, "active_days": 90},
    )
    assert changed.actions["rate"] == SHOP.actions["rate"].model_copy(update={"min_value": 4})
    assert changed.actions["wishlist"].weight == 2
    assert "share" not in changed.actions
    assert changed.active_days == 90
    assert changed.actions["purchase"] == SHOP.actions["purchase"]
    back = edited(changed, {"actions": {"rate": {"min_value": None, "scale": None}}, "active_days": None})
    assert (back.actions["rate"].min_value, back.actions["rate"].scale) == (None, None)
    assert back.active_days == 365
    assert Scenario.model_validate(back.model_dump(mode="json")) == back, "what was removed does not come back"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"actions": {"rate": {"min_valu": 4}}}, "actions.rate.min_valu: is not a field"),
        ({"actions": {"rate": {"min_value": "four"}}}, "actions.rate.min_value: input should be a valid number"),
        ({"actions": {"rate": {"min_value": float("nan")}}}, "actions.rate.min_value: input should be a finite"),
        ({"actions": {"rate": {"scale": [5, 1]}}}, "actions.rate.scale: ends before it begins"),
        (
            {"actions": {"rate": {"scale": "stars"}}},
            'actions.rate.scale: is none of [least, greatest], such as [1, 5], "a',
        ),
        ({"actions": {"rate": {"weight": -3}}}, "actions.rate: scale and dislike_value need a weight above 0"),
        ({"actions": {"rate": {"weight": None}}}, "actions.rate.weight: is missing"),
        ({"actions": {"rate": {"learnt": [1, 5]}}}, "actions.rate.learnt: is learnt from the ratings. Set `scale`"),
        ({"actions": {"play": {"min_value": 3}}}, "actions.play.weight: is missing"),
        ({"actions": {"cart": {"min_value": 3, "dislike_value": 4}}}, "dislike_value must be below min_value"),
        ({"actions": {"Zur Kasse": {"weight": 1}}}, "actions.Zur Kasse"),
        ({"actions": None}, "actions: is missing"),
        ({"actions": 3}, "actions: input should be a valid dict"),
        ({"active_days": 0}, "active_days: input should be greater than or equal to 1"),
        (
            {"scenario_id": "other"},
            "cannot be changed. A scenario's actions, active_days, catalogue, new_days, exploration, sources,",
        ),
        ({"sources": []}, "sources: "),
        ({"sources": ["ridge", "ridge"]}, "sources: names a source twice"),
        ({"colour": "red"}, "colour: cannot be changed"),
        (None, "must be an object"),
    ],
)
def test_a_wrong_change_names_the_field_and_what_it_may_be(changes: Any, told: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        edited(SHOP, changes)
    assert told in str(raised.value)
    if "learnt" not in told:
        assert "min_value, dislike_value, scale, seen" in str(raised.value)
