"""Copies the objects of a snapshot store into files, and back."""

from collections.abc import Iterator
from pathlib import Path

import obstore

from lemo.stores.objects.snapshots import CHUNK, MANIFEST, POINTERS, Snapshots


class SnapshotTransfer(Snapshots):
    """All objects of a store. Every call raises EngineUnavailable when it does not answer or its disk is full."""

    def names(self) -> Iterator[str]:
        """The names of all objects.

        Pointers come first, so that what they name is copied too; manifests last, since a version without one is none.
        """
        with self._errors():
            names = [str(entry["path"]) for batch in obstore.list(self._store) for entry in batch]
        yield from sorted(names, key=lambda name: (f"/{POINTERS}/" not in name, name.endswith(MANIFEST), name))

    def read(self, name: str, file: Path) -> bool:
        """Writes an object into the file; False where it was deleted meanwhile."""
        with self._errors():
            try:
                found = obstore.get(self._bulk, name)
            except FileNotFoundError:
                return False
            with file.open("wb") as out:
                for chunk in found.stream(CHUNK):
                    out.write(chunk)
        return True

    def write(self, name: str, file: Path) -> None:
        """Makes an object of a file, or replaces it."""
        with self._errors():
            obstore.put(self._bulk, name, file)
