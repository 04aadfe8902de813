"""Backups to S3 and from it: the archive is made, and unpacked, on this machine's disk."""

from pathlib import Path
from tempfile import TemporaryDirectory

from lemo.backup.contents import About
from lemo.backup.make import Watch, make_backup
from lemo.backup.restore import check_target, restore_backup
from lemo.domain.errors import Conflict, EngineUnavailable, InvalidInput
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.stores.objects.archives import file_in, is_remote, parts_of


def backup_to(stores: Stores, place: str, models: bool, watch: Watch) -> About:
    """Makes a backup at a path or `s3://bucket/name`; raises as `make_backup`, and InvalidInput for a wrong URL.

    An object appears in the bucket when all of it is there.
    """
    if not is_remote(place):
        return make_backup(stores, Path(place), models, watch)
    url, name = parts_of(place)
    remote = stores.archive_folder(url)
    if remote.holds(name):
        raise Conflict(f"{place} exists.", "Name another archive, or delete that one.")
    with _room(stores.settings) as folder:
        file = file_in(Path(folder))
        about = make_backup(stores, file, models, watch)
        watch("archive to the bucket")
        remote.write(name, file)
    return about


def restore_from(settings: Settings, place: str, watch: Watch) -> About:
    """Restores a backup from a path or `s3://bucket/name`; raises as `restore_backup`."""
    if not is_remote(place):
        return restore_backup(settings, Path(place), watch)
    url, name = parts_of(place)
    check_target(settings)
    with _room(settings) as folder:
        file = file_in(Path(folder))
        watch("archive from the bucket")
        if not Stores(settings).archive_folder(url).read(name, file):
            raise InvalidInput(f"There is no {place}.", "Name the archive that `lemo backup` wrote.")
        return restore_backup(settings, file, watch)


def _room(settings: Settings) -> "TemporaryDirectory[str]":
    """A folder of this user alone, on the disk that has room for the installation; raises EngineUnavailable."""
    try:
        settings.state.mkdir(parents=True, exist_ok=True)
        return TemporaryDirectory(dir=settings.state, prefix="archive-")
    except OSError as error:
        raise EngineUnavailable(
            f"The archive cannot be kept in {settings.state}: {error.strerror or error}.",
            "Check the folder and its disk.",
        ) from error
