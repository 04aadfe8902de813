"""The items of an answer before it is worded, and why others are not among them."""

from typing import NamedTuple

from lemo.domain.pipeline import PipelineVersion
from lemo.domain.recommendation import ExplainedItem
from lemo.domain.request import Choice
from lemo.recommenders.scored import Scored
from lemo.serving.arms import ServingArm
from lemo.serving.assembly import RANDOM
from lemo.serving.pipeline.explain import Trace, explained
from lemo.serving.pipeline.plan import Exclusions, Plan
from lemo.serving.pipeline.recall import Asker, exclusions, scored
from lemo.serving.state import ServingState
from lemo.statistics.interleaving import team_draft


class Found(NamedTuple):
    """The items of an answer, and what is known of how they were found."""

    items: list[Scored]
    version: str | None
    """Of the model."""
    state: ServingState
    plan: Plan
    pipeline: PipelineVersion
    degraded: bool
    trace: Trace
    asker: Asker | None = None
    arm: ServingArm | None = None
    """The arm of an experiment that answered."""


def interleaved(control: Found, other: Found, names: tuple[str, str], n: int) -> Found:
    """The answer of both arms of an interleaving: each item with its team, and what is known of the control's.

    `names` are those of the arms.
    """
    of = [{each.item_id: each for each in found.items} for found in (control, other)]
    drafted = team_draft(list(of[0]), list(of[1]), n, RANDOM)
    items = [
        (of[0] | of[1])[item_id] if team is None else of[team][item_id]._replace(team=names[team])
        for item_id, team in drafted
    ]
    return control._replace(items=items, degraded=control.degraded or other.degraded)


def explained_items(choice: Choice, found: Found) -> list[ExplainedItem]:
    """What the stages did with the items that a request asks about, or with those of its answer."""
    wanted = [each.item_id for each in found.items] if choice.explain is True else list(choice.explain or ())
    answered = {each.item_id for each in found.items}
    model, asker, state, plan = found.state.mapped.model, found.asker, found.state, found.plan
    everything: list[Scored] = []
    if model is not None and asker is not None and not answered.issuperset(wanted):
        everything = scored(model, [asker], plan, state, len(model.item_ids))[0]
    places = {each.item_id: place for place, each in enumerate(everything, start=1)}
    without = (
        exclusions(asker, state, plan)
        if asker is not None
        else Exclusions(state.unavailable, plan.exclude, (), plan.filters)
    )
    had = {each.item_id for each in asker.precomputed or ()} if asker is not None and asker.repeats else None

    def kept_out(item_id: str) -> str | None:
        if had is not None and item_id not in had:
            return "the user has not had it, and only what the user has had is wanted"
        return without.why(item_id)

    return [explained(item_id, found.trace, plan, kept_out(item_id), places.get(item_id)) for item_id in wanted]
