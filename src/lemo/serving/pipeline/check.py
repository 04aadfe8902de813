"""Whether a pipeline fits a catalogue: its filters and the attributes that its stages go by."""

from lemo.domain.errors import InvalidInput
from lemo.domain.pipeline import Pipeline, WrongPipeline
from lemo.domain.reasons import did_you_mean, shortened
from lemo.serving.catalogue.columns import Columns
from lemo.serving.catalogue.schema import steps_of
from lemo.serving.filters.expression import compile_filter


def check_fits(pipeline: Pipeline, columns: Columns) -> None:
    """Raises WrongPipeline for a filter that cannot be evaluated, and for an attribute that no item has.

    Filters of a pipeline may name a variable only where the pipeline gives it a value: GET requests bring none.
    """
    with columns.lock:
        for place, text in pipeline.filters.items():
            try:
                compile_filter(text, columns.schema).mask(columns, pipeline.variables)
            except InvalidInput as error:
                raise WrongPipeline(f"{place}: {error.message}", error.hint, _steps(place)) from error
    names = list(columns.schema.names)
    for place, name in pipeline.attributes.items():
        if columns.schema.resolved(steps_of(name)) is None:
            hint = f"{did_you_mean(name, names)}Items have {', '.join(names[:20])}."
            raise WrongPipeline(f"{place}: no item has the attribute {shortened(name)}.", hint, _steps(place))


def _steps(place: str) -> tuple[str | int, ...]:
    return tuple(int(step) if step.isdecimal() else step for step in place.split("."))
