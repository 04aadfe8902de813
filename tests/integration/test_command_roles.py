"""Every command with keys of every role: what the role does not include is refused before anything is done."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from command_lines import COMMANDS, words, write_files
from lemo.cli.main import app
from lemo.domain.api_key import KeyWishes, Role
from lemo.domain.errors import NotAllowed
from lemo.domain.scenario import scenario_from_template
from lemo.settings import Settings
from lemo.stores.bootstrap import ensure_admin
from lemo.stores.connect import Stores

WITHOUT_KEY = {
    "down",
    "status",
    "doctor",
    "settings",
    "installation",
    "upgrade",
    "backup",
    "restore",
    "connect",
    "flink list",
    "flink submit",
    "flink stop",
    "sources list",
    "sources check",
}
"""Commands about the installation as a whole, for whoever may reach its files and engines."""
OF_ADMINS = ("keys ", "tenants ", "accounts ", "audit")


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[Role, str]:
    """Keys of the roles of the tenant `default`, which has a scenario, and nothing runs."""
    monkeypatch.setenv("LEMO_HOME", str(tmp_path / "home"))
    settings = Settings()
    ensure_admin(settings)
    stores = Stores(settings)
    stores.scenarios.create("default", scenario_from_template("shop", "ecommerce"))
    roles: tuple[Role, ...] = ("read", "ingest", "operator")
    found = {role: stores.api_keys.create("default", KeyWishes(role=role)).key for role in roles}
    stores.close()
    write_files(tmp_path)
    return found


def test_a_key_does_what_its_role_includes_and_no_more(keys: dict[Role, str], monkeypatch: pytest.MonkeyPatch) -> None:
    others = []
    for path, command in COMMANDS:
        for role, key in keys.items():
            if path in WITHOUT_KEY or (role == "operator" and not path.startswith(OF_ADMINS)):
                continue
            monkeypatch.setenv("LEMO_KEY", key)
            result: Any = CliRunner().invoke(app, words(path, command))
            if not isinstance(result.exception, NotAllowed):
                others.append((path, role, result.exception, result.output))
    assert not others, "\n".join(map(str, others))


def test_another_tenants_administrator_reaches_no_tenant_but_its_own(
    keys: dict[Role, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = Stores(Settings())
    stores.tenants.create("acme")
    monkeypatch.setenv("LEMO_KEY", stores.api_keys.create("acme").key)
    stores.close()
    with_tenant = [
        (path, command) for path, command in COMMANDS if any(each.name == "tenant" for each in command.params)
    ]
    assert {path for path, _ in with_tenant} >= {"keys list", "accounts create", "audit"}
    for path, command in with_tenant:
        result: Any = CliRunner().invoke(app, [*words(path, command), "--tenant", "default"])
        assert isinstance(result.exception, NotAllowed), (path, result.exception, result.output)
