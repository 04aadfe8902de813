"""An archive in S3: one object, which is put there when it is whole."""

from pathlib import Path

import obstore

from lemo.domain.errors import InvalidInput
from lemo.stores.objects.transfer import SnapshotTransfer


class ArchiveFolder(SnapshotTransfer):
    """The folder of a bucket that an archive lies in. Every call raises EngineUnavailable."""

    _called = "folder of the archive"

    def holds(self, name: str) -> bool:
        """Whether there is such an object."""
        with self._errors():
            try:
                obstore.head(self._store, name)
            except FileNotFoundError:
                return False
        return True


def is_remote(place: str) -> bool:
    """Whether an archive's place is in S3, and no file."""
    return place.startswith("s3://")


def parts_of(place: str) -> tuple[str, str]:
    """The folder and the name of `s3://bucket/folder/name`; raises InvalidInput."""
    folder, _, name = place.rpartition("/")
    if folder in ("s3:", "s3:/") or not name:
        raise InvalidInput(
            f"{place[:200]!r} names no archive in a bucket.", "Write s3://BUCKET/NAME.tar.gz, with folders if you like."
        )
    return folder, name


def file_in(folder: Path) -> Path:
    """Where an archive stands on this machine before it is sent, or after it was fetched."""
    return folder / "archive.tar.gz"
