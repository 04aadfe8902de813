"""The chart, rendered with each example: valid for Kubernetes, locked down, and made of settings that exist."""

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from opentelemetry.sdk import environment_variables

import servers
from lemo.scheduling.jobs import QUEUES
from lemo.settings import Settings
from servers import ROOT

pytestmark = pytest.mark.deploy

CHART = ROOT / "deploy" / "helm" / "lemo"
EXAMPLES = sorted((ROOT / "deploy" / "helm" / "examples").glob("*.yaml"))
OLDEST, NEWEST = "1.27.0", "1.34.0"
OPERATORS = {"FlinkDeployment", "PodMonitor", "PrometheusRule", "ScaledObject"}
"""Kinds that operators bring: no schema of Kubernetes knows them."""
WORKLOADS = {"Deployment", "StatefulSet", "Job"}

Documents = list[dict[str, Any]]


def helm(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [servers.server("helm"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def template(*words: str | Path, version: str = NEWEST) -> "subprocess.CompletedProcess[str]":
    return helm("template", "lemo", CHART, "--kube-version", version, *words)


@cache
def rendered(example: Path, version: str = NEWEST, *more: str) -> Documents:
    found = template("--values", example, *more, version=version)
    assert found.returncode == 0, found.stderr
    return [document for document in yaml.safe_load_all(found.stdout) if document]


def example(name: str) -> Path:
    return ROOT / "deploy" / "helm" / "examples" / f"{name}.yaml"


def of_kind(documents: Documents, *kinds: str) -> Documents:
    return [document for document in documents if document["kind"] in kinds]


def named(documents: Documents, kind: str, name: str) -> dict[str, Any]:
    found = [each for each in of_kind(documents, kind) if each["metadata"]["name"] == name]
    assert len(found) == 1, f"{kind} {name}: {len(found)}"
    return found[0]


def pod_of(document: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = document["spec"]["template"]["spec"]
    return spec


def environment(document: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in pod_of(document)["containers"][0]["env"]}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_example_is_what_kubernetes_takes(path: Path, version: str) -> None:
    documents = rendered(path, version)
    assert documents
    for document in documents:
        if document["kind"] not in OPERATORS:
            kubernetes_validate.validate(document, version.removesuffix(".0"), strict=True)
    names = [(document["kind"], document["metadata"]["name"]) for document in documents]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_passes_the_linter(path: Path) -> None:
    found = helm("lint", CHART, "--strict", "--kube-version", NEWEST, "--values", path)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_pods_are_locked_down(path: Path) -> None:
    workloads = of_kind(rendered(path), *WORKLOADS)
    assert workloads
    for document in workloads:
        pod = pod_of(document)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        # Else LEMO_API_PORT=tcp://... of the Service keeps every service from starting.
        assert pod["enableServiceLinks"] is False
        for container in [*pod["containers"], *pod.get("initContainers", ())]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            assert not container["image"].endswith(":latest")
            assert {mount["name"] for mount in container["volumeMounts"]} == {"home", "tmp"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_settings_exist_and_hold_no_secret(path: Path) -> None:
    for document in of_kind(rendered(path), *WORKLOADS):
        for name, value in environment(document).items():
            if name.startswith("OTEL_"):
                assert hasattr(environment_variables, name), name
                assert not name.endswith("HEADERS"), name
                continue
            field = name.removeprefix("LEMO_").lower()
            assert field in Settings.model_fields, name
            assert "Secret" not in str(Settings.model_fields[field].annotation) or field == "snapshots_url", name
            assert isinstance(value, str)
        ours = {name: value for name, value in environment(document).items() if name.startswith("LEMO_")}
        settings = {name.removeprefix("LEMO_").lower(): value for name, value in ours.items()}
        Settings(**settings)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_what_selects_pods_selects_some(path: Path) -> None:
    documents = rendered(path)
    pods = [document["spec"]["template"]["metadata"]["labels"] for document in of_kind(documents, *WORKLOADS)]
    for service in of_kind(documents, "Service"):
        assert any(service["spec"]["selector"].items() <= labels.items() for labels in pods), service["metadata"]
    for document in of_kind(documents, "Deployment", "StatefulSet", "PodDisruptionBudget"):
        wanted = document["spec"]["selector"]["matchLabels"]
        assert sum(wanted.items() <= labels.items() for labels in pods) == 1, document["metadata"]
    for document in of_kind(documents, "PodMonitor"):
        (expression,) = document["spec"]["selector"]["matchExpressions"]
        components = {labels["app.kubernetes.io/component"] for labels in pods}
        assert set(expression["values"]) <= components


@pytest.mark.parametrize("name", ["all", "small", "workers-only"])
def test_every_queue_has_a_worker(name: str) -> None:
    workers = [
        each for each in of_kind(rendered(example(name)), "Deployment") if "-worker-" in each["metadata"]["name"]
    ]
    commands = [pod_of(each)["containers"][0]["args"] for each in workers]
    assert all(command[:2] == ["worker", "--queues"] for command in commands)
    assert sorted(queue for command in commands for queue in command[2].split(",")) == sorted(QUEUES)


def test_each_service_says_its_ports_where_it_listens() -> None:
    documents = rendered(example("all"))
    default = Settings()
    expected = {
        ("Deployment", "lemo-api"): ("api", default.api_port, "LEMO_API_HOST"),
        ("Deployment", "lemo-console"): ("console", default.console_port, "LEMO_CONSOLE_HOST"),
        ("StatefulSet", "lemo-consumer"): ("consumer", default.consumer_metrics_port, "LEMO_CONSUMER_METRICS_HOST"),
        ("Deployment", "lemo-worker-general"): ("worker", default.worker_metrics_port, "LEMO_WORKER_METRICS_HOST"),
    }
    for (kind, name), (command, port, host) in expected.items():
        document = named(documents, kind, name)
        (container,) = pod_of(document)["containers"]
        assert container["args"][0] == command
        assert [each["containerPort"] for each in container["ports"]] == [port]
        assert environment(document)[host] == "0.0.0.0"
        assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys()


def test_the_upgrade_comes_first_and_needs_nothing_of_the_release() -> None:
    job = named(rendered(example("all")), "Job", "lemo-upgrade")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert pod_of(job)["containers"][0]["args"] == ["upgrade", "--no-admin-key"]
    assert "serviceAccountName" not in pod_of(job)
    assert pod_of(job)["containers"][0]["envFrom"] == [{"secretRef": {"name": "lemo-engines"}}]


def test_the_group_that_keda_watches_is_the_one_that_consumers_join() -> None:
    for name in ("kafka-sasl", "second-installation"):
        documents = rendered(example(name))
        consumer = named(documents, "StatefulSet", "lemo-consumer")
        settings = Settings(installation=environment(consumer)["LEMO_INSTALLATION"])
        (scaled,) = of_kind(documents, "ScaledObject")
        (trigger,) = scaled["spec"]["triggers"]
        assert trigger["metadata"]["consumerGroup"] == settings.kafka_group
        assert trigger["metadata"]["lagThreshold"].isdigit()
        assert "replicas" not in consumer["spec"]


def test_numbers_arrive_as_they_were_written() -> None:
    settings = environment(named(rendered(example("placed")), "Deployment", "lemo-api"))
    assert (settings["LEMO_STREAM_MAX_LENGTH"], settings["LEMO_ANSWER_SECONDS"]) == ("2000000", "2.5")


def test_metrics_are_not_on_the_ingress() -> None:
    (ingress,) = of_kind(rendered(example("api-only")), "Ingress")
    paths = [path["path"] for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
    assert paths == ["/v1", "/health"]


def test_the_trial_is_one_pod_that_keeps_its_data() -> None:
    documents = rendered(example("trial"))
    (trial,) = of_kind(documents, *WORKLOADS)
    assert pod_of(trial)["containers"][0]["args"] == ["up"]
    (claim,) = trial["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "home"


def test_rules_and_dashboards_come_along() -> None:
    documents = rendered(example("monitored"))
    (rules,) = of_kind(documents, "PrometheusRule")
    assert rules["spec"] == yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
    boards = {
        path.name: json.loads(path.read_text()) for path in (ROOT / "deploy" / "grafana" / "dashboards").iterdir()
    }
    (found,) = of_kind(documents, "ConfigMap")
    assert {name: json.loads(text) for name, text in found["data"].items()} == boards


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("secretName=", "make a Secret with LEMO_REDIS_URL"),
        ("snapshotsUrl=", "set s3://bucket/prefix"),
        ("workers.enabled=true", "workers is not allowed"),
        ("image.tag=latest", "- image.tag: "),
        ("settings.LEMO_REDIS_URL=redis://:word@redis", "- settings: "),
        ("settings.LEMO_KAFKA_PASSWORD=word", "- settings: "),
        ("settings.log_level=DEBUG", "- settings: "),
        ("worker.groups[0].queues={training}", "- worker.groups.0.queues.0: "),
        ("api.autoscaling.cpuUtilization=500", "- api.autoscaling.cpuUtilization: "),
        ("milvusUri=http://user:word@milvus:19530", "- milvusUri: "),
    ],
)
def test_wrong_values_are_refused_with_words(change: str, words: str) -> None:
    found = template("--values", example("all"), "--set", change)
    assert found.returncode != 0
    assert words in found.stderr
    assert ":word@" not in found.stderr


def script(name: str, folder: Path, *words: str, installed: bool = False) -> "subprocess.CompletedProcess[str]":
    """The script with a helm that says what it was asked for."""
    fake = folder / "helm"
    fake.write_text(f'#!/bin/sh\nif [ "$1" = status ]; then exit {int(not installed)}; fi\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    env = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    command = ["sh", str(ROOT / "deploy" / "k8s" / name), *words]
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False, timeout=20)


def as_template(asked: str) -> Documents:
    """What helm would install by such a command line."""
    words = asked.splitlines()
    assert words[:3] == ["upgrade", "--install", "lemo"]
    assert Path(words[3]) == CHART
    kept = [word for word in words[4:] if word not in ("--create-namespace", "--wait", "--timeout", "15m")]
    found = template(*kept)
    assert found.returncode == 0, found.stderr
    return [document for document in yaml.safe_load_all(found.stdout) if document]


def test_flink_is_a_cluster_that_its_operator_takes(tmp_path: Path) -> None:
    documents = rendered(example("flink"))
    (cluster,) = of_kind(documents, "FlinkDeployment")
    file = tmp_path / "cluster.json"
    file.write_text(json.dumps(cluster))
    schema = Path(__file__).with_name("flink_deployment.schema.json")
    command = [str(ROOT / ".venv" / "bin" / "check-jsonschema"), "--schemafile", str(schema), str(file)]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert found.returncode == 0, found.stdout + found.stderr
    pod = cluster["spec"]["podTemplate"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["spec"]["containers"]
    assert container["name"] == "flink-main-container"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    # The operator fills in the image; Kubernetes' schema holds the rest.
    whole = {**pod, "spec": {**pod["spec"], "containers": [{**container, "image": cluster["spec"]["image"]}]}}
    template = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "flink"}, "template": whole}
    kubernetes_validate.validate(template, NEWEST.removesuffix(".0"), strict=True)
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    written = [value for key, value in cluster["spec"]["flinkConfiguration"].items() if value.startswith("file://")]
    assert written
    assert all(any(value.removeprefix("file://").startswith(mount) for mount in mounts) for value in written)
    address = f"http://{cluster['metadata']['name']}-rest:8081"
    services = of_kind(documents, "Deployment", "StatefulSet")
    assert {environment(each)["LEMO_FLINK_URL"] for each in services} == {address}


def test_flink_without_what_it_needs_is_told_in_words() -> None:
    for missing, words in (("flink.claimName", "ReadWriteMany"), ("kafkaBootstrapServers", "needs kafkaBootstrap")):
        found = template("--values", example("flink"), "--set", f"{missing}=")
        assert found.returncode != 0
        assert words in found.stderr
    secured = rendered(example("flink"), NEWEST, "--set", "flink.kafkaPropertiesSecret=sasl")
    (job,) = [each for each in of_kind(secured, "Job") if each["metadata"]["name"] == "lemo-flink-jobs-1"]
    kubernetes_validate.validate(job, NEWEST.removesuffix(".0"), strict=True)
    (container,) = pod_of(job)["containers"]
    assert container["args"][-2:] == ["--kafka-properties", "/etc/lemo/kafka/kafka.properties"]


def test_a_script_deploys_all_services(tmp_path: Path) -> None:
    asked = script("deploy-all-services.sh", tmp_path, "--values", str(example("all")))
    assert asked.returncode == 0, asked.stderr
    expected = {document["metadata"]["name"] for document in of_kind(rendered(example("all")), *WORKLOADS)}
    assert {document["metadata"]["name"] for document in of_kind(as_template(asked.stdout), *WORKLOADS)} == expected


@pytest.mark.parametrize("service", ["api", "worker", "beat", "consumer", "console"])
def test_a_script_deploys_one_service(service: str, tmp_path: Path) -> None:
    asked = script("deploy-service.sh", tmp_path, service, "--values", str(example("all")))
    assert asked.returncode == 0, asked.stderr
    names = {document["metadata"]["name"] for document in of_kind(as_template(asked.stdout), *WORKLOADS)}
    assert all(name == "lemo-upgrade" or name.startswith(f"lemo-{service}") for name in names)
    assert len(names) == (3 if service == "worker" else 2)


def test_one_service_of_an_installed_release_leaves_the_others(tmp_path: Path) -> None:
    asked = script("deploy-service.sh", tmp_path, "worker", installed=True)
    words = asked.stdout.splitlines()
    assert "--reset-then-reuse-values" in words
    assert [word for word in words if word.endswith("=false")] == []
    assert words[-2:] == ["--set", "worker.enabled=true"]


def test_an_unknown_service_is_wrong_use(tmp_path: Path) -> None:
    for words in ([], ["apl"], [""]):
        found = script("deploy-service.sh", tmp_path, *words)
        assert found.returncode == 2
        assert "api worker beat consumer console" in found.stderr
