"""The queries of alerts and dashboards, and the metrics that they name."""

import json
import re

import yaml

from servers import ROOT

ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"
_METRIC = re.compile(r"\b(?:lemo_[a-z_]+|up\b)")


def alert_queries() -> dict[str, str]:
    """The query of each alert by its name."""
    rules = yaml.safe_load(ALERTS.read_text())
    return {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}


def panel_queries() -> dict[str, str]:
    """The query of each panel by `dashboard/panel/letter`."""
    return {
        f"{file.stem}/{panel['title']}/{target['refId']}": target["expr"]
        for file in sorted(DASHBOARDS.glob("*.json"))
        for panel in json.loads(file.read_text())["panels"]
        for target in panel["targets"]
    }


def names(query: str) -> set[str]:
    """The metrics that a query names."""
    return set(_METRIC.findall(query))


def labels(query: str) -> set[str]:
    """The labels that a query groups or filters by."""
    grouped = {label.strip() for inside in re.findall(r"by \(([^)]*)\)", query) for label in inside.split(",")}
    return (grouped | set(re.findall(r"[{,]\s*([a-z_]+)\s*=", query))) - {""}
