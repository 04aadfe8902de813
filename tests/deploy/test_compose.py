"""The Compose file: valid, closed to other machines, without a default password, health-gated."""

import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

import compose_file
from compose_file import FOLDER, LEMO_SERVICES
from engines.flink import CONNECTOR
from lemo.settings import Settings
from servers import ROOT

SERVICES = compose_file.raw()["services"]
BIN = ROOT / ".venv" / "bin"


def run(*words: str | Path, folder: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*map(str, words)], cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_it_is_what_the_specification_of_compose_allows() -> None:
    found = run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", compose_file.FILE)
    assert found.returncode == 0, found.stdout + found.stderr


def test_yaml_is_in_order() -> None:
    found = run(BIN / "yamllint", "--strict", "-c", ".yamllint.yaml", "deploy")
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_dockerfile_is_in_order() -> None:
    found = run(BIN / "hadolint", "Dockerfile")
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_image_gets_what_the_tests_ran_with() -> None:
    def versions(lock: str) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / lock).read_text(), re.M))

    tested, shipped = versions("requirements.lock"), versions("deploy/requirements.lock")
    assert shipped.items() <= tested.items()
    assert "pytest" not in shipped
    assert {"confluent-kafka", "pymongo", "celery"} <= shipped.keys()


def test_the_image_is_sent_each_file_that_its_build_copies() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    copies = re.findall(r"^COPY (?!--from)(?:--chmod=\d+ )?(.+) \S+$", lines, re.M)
    copied = {word.removeprefix("./") for line in copies for word in line.split()}
    assert copied == sent
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_pinned_limited_and_watched(name: str) -> None:
    service: dict[str, Any] = SERVICES[name]
    tag = compose_file.text_of(service["image"], {}).rpartition(":")[2]
    assert re.search(r"\d+\.\d+|\d{4}-\d\d-\d\d", tag), f"{name}: {service['image']} is no version"
    if name not in ("upgrade", "flink-jobs"):  # these end
        assert service["healthcheck"]["test"]
        assert service["deploy"]["resources"]["limits"]["memory"]
        assert service["restart"] == "unless-stopped"


def test_ports_are_published_on_this_machine_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(published) == 4
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_there_is_no_default_password() -> None:
    environments = [service["environment"] for service in SERVICES.values() if "environment" in service]
    secrets = {
        name: value
        for environment in environments
        for name, value in environment.items()
        if re.search("PASSWORD|SECRET|AUTH$", name)
    }
    assert len(secrets) >= 5
    assert all(re.fullmatch(r"\$\{[A-Z]+_PASSWORD:\?[^}]+\}", value) for value in secrets.values())
    urls = [value for each in environments for value in each.values() if re.search(r"//\w*:[^/]*@", str(value))]
    assert urls
    assert all(re.search(r"//\w*:\$\{[A-Z]+_PASSWORD:\?[^}]+\}@", url) for url in urls)


@pytest.mark.parametrize("name", LEMO_SERVICES)
def test_services_of_ours_run_locked_down_and_after_what_they_need(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    gates = {needed: gate["condition"] for needed, gate in service["depends_on"].items()}
    assert {gates[engine] for engine in ("redis", "mongo", "clickhouse", "kafka")} == {"service_healthy"}
    assert name == "upgrade" or gates["upgrade"] == "service_completed_successfully"
    unknown = {key for key in service["environment"] if key.removeprefix("LEMO_").lower() not in Settings.model_fields}
    assert unknown == set()


@pytest.mark.parametrize("name", [name for name in SERVICES if name.startswith("flink-")])
def test_flink_runs_locked_down_and_nobody_else_reaches_it(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["networks"] == ["engines"]
    assert "ports" not in service
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert set(service.get("environment", ())) <= set(SERVICES["api"]["environment"])
    jobs = SERVICES["flink-jobs"]
    assert jobs["depends_on"].keys() == {"consumer", "flink-jobmanager", "flink-taskmanager"}
    assert all(gate["condition"] == "service_healthy" for gate in jobs["depends_on"].values())


def test_the_image_of_flink_has_what_the_tests_run() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"flink-sql-connector-kafka:{CONNECTOR}" in dockerfile
    version = re.search(r"^apache-flink==(\S+)", (ROOT / "deploy/flink/requirements.lock").read_text(), re.M)
    assert version is not None
    assert CONNECTOR.rpartition("-")[2] <= version[1]
    assert {f"deploy/flink/{path.name}" for path in (ROOT / "deploy/flink").glob("*.py")} <= set(dockerfile.split())


def test_engines_of_profiles_keep_nobody_from_starting() -> None:
    for service in SERVICES.values():
        if "profiles" not in service:
            for needed, gate in service.get("depends_on", {}).items():
                assert "profiles" not in SERVICES[needed] or gate["required"] is False


def test_passwords_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    script = folder / "init-env"
    script.write_bytes((FOLDER / "init-env").read_bytes())
    made = run("sh", script, "milvus", "flink", "monitoring", folder=folder)
    assert made.returncode == 0, made.stderr
    file = folder / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    values = dict(line.split("=", 1) for line in file.read_text().splitlines() if not line.startswith("#"))
    assert compose_file.asked_for() <= values.keys()
    passwords = [value for name, value in values.items() if name.endswith("_PASSWORD")]
    assert len(set(passwords)) == len(passwords) == len(compose_file.asked_for())
    assert all(re.fullmatch("[A-Za-z0-9]{32}", password) for password in passwords)
    assert values["COMPOSE_PROFILES"] == "milvus,flink,monitoring"
    assert values["LEMO_FLINK_URL"] == "http://flink-jobmanager:8081"
    assert not any(password in made.stdout + made.stderr for password in passwords)
    before = file.read_text()
    assert run("sh", script, "none", folder=folder).returncode == 0
    assert file.read_text() == before


def test_a_wrong_profile_is_told_and_nothing_written(tmp_path: Path) -> None:
    script = tmp_path / "init-env"
    script.write_bytes((FOLDER / "init-env").read_bytes())
    found = run("sh", script, "milvsu", folder=tmp_path)
    assert found.returncode == 2
    assert "there are milvus, flink and monitoring" in found.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["init-env"]


def test_without_a_profile_milvus_is_not_asked() -> None:
    password = dict.fromkeys(compose_file.asked_for(), "p")
    assert compose_file.services(password)["worker"]["environment"]["LEMO_MILVUS_URI"] == "http://milvus:19530"
    none = compose_file.services({**password, "LEMO_MILVUS_URI": ""})
    assert none["worker"]["environment"]["LEMO_MILVUS_URI"] == ""
