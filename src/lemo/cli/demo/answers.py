"""What users of a simulated world were shown, as the API would have logged it, and the experiment that made it."""

from collections.abc import Iterator

import msgspec

from lemo.domain.dataset import Dataset, ShownList
from lemo.domain.scope import Scope
from lemo.experiments import service
from lemo.stores.connect import Stores
from lemo.streams.served_messages import SentAnswer, ServedAnswer, ServedItem


def make_experiment(stores: Stores, scope: Scope, dataset: Dataset, by: str) -> None:
    """Makes the experiment of a data set, unless there is none or it is there already; raises EngineUnavailable."""
    past = dataset.experiment
    if past is None or any(each.name == past.draft.name for each in stores.experiments.list(scope)):
        return
    # No item is there yet that its pipelines could be checked against.
    service.create(stores, scope, past.draft, by, check=lambda _: None)


def start_experiment(stores: Stores, scope: Scope, dataset: Dataset, by: str) -> None:
    """Starts it, unless it has been; its plan is made by the answers of the time before. Raises EngineUnavailable."""
    past = dataset.experiment
    if past is not None and stores.experiments.get(scope, past.draft.name).state == "draft":
        service.start(stores, scope, past.draft.name, by, past.started_at)


def answers_of(stores: Stores, scope: Scope, dataset: Dataset) -> Iterator[bytes]:
    """The lists as answers, each a `ServedAnswer` as JSON: analytics and experiments count what followed from them."""
    name, versions = None, dict[str, int | None]()
    if dataset.experiment is not None:
        name = dataset.experiment.draft.name
        versions = {arm.name: arm.pipeline_version for arm in stores.experiments.get(scope, name).arms}
    for shown in dataset.shown:
        yield _answer(shown, name if shown.arm else None, versions.get(shown.arm))


def _answer(shown: ShownList, experiment: str | None, pipeline_version: int | None) -> bytes:
    sent = SentAnswer(
        shown.request_id,
        [ServedItem(item_id) for item_id in shown.item_ids],
        model_version="simulated",
        pipeline_version=pipeline_version,
        experiment=experiment,
        arm=shown.arm or None,
    )
    return msgspec.json.encode(
        ServedAnswer(
            kind="recommendations",
            at=shown.at_ms,
            took_us=shown.took_us,
            user_id=shown.user_id,
            placement=shown.placement,
            answer=sent,
        )
    )
