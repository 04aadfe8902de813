"""The Compose file as Docker would read it: merged, and with variables filled in."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from servers import ROOT

FOLDER = ROOT / "deploy" / "compose"
FILE = FOLDER / "compose.yaml"
LEMO_SERVICES = ("upgrade", "api", "worker", "beat", "consumer", "console")
_VARIABLE = re.compile(r"\$(?:(\$)|\{([A-Z_]+)(?:(:?[-?])([^}]*))?\})")


def text_of(value: str, variables: Mapping[str, str]) -> str:
    """The text with `${NAME}`, `${NAME:-default}` and `${NAME:?words}` replaced; raises KeyError for the last."""

    def found(match: "re.Match[str]") -> str:
        dollar, name, how, rest = match.groups()
        if dollar:
            return "$"
        value = variables.get(name)
        if value is None or (how and how.startswith(":") and not value):
            if how and how.endswith("?"):
                raise KeyError(f"{name}: {rest}")
            return rest or ""
        return value

    return _VARIABLE.sub(found, value)


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return text_of(value, variables)
    if isinstance(value, dict):
        return {key: _filled(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, variables) for each in value]
    return value


def raw() -> dict[str, Any]:
    """The file with its anchors merged, variables not filled in."""
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return loaded


def services(variables: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The services by name, with these variables."""
    filled: dict[str, dict[str, Any]] = _filled(raw()["services"], variables)
    return filled


def asked_for() -> set[str]:
    """The variables without which the file cannot be used."""
    return {name for _, name, how, _ in _VARIABLE.findall(FILE.read_text()) if how == ":?"}
