"""A pipeline in a file, YAML or JSON: each fault is told with its line."""

from pathlib import Path
from typing import Any

import yaml

from lemo.domain.errors import InvalidInput
from lemo.domain.pipeline import Pipeline, WrongPipeline, pipeline_of

Place = tuple[str | int, ...]
LARGEST = 1_000_000
"""Bytes of a file."""


class PipelineFile:
    """The file's pipeline, and the lines of its parts."""

    def __init__(self, path: Path) -> None:
        """Reads the file; raises InvalidInput, with the line."""
        self._path = path
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
            raise InvalidInput(f"{path} cannot be read: {reason}.", "Give a file with a pipeline in YAML.") from error
        if len(text) > LARGEST:
            raise InvalidInput(f"{path} is too large for a pipeline.", "Give a file with a pipeline in YAML.")
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            content: Any = yaml.safe_load(text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f", line {mark.line + 1}" if mark is not None else ""
            raise InvalidInput(
                f"{path}{line}: {getattr(error, 'problem', None) or error}.", "A pipeline is YAML or JSON."
            ) from error
        self._lines: dict[Place, int] = {}
        if node is not None:
            self._note((), node)
        try:
            self.pipeline: Pipeline = pipeline_of(content if content is not None else {})
        except WrongPipeline as error:
            raise self.located(error) from error

    def located(self, error: WrongPipeline) -> InvalidInput:
        """The same fault with the line at which it stands."""
        place = error.place
        while place and place not in self._lines:
            place = place[:-1]
        return InvalidInput(f"{self._path}, line {self._lines.get(place, 1)}: {error.message}", error.hint)

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
