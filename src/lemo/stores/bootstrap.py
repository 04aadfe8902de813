"""The first start: the home folder, the tenant `default` and its admin key, and who the command line speaks for."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from lemo.domain.api_key import Role
from lemo.domain.errors import Conflict, EngineUnavailable, InvalidInput, WrongCredential
from lemo.domain.scope import DEFAULT_TENANT
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.documents.api_keys import ApiKeys


def ensure_admin(settings: Settings) -> None:
    """Makes what is missing of home folder (mode 0700), tenant `default` and admin key file (mode 0600).

    Changes nothing where all is there; makes a new key where the store does not know the file's one (it was wiped or
    is another one now). Several processes may do it at once. Raises EngineUnavailable if the store does not answer,
    and InvalidInput if the home folder cannot be written.
    """
    stores = Stores(settings)
    try:
        with _writable(settings.state):
            settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileLock(settings.state / "admin.lock", timeout=30, mode=0o600):
                _ensure_key(stores, settings.admin_key_file)
    finally:
        stores.close()


def credential(settings: Settings, keys: ApiKeys | None = None, role: Role = "operator") -> str:
    """The tenant that the command line's key belongs to: `LEMO_KEY`, else the admin key file's.

    Raises WrongCredential if there is no key, the store does not know it, or (NotAllowed) it has not the role.
    """
    file = settings.admin_key_file
    key = settings.key.get_secret_value() if settings.key else _read(file)
    if not key:
        raise WrongCredential(
            f"There is no key: LEMO_KEY is empty and {file} does not exist.",
            "Start Lemo once (`lemo up`), which makes it, or run this in the folder where Lemo runs, or set LEMO_KEY.",
        )
    stores = Stores(settings, interactive=True)
    try:
        found = (keys or stores.api_keys).find(key)
    finally:
        stores.close()
    if found is None:
        where = "LEMO_KEY" if settings.key else str(file)
        hint = (
            "Set it to a key of this installation, or unset it to use the admin key."
            if settings.key
            else "Start Lemo again (`lemo up`): it makes a new key where the store does not know the old one."
        )
        raise WrongCredential(f"The key in {where} is unknown here.", hint)
    found.check(role, None, datetime.now(UTC))
    return found.tenant_id


def _ensure_key(stores: Stores, file: Path) -> None:
    tenants = stores.tenants
    if not tenants.exists(DEFAULT_TENANT):
        with suppress(Conflict):  # another machine on the same store was faster
            tenants.create(DEFAULT_TENANT)
    key = _read(file)
    if key and stores.api_keys.find(key) is not None:
        if file.stat().st_mode & 0o077:
            file.chmod(0o600)
        return
    _write(file, stores.api_keys.create(DEFAULT_TENANT).key)


def _read(file: Path) -> str:
    """The key in the file, or nothing; raises WrongCredential where the file is not ours to read."""
    try:
        return file.read_text("ascii", errors="replace").strip()
    except FileNotFoundError:
        return ""
    except PermissionError:
        raise WrongCredential(
            f"You may not read {file}.", "Run this as the user that runs Lemo, or set LEMO_KEY."
        ) from None


def _write(file: Path, key: str) -> None:
    """Writes the key so that nobody else can read it for a moment, and a crash leaves the old file or the new one."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.unlink(missing_ok=True)  # of a crash: we hold the lock
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(f"{key}\n")
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)


@contextmanager
def _writable(home: Path) -> Iterator[None]:
    try:
        yield
    except Timeout:
        raise EngineUnavailable(
            f"Another process has been starting Lemo in {home} for more than 30 s.",
            "Look for a hanging one and end it.",
        ) from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise EngineUnavailable(f"The disk of {home} is full.", "Free some space (`df -h`).") from error
        raise InvalidInput(
            f"The home folder {home} cannot be written: {error.strerror}.",
            "Check its owner and mode, or point LEMO_HOME at a folder that you may write.",
        ) from error
