"""Writes deploy/grafana/dashboards: `make dashboards`. A test compares the files with what this makes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "deploy" / "grafana" / "dashboards"
DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT, ROW = 8, 8, 24
"""Grafana's grid has 24 columns."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph: what it shows, what to do about it, its queries with the legend of each."""

    title: str
    meaning: str
    unit: str
    queries: tuple[tuple[str, str], ...]


def rate(metric: str, *by: str, where: str = "") -> str:
    """The query for how fast a counter grows, per second."""
    return f"sum by ({', '.join(by)}) (rate({metric}{where}[$__rate_interval]))"


def quantile(q: float, metric: str, *by: str) -> str:
    """The query for a quantile of a histogram."""
    labels = ", ".join(("le", *by))
    return f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket[$__rate_interval])))"


UP = Panel("Processes that answer", "By job. 0: nothing answers; see LemoServiceDown.", "short", (
    ('sum by (job) (up{job=~"lemo-.+"})', "{{job}}"),
))  # fmt: skip
ENGINES = Panel("Engines that answer the API", "1: yes. What stops without one: lemo doctor.", "short", (
    ("min by (source) (lemo_source_up)", "{{source}}"),
))  # fmt: skip
WAITING = Panel("Messages that wait", "Not taken in yet, by topic.", "short", (
    ("max by (topic) (lemo_ingest_waiting)", "{{topic}}"),
))  # fmt: skip
LAG = Panel("Age of the oldest waiting message", "Above 5 minutes: LemoIngestBehind.", "s", (
    ("max by (topic) (lemo_ingest_oldest_waiting_seconds)", "{{topic}}"),
))  # fmt: skip
OVERDUE = Panel("Overdue jobs", "Scenarios whose job has not succeeded for twice its period.", "short", (
    ("max by (entry) (lemo_jobs_overdue)", "{{entry}}"),
))  # fmt: skip
FAILING = Panel("Failing jobs", "Scenarios whose last run failed; lemo runs list shows the error.", "short", (
    ("max by (entry) (lemo_jobs_failing)", "{{entry}}"),
))  # fmt: skip
QUEUES = Panel("Tasks that wait for a worker", "By queue. Above 100: LemoQueueLong.", "short", (
    ("max by (queue) (lemo_queue_length)", "{{queue}}"),
))  # fmt: skip
QUEUE_AGE = Panel("Wait of the next task", "By queue. Above 15 minutes: LemoQueueSlow.", "s", (
    ("max by (queue) (lemo_queue_oldest_seconds)", "{{queue}}"),
))  # fmt: skip
REQUESTS = Panel("Requests", "Per second, by status; `left`: the client did not wait for an answer.", "ops", (
    (rate("lemo_http_requests_total", "status"), "{{status}}"),
))  # fmt: skip
LATENCY = Panel("Latency", "Of all requests: median, 95 % and 99 %.", "s", (
    (quantile(0.5, "lemo_http_request_seconds"), "50 %"),
    (quantile(0.95, "lemo_http_request_seconds"), "95 %"),
    (quantile(0.99, "lemo_http_request_seconds"), "99 %"),
))  # fmt: skip
ANSWERS = Panel("Answers with items", "Per second. Many degraded or empty: LemoAnswersPoor.", "ops", (
    (rate("lemo_answers_total", "state"), "{{state}}"),
))  # fmt: skip
MODELS = Panel("Age of what serves", "The oldest snapshot of each kind that is in service.", "s", (
    ("time() - min by (kind) (lemo_serving_oldest_snapshot_timestamp_seconds)", "{{kind}}"),
))  # fmt: skip
STALE = Panel("Scenarios served from old models", "Their answers say degraded; see LemoServingStale.", "short", (
    ("sum by (instance) (lemo_serving_scopes_stale)", "{{instance}}"),
))  # fmt: skip
DEAD_LETTERS = Panel("Dead letters", "Refused messages that the log keeps: lemo dead-letters list.", "short", (
    ("max(lemo_dead_letters)", "kept"),
))  # fmt: skip
ENDED = Panel("Runs that ended", "Per second, by outcome.", "ops", (
    (rate("lemo_runs_total", "outcome"), "{{outcome}}"),
))  # fmt: skip

TRAFFIC = Panel("What users did in five minutes", "In all scenarios, as real time counts it.", "short", (
    ("max(lemo_realtime_impressions)", "impressions"),
    ("max(lemo_realtime_clicks)", "clicks"),
    ("max(lemo_realtime_conversions)", "conversions"),
))  # fmt: skip
VALUE = Panel("Value of five minutes", "Of the events of the scenarios' goals.", "short", (
    ("max(lemo_realtime_value)", "value"),
))  # fmt: skip
DRIFT_SCORES = Panel("Drift of scores", "PSI, last day to the week before. Above 0.25: LemoScoreDrift.", "short", (
    ("max(lemo_drift_score_psi)", "largest of the scenarios"),
))  # fmt: skip
DRIFT_CTR = Panel("Drift of CTR", "Last day to the week before. Below -30 %: LemoCtrDrop.", "percentunit", (
    ("min(lemo_drift_ctr_change)", "largest fall of the scenarios"),
))  # fmt: skip

DASHBOARDS = {
    "overview": (
        UP, ENGINES, STALE, REQUESTS, LATENCY, ANSWERS,
        LAG, QUEUE_AGE, DEAD_LETTERS, OVERDUE, FAILING, MODELS, QUEUES, ENDED, TRAFFIC, VALUE,
        DRIFT_SCORES, DRIFT_CTR,
    ),
    "api": (
        REQUESTS,
        LATENCY,
        ANSWERS,
        Panel("Requests, by route", "Per second.", "ops", (
            (rate("lemo_http_requests_total", "method", "route"), "{{method}} {{route}}"),
        )),
        Panel("Failed requests, by route", "Per second, status 5xx; above 5 % of all: LemoApiErrors.", "ops", (
            (rate("lemo_http_requests_total", "route", "status", where='{status=~"5.."}'), "{{status}} {{route}}"),
        )),
        Panel("Latency, 95 %, by route", "Above 1 s for lists of items: LemoApiSlow.", "s", (
            (quantile(0.95, "lemo_http_request_seconds", "method", "route"), "{{method}} {{route}}"),
        )),
        Panel("Ready and computed answers", "Per second. Ready ones are precomputed, or the same for all.", "ops", (
            (rate("lemo_answers_total", "kind", "made"), "{{kind}}, {{made}}"),
        )),
        Panel("Stages of a computed answer, 95 %", "A slow `user` is Redis, a slow `fields` the documents.", "s", (
            (quantile(0.95, "lemo_serving_stage_seconds", "stage"), "{{stage}}"),
        )),
        MODELS,
        Panel("Scenarios served", "By process.", "short", (
            ("sum by (instance) (lemo_serving_scopes)", "{{instance}}"),
        )),
        STALE,
        Panel("Since the oldest serving state was read", "Models: about 2 s while requests come, else 15 s.", "s", (
            ("max by (instance, part) (lemo_serving_age_seconds)", "{{instance}} {{part}}"),
        )),
        Panel("Renewals that failed", "Per second; the API's log has the error.", "ops", (
            (rate("lemo_serving_renewals_failed_total", "instance"), "{{instance}}"),
        )),
        Panel("Requests that limits refused", "Per second, by limit: a tenant asked or sent too much.", "ops", (
            (rate("lemo_limited_total", "limit"), "{{limit}}"),
        )),
        Panel("Answers logged as served", "Per second.", "ops", (
            (rate("lemo_served_answers_published_total", "instance"), "{{instance}}"),
        )),
        Panel("Answers that wait to be logged", "They are in memory until the log takes them.", "short", (
            ("sum by (instance) (lemo_served_answers_waiting)", "{{instance}}"),
        )),
        Panel("Answers that are in no log", "Per second, by reason; see LemoAnswersNotLogged.", "ops", (
            (rate("lemo_served_answers_dropped_total", "reason"), "{{reason}}"),
        )),
        ENGINES,
    ),
    "worker": (
        Panel("Runs that ended, by job", "Per second.", "ops", ((rate("lemo_runs_total", "entry"), "{{entry}}"),)),
        Panel("Runs that failed, by job", "Per second.", "ops", (
            (rate("lemo_runs_total", "entry", where='{outcome="failed"}'), "{{entry}}"),
        )),
        Panel("Runs that were skipped, by job", "Per second: they met a run at work.", "ops", (
            (rate("lemo_runs_total", "entry", where='{outcome="skipped"}'), "{{entry}}"),
        )),
        Panel("Duration of runs, median", "By job.", "s", ((quantile(0.5, "lemo_run_seconds", "entry"), "{{entry}}"),)),
        Panel("Duration of runs, 95 %", "By job.", "s", ((quantile(0.95, "lemo_run_seconds", "entry"), "{{entry}}"),)),
        QUEUES,
        QUEUE_AGE,
    ),
    "beat": (
        OVERDUE,
        FAILING,
        Panel("Since the oldest success", "Of the scenario that has waited longest, by job.", "s", (
            ("time() - min by (entry) (lemo_job_oldest_success_timestamp_seconds)", "{{entry}}"),
        )),
    ),
    "consumer": (
        Panel("Records taken in", "Per second, by kind.", "ops", (
            (rate("lemo_consumer_records_total", "kind"), "{{kind}}"),
        )),
        WAITING,
        LAG,
        Panel("Age of the oldest uncommitted record", "By process. Above 2 minutes: LemoConsumerStuck.", "s", (
            ("max by (instance) (lemo_consumer_oldest_uncommitted_seconds)", "{{instance}}"),
        )),
        Panel("Records of a batch, median", "Near the largest batch: it is catching up.", "short", (
            (quantile(0.5, "lemo_consumer_batch_records"), "records"),
        )),
        Panel("Duration of stages, 95 %", "A slow stage names the slow engine.", "s", (
            (quantile(0.95, "lemo_consumer_stage_seconds", "stage"), "{{stage}}"),
        )),
        Panel("Messages refused", "Per second, by fault; they are dead letters.", "ops", (
            (rate("lemo_consumer_dead_letters_total", "fault"), "{{fault}}"),
        )),
        Panel("Repeated event ids", "Per second. `other`: one id for several events; the first counts.", "ops", (
            (rate("lemo_consumer_repeated_events_total", "contents"), "{{contents}}"),
        )),
        DEAD_LETTERS,
    ),
}  # fmt: skip


def panel(number: int, made: Panel) -> dict[str, Any]:
    """Grafana's JSON of a panel."""
    column = (number * WIDTH) % ROW
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": made.title,
        "description": made.meaning,
        "datasource": DATA_SOURCE,
        "gridPos": {"h": HEIGHT, "w": WIDTH, "x": column, "y": number * WIDTH // ROW * HEIGHT},
        "fieldConfig": {"defaults": {"unit": made.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": DATA_SOURCE, "expr": query, "legendFormat": legend}
            for index, (query, legend) in enumerate(made.queries)
        ],
    }


def dashboard(name: str) -> dict[str, Any]:
    """Grafana's JSON of a dashboard."""
    return {
        "uid": f"lemo-{name}",
        "title": f"Lemo: {name}",
        "tags": ["lemo"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}]
        },
        "links": [{"type": "dashboards", "tags": ["lemo"], "title": "Lemo", "asDropdown": True, "keepTime": True}],
        "panels": [panel(number, each) for number, each in enumerate(DASHBOARDS[name])],
    }


def text(name: str) -> str:
    """The contents of a dashboard's file."""
    return json.dumps(dashboard(name), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Writes each file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(text(name), "utf-8")


if __name__ == "__main__":
    main()
