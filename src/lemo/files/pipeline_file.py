"""A pipeline as text, YAML or JSON, from a file or an editor: each fault is told with its line."""

from pathlib import Path
from typing import Any

import yaml

from lemo.domain.errors import InvalidInput
from lemo.domain.pipeline import Pipeline, WrongPipeline, pipeline_of

Place = tuple[str | int, ...]
LARGEST = 1_000_000
"""Characters of a text."""


class FaultyText(InvalidInput):
    """A fault of a text, and the line (from 1) at which it stands."""

    def __init__(self, name: str, line: int, message: str, hint: str) -> None:
        where = f"{name}, line {line}" if name else f"Line {line}"
        super().__init__(f"{where}: {message}", hint)
        self.line = line


class PipelineText:
    """The pipeline that a text holds, and the lines of its parts."""

    def __init__(self, text: str, name: str = "") -> None:
        """Reads the text; raises FaultyText. `name` says in errors where the text stands."""
        self._name = name
        if len(text) > LARGEST:
            raise FaultyText(name, 1, "The text is too large for a pipeline.", "A pipeline is YAML or JSON.")
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            content: Any = yaml.safe_load(text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            problem = getattr(error, "problem", None) or error
            raise FaultyText(
                name, mark.line + 1 if mark is not None else 1, f"{problem}.", "A pipeline is YAML or JSON."
            ) from error
        self._lines: dict[Place, int] = {}
        if node is not None:
            self._note((), node)
        try:
            self.pipeline: Pipeline = pipeline_of(content if content is not None else {})
        except WrongPipeline as error:
            raise self.located(error) from error

    def located(self, error: WrongPipeline) -> FaultyText:
        """The same fault with the line at which it stands."""
        place = error.place
        while place and place not in self._lines:
            place = place[:-1]
        return FaultyText(self._name, self._lines.get(place, 1), error.message, error.hint)

    def _note(self, place: Place, node: yaml.Node) -> None:
        self._lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                inner = (*place, str(name.value))
                self._lines[inner] = name.start_mark.line + 1
                self._note(inner, value)
        elif isinstance(node, yaml.SequenceNode):
            for number, value in enumerate(node.value):
                self._note((*place, number), value)


class PipelineFile(PipelineText):
    """The pipeline of a file."""

    def __init__(self, path: Path) -> None:
        """Reads the file; raises InvalidInput, with the line where there is one."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
            raise InvalidInput(f"{path} cannot be read: {reason}.", "Give a file with a pipeline in YAML.") from error
        super().__init__(text, str(path))


def pipeline_text(pipeline: Pipeline) -> str:
    """The pipeline as YAML, which `PipelineText` reads; empty for the default."""
    body = pipeline.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(body, sort_keys=False, allow_unicode=True) if body else ""
