"""Alerts fire when they should, and alerts and dashboards ask for metrics and labels that the services export."""

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import dashboards
import monitoring
import servers
from lemo.domain.run import Run
from lemo.ingest.metrics import ConsumerMetrics
from lemo.jobs.drift import CTR_CHANGE, SCORE_PSI
from lemo.scheduling.run_metrics import create_series, run_metrics
from lemo.stores.connect import Stores
from lemo.stores.objects.versions import new_version
from servers import ROOT
from sites import add_scenario, model_of, publish_model, running_api, settings_of

TESTS = ROOT / "tests" / "deploy" / "alerts.test.yml"
OF_PROMETHEUS = {"job", "instance", "le"}
QUERIES = {**monitoring.alert_queries(), **monitoring.panel_queries()}


def promtool(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [servers.server("prometheus"), *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_prometheus_takes_configuration_and_rules() -> None:
    for words in (
        ("check", "rules", "deploy/prometheus/alerts.yml"),
        ("check", "config", "--syntax-only", "deploy/prometheus/prometheus.yml"),
    ):
        found = promtool(*words)
        assert found.returncode == 0, found.stdout + found.stderr


def test_alerts_fire_when_something_breaks_and_only_then() -> None:
    found = promtool("test", "rules", TESTS)
    assert found.returncode == 0, found.stdout + found.stderr
    calm, broken = yaml.safe_load(TESTS.read_text())["tests"]
    alerts = set(monitoring.alert_queries())
    assert {each["alertname"] for each in calm["alert_rule_test"] if not each["exp_alerts"]} == alerts
    assert {each["alertname"] for each in broken["alert_rule_test"] if each["exp_alerts"]} == alerts


def test_every_alert_leads_to_its_page_of_the_runbook() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.M)
    assert sorted(headings) == sorted(monitoring.alert_queries())
    rules = [rule for group in yaml.safe_load(monitoring.ALERTS.read_text())["groups"] for rule in group["rules"]]
    for rule in rules:
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"


def test_dashboards_are_what_their_script_makes() -> None:
    files = {file.name: file.read_text() for file in dashboards.FOLDER.glob("*.json")}
    assert files == {f"{name}.json": dashboards.text(name) for name in dashboards.DASHBOARDS}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, valkey_url: str) -> dict[str, set[str]]:
    """The labels of each time series that API, worker and consumer export, by name."""
    stores = Stores(settings_of(tmp_path_factory.mktemp("home"), valkey_url))
    scope, key = add_scenario(stores)
    moment = datetime.now(UTC)
    run = Run(
        run_id="r",
        entry="train-model-daily",
        scenario_id=scope.scenario_id,
        trigger="manual",
        outcome="ok",
        started_at=moment,
        finished_at=moment,
    )
    stores.runs.save(scope.tenant_id, run)
    about = {"run_id": "d", "entry": "check-experiments-hourly", "detail": {SCORE_PSI: 0.1, CTR_CHANGE: 0.1}}
    stores.runs.save(scope.tenant_id, run.model_copy(update=about))
    stores.log.create_topics([*stores.settings.kafka_item_ingest_topics, stores.settings.kafka_event_topic])
    create_series()
    worker = CollectorRegistry()
    for collector in (run_metrics().runs, run_metrics().seconds):
        worker.register(collector)
    texts = [generate_latest(registry).decode() for registry in (worker, ConsumerMetrics().registry)]
    publish_model(stores, scope, new_version(), model_of())
    with running_api(stores) as url:  # it closes the stores
        asked = f"{url}/v1/scenarios/{scope.scenario_id}/recommendations?user_id=u"
        assert httpx.get(asked, headers={"Authorization": f"Bearer {key}"}, timeout=30).status_code == 200
        texts.append(httpx.get(f"{url}/metrics", timeout=30).text)
    found: dict[str, set[str]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize("name", QUERIES)
def test_queries_name_metrics_and_labels_that_exist(name: str, exported: dict[str, set[str]]) -> None:
    query = QUERIES[name]
    named = monitoring.names(query)
    assert named
    assert named - {"up"} <= exported.keys()
    known = set().union(*(exported.get(each, set()) for each in named))
    assert monitoring.labels(query) <= known | OF_PROMETHEUS


def test_every_metric_of_ours_is_on_a_dashboard(exported: dict[str, set[str]]) -> None:
    shown = set().union(*map(monitoring.names, monitoring.panel_queries().values()))
    whole = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in exported if not name.endswith("_created")}
    assert whole == {re.sub(r"_bucket$", "", name) for name in shown} - {"up"}
