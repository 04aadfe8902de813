"""The scenario that fits some files: template, actions with weights, and types of attributes."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from lemo.domain.errors import InvalidInput
from lemo.domain.event import LONGEST_ACTION, Event
from lemo.domain.item import Item
from lemo.domain.scenario import (
    TEMPLATES,
    ActionRule,
    AttributeType,
    Scenario,
    Template,
    scenario_from_template,
)
from lemo.files.cells import without_null_words
from lemo.files.guesses import action_words, columns_for
from lemo.files.moments import is_moment
from lemo.files.plan import REQUIRED, Plan, Wishes
from lemo.files.planning import planned
from lemo.files.table import Table, open_table

_NEW_ACTIONS = 20
"""Unknown words that may become actions; more of them are no actions."""
_AGAINST = re.compile(r"dislike|hide|block|report|unlike|not_")
_UNDONE = re.compile(r"remove|delete|cancel|return|undo")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$")
_TRUTHS = frozenset({"true", "false", "yes", "no"})
_PARTS = re.compile(r"[^a-z0-9]+")
_MOST_ATTRIBUTES = 200


@dataclass(slots=True)
class Proposal:
    """A scenario, and how it was found."""

    scenario: Scenario
    notes: list[str] = field(default_factory=list)
    """One sentence for each thing that a person should look at."""


def proposed(name: str, files: Sequence[Path], template: Template | None = None) -> Proposal:
    """The scenario for files of items and events; a `template` that is given stays.

    Reads the actions of all events. Raises NotFound or InvalidInput for files that are neither.
    """
    notes: list[str] = []
    words: Counter[str] = Counter()
    types: dict[str, AttributeType] = {}
    for path in files:
        model, table, plan = _opened(path)
        if model is Event:
            if plan.timeless:
                notes.append(f"{path} holds no times: import it with `--no-time`, which says what that costs.")
            words.update(_actions(table, plan))
        else:
            types |= _attribute_types(table, plan)
    chosen = template or _template(words)
    scenario = scenario_from_template(name, chosen)
    known = {word for word in words if word in scenario.actions} | action_words(words, scenario.actions).keys()
    covered = sum(words[word] for word in known)
    if words and template is None:
        notes.append(f"Template {chosen}: it knows the actions of {covered:,} of {words.total():,} events.")
    actions = dict(scenario.actions)
    added, refused = _added(words, known)
    for action, rule in added.items():
        actions[action] = rule
        notes.append(f"{action} is a new action with the weight {rule.weight:g}.")
    if refused:
        shown = ", ".join(repr(word[:40]) for word in refused[:5])
        notes.append(f"{len(refused):,} words are no actions, and their events will be rejected: {shown}.")
    scenario = scenario.model_copy(update={"actions": actions, "attribute_types": types})
    return Proposal(Scenario.model_validate(scenario.model_dump()), notes)


def kind_of(path: Path) -> Literal["items", "events"]:
    """What a file seems to hold; events where it cannot be read before more is said about it."""
    try:
        return "events" if _opened(path)[0] is Event else "items"
    except InvalidInput:
        return "events"


def _opened(path: Path) -> tuple[type[BaseModel], Table, Plan]:
    """A file with the plan for it: events where it is one of events, else items."""
    try:
        table = open_table(path, REQUIRED[Event])
        try:
            return Event, table, planned(Event, table)
        except InvalidInput:
            # Events without times say as well what users do.
            with suppress(InvalidInput):
                return Event, table, planned(Event, table, Wishes(no_time=True))
            raise
    except InvalidInput as error:
        table = open_table(path, REQUIRED[Item])
        try:
            plan = planned(Item, table)
        except InvalidInput:
            raise error from None
        if columns_for(Event, table.names, ())["user_id"]:  # events, of which something cannot be known
            hint = "Create the scenario with --template, and import with --map, --action or --no-time."
            raise InvalidInput(error.message, hint) from error
        return Item, table, plan


def _actions(table: Table, plan: Plan) -> Counter[str]:
    rows = plan.rows(table.rows(known=plan.fields.values()))
    return Counter(str(row["action"]) for _, row in rows if isinstance(row, dict) and row.get("action") is not None)


def _template(words: Counter[str]) -> Template:
    """The template that knows most of the events; among equals the plainest."""
    if not words:
        return "custom"

    def known(template: Template) -> tuple[int, int, int, bool]:
        actions = TEMPLATES[template]
        named = action_words(words, actions).keys()
        exact = sum(count for word, count in words.items() if word in actions)
        # remove_from_cart is no action, but speaks of a cart.
        near = sum(count for word, count in words.items() if actions.keys() & set(_PARTS.split(word.lower())))
        return exact + sum(words[word] for word in named), exact, near, template == "custom"

    return max(TEMPLATES, key=known)


def _added(words: Iterable[str], known: Iterable[str]) -> tuple[dict[str, ActionRule], list[str]]:
    """Rules for words that no action stands for, and the words that cannot be actions."""
    unknown = sorted(set(words) - set(known))
    if len(unknown) > _NEW_ACTIONS:
        return {}, unknown
    added: dict[str, ActionRule] = {}
    refused = []
    for word in unknown:
        action = re.sub(r"\s+", "_", word.strip().lower())
        if not re.fullmatch(r"[a-z0-9_.:-]+", action) or len(action) > LONGEST_ACTION:
            refused.append(word)
            continue
        weight = -1.0 if _AGAINST.search(action) else 0.0 if _UNDONE.search(action) else 1.0
        added[action] = ActionRule(weight=weight)
    return added, refused


def _attribute_types(table: Table, plan: Plan) -> dict[str, AttributeType]:
    if plan.layout is not None:
        return {}
    taken = set(plan.fields.values()) | set(plan.fields)
    sample = [row for _, row in table.sample() if isinstance(row, dict)]
    found: dict[str, AttributeType] = {}
    for name in [name for name in table.names if name and name not in taken][:_MOST_ATTRIBUTES]:
        values = [row[name] for row in sample if row.get(name) not in (None, "")]
        values = [value for value in values if without_null_words(value) is not None]
        if values and (kind := _type(values)) is not None:
            found[name] = kind
    return found


def _type(values: Sequence[Any]) -> AttributeType | None:
    """The type that all values have; None for objects, which filters cannot name."""
    if any(isinstance(value, dict) for value in values):
        return None
    if any(isinstance(value, list) for value in values):
        return "list"
    texts = [str(value).strip() for value in values]
    if all(isinstance(value, bool) or text.lower() in _TRUTHS for value, text in zip(values, texts, strict=True)):
        return "boolean"
    if all(_NUMBER.match(text) for text in texts):
        return "number"
    if all(is_moment(value) for value in values):
        return "timestamp"
    return "list" if sum("|" in text for text in texts) > len(texts) // 5 else "text"
