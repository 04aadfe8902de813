"""Files that are dropped on the console: bounded, of one tenant, and taken up by the next process."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lemo.console.imports.said import Said
from lemo.console.imports.uploads import MOST_WAITING, Upload, Uploads
from lemo.domain.errors import InvalidInput, NotFound, TooLarge
from lemo.domain.file_mapping import FileMapping
from lemo.settings import Settings

MEGABYTE = b"x" * 1_000_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, console_upload_mb=1)


@pytest.fixture
def uploads(settings: Settings) -> Uploads:
    return Uploads(settings)


def dropped(uploads: Uploads, name: str = "a.csv", content: bytes = b"a,b\n", tenant: str = "default") -> Upload:
    receiving = uploads.begin(tenant, "me", name, None)
    receiving.write(content)
    return receiving.whole(None)


def test_a_file_beyond_the_limit_is_refused_before_and_while_it_comes(uploads: Uploads, tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="more than 1 MB"):
        uploads.begin("default", "me", "big.csv", 1_000_001)
    receiving = uploads.begin("default", "me", "big.csv", None)  # as a program sends it that tells no length
    receiving.write(MEGABYTE)
    with pytest.raises(TooLarge, match="more than 1 MB"):
        receiving.write(b"x")
    receiving.give_up()
    assert uploads.list("default") == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_all_files_together_are_bounded(uploads: Uploads, tmp_path: Path) -> None:
    for number in range(5):
        dropped(uploads, f"{number}.csv", MEGABYTE[:999_000])
    with pytest.raises(TooLarge, match="no room for more"):
        uploads.begin("default", "me", "one.csv", 999_000)
    small = Uploads(Settings(home=tmp_path / "other", console_upload_mb=1))
    for number in range(MOST_WAITING):
        dropped(small, f"{number}.csv")
    with pytest.raises(InvalidInput, match="wait already"):
        small.begin("default", "me", "one.csv", 1)
    dropped(small, tenant="another")
    with pytest.raises(TooLarge, match="takes no files"):
        Uploads(Settings(home=tmp_path, console_upload_mb=0)).begin("default", "me", "a.csv", 1)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a/b\\c.csv", "\x00.csv", "..", "", "标题.csv", "x" * 400, "upload.json"]
)
def test_whatever_its_name_a_file_lies_in_its_own_folder(name: str, uploads: Uploads, tmp_path: Path) -> None:
    upload = dropped(uploads, name, b"content")
    assert uploads.path(upload).resolve().parent == tmp_path / "uploads" / upload.id
    assert uploads.path(upload).read_bytes() == b"content"
    assert uploads.get("default", upload.id) == upload


def test_a_file_is_of_one_tenant(uploads: Uploads) -> None:
    upload = dropped(uploads)
    assert uploads.list("another") == []
    with pytest.raises(NotFound):
        uploads.get("another", upload.id)


def test_what_a_process_left_is_taken_up_by_the_next(uploads: Uploads, settings: Settings) -> None:
    upload = dropped(uploads)
    uploads.hold(upload)
    uploads.save(upload.model_copy(update={"state": "running"}))
    other = Uploads(settings)
    other.recover()
    assert other.get("default", upload.id).state == "running"  # this process is at work on it
    with pytest.raises(InvalidInput, match="being imported already"):
        other.hold(upload)
    with pytest.raises(InvalidInput, match="Stop it first"):
        uploads.discard(upload)
    uploads.release(upload)  # as the end of a process does
    other.recover()
    assert other.get("default", upload.id).state == "broken"
    assert other.path(upload).exists()


def test_files_go_away_when_they_are_imported_or_old(uploads: Uploads) -> None:
    done = dropped(uploads)
    uploads.hold(done)
    uploads.finish(done, "done", result={"read": 1})
    assert not uploads.path(done).exists()
    assert uploads.get("default", done.id).result == {"read": 1}
    old = dropped(uploads, "old.csv").model_copy(update={"created_at": datetime.now(UTC) - timedelta(days=2)})
    uploads.save(old)
    uploads.recover()
    assert [upload.id for upload in uploads.list("default")] == [done.id]
    assert not uploads.path(old).parent.exists()


def test_what_the_form_says_is_what_a_mapping_says() -> None:
    mapping = FileMapping(kind="events", fields={"user_id": "who"}, words={"4": "order", "a=b": "view"}, delimiter="\t")
    wishes = Said.of_mapping("till", mapping).wishes()
    assert (wishes.fields, wishes.words, wishes.delimiter, wishes.kept) == (
        mapping.fields,
        mapping.words,
        mapping.delimiter,
        True,
    )
    with pytest.raises(InvalidInput, match="'order' says of no word"):
        Said(words="4=order, order").wishes()
