"""Folders of data: recognised by their files; the real data sets where they are on this machine."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lemo.domain.errors import InvalidInput, NotFound
from lemo.files.folders import open_folder

SHARED = Path(__file__).parents[4] / "shared" / "datasets"


def test_movietweetings(tmp_path: Path) -> None:
    (tmp_path / "movies.dat").write_text("0000628::A: B (1908)::Action|Short\n2::新片 (2011)::\n")
    (tmp_path / "ratings.dat").write_text("1::0000628::9::1381945744\n2::2::3::1382400295\n")
    dataset = open_folder(tmp_path)
    old, new = dataset.items
    assert (old.item_id, old.title, old.categories) == ("0000628", "A: B (1908)", ["Action", "Short"])
    assert old.published_at is None
    assert new.published_at == datetime(2011, 1, 1, tzinfo=UTC)
    first, second = dataset.events
    assert (first.user_id, first.item_id, first.action, first.value) == ("1", "0000628", "rate", 9.0)
    assert dataset.scenario.actions["rate"].min_value == 7
    assert second.timestamp == datetime(2013, 10, 22, 0, 4, 55, tzinfo=UTC)


def test_online_retail(tmp_path: Path) -> None:
    moment = datetime(2010, 12, 1, 8, 26)  # noqa: DTZ001 - as the file has it
    pq.write_table(
        pa.table(
            {
                "InvoiceNo": ["1", "1", "C2", "3", "4"],
                "StockCode": ["A", "A", "A", "B", "A"],
                "Description": ["LAMP", "LAMP", "LAMP", "PEN", "LAMP BLUE "],
                "Quantity": [2, 2, -2, 1, 1],
                "InvoiceDate": pa.array([moment] * 5, pa.timestamp("us")),
                "UnitPrice": [1.5, 1.5, 1.5, 1.0, 2.0],
                "CustomerID": [17850.0, 17850.0, 17850.0, None, 9.0],
            }
        ),
        tmp_path / "online_retail.parquet",
    )
    dataset = open_folder(tmp_path)
    events = list(dataset.events)
    assert [(event.event_id, event.user_id, event.value) for event in events] == [
        ("1-0", "17850", 3.0),
        ("1-1", "17850", 3.0),
        ("4-4", "9", 2.0),
    ]
    assert [(item.item_id, item.title) for item in dataset.items] == [("A", "LAMP")]


def test_goodbooks(tmp_path: Path) -> None:
    (tmp_path / "ratings_sample.csv").write_text("user_id,book_id,rating\n58,26,1\n58,27,5\n")
    (tmp_path / "books.csv").write_text(
        "book_id,authors,original_publication_year,title,language_code,image_url\n"
        '26,"A, B",2008.0,"T, #1",eng,http://x/y.jpg\n27,C,-750.0,Iliad,,\n28,D,,None,,\n'
    )
    (tmp_path / "book_genres.csv").write_text('book_id,genres\n26,"fantasy,ya"\n')
    dataset = open_folder(tmp_path)
    first, old, undated = dataset.items
    assert (first.title, first.author, first.categories) == ("T, #1", "A, B", ["fantasy", "ya"])
    assert first.published_at == datetime(2008, 1, 1, tzinfo=UTC)
    assert first.attributes == {"language": "eng"}
    assert old.published_at is None
    assert undated.published_at is None
    assert [event.value for event in dataset.events] == [1.0, 5.0]
    assert dataset.scenario.actions["rate"].min_value == 4


def test_a_damaged_copy_says_where(tmp_path: Path) -> None:
    (tmp_path / "movies.dat").write_text("1::x::y\n")
    (tmp_path / "ratings.dat").write_text("1::1::9::1381945744\n1::1::9\n")
    with pytest.raises(InvalidInput, match="line 2 has 3 fields"):
        list(open_folder(tmp_path).events)


def test_items_and_events_of_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "My Shop (2024)"
    folder.mkdir()
    (folder / "items.csv").write_text("item_id,title\na,x\n,bad\n")
    (folder / "events.jsonl").write_text('{"user_id": "u", "item_id": "a", "action": "click", "timestamp": 1e9}\n')
    dataset = open_folder(folder, "ecommerce")
    assert dataset.scenario.scenario_id == "my-shop-2024"
    assert dataset.scenario.template == "ecommerce"
    assert [item.item_id for item in dataset.items] == ["a"]
    assert [event.user_id for event in dataset.events] == ["u"]
    assert dataset.rejected() == 1


def test_folders_that_say_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no folder"):
        open_folder(tmp_path / "none")
    with pytest.raises(InvalidInput, match=r"holds no items\.csv"):
        open_folder(tmp_path)
    (tmp_path / "items.csv").write_text("item_id\na\n")
    with pytest.raises(InvalidInput, match="is a file"):
        open_folder(tmp_path / "items.csv")
    with pytest.raises(InvalidInput, match=r"holds no events\.csv"):
        open_folder(tmp_path)
    (tmp_path / "items.jsonl").write_text('{"item_id": "a"}\n')
    with pytest.raises(InvalidInput, match="holds both"):
        open_folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "items", "events", "users"),
    [
        ("movietweetings-10K", 3_096, 10_000, 3_794),
        pytest.param("movietweetings-latest", 12_611, 141_695, 21_081, marks=pytest.mark.long),
        pytest.param("online-retail", 3_665, 397_924, 4_339, marks=pytest.mark.long),
        pytest.param("goodbooks-10k", 10_000, 298_176, 2_672, marks=pytest.mark.long),
    ],
)
def test_the_real_ones(name: str, items: int, events: int, users: int) -> None:
    if not (SHARED / name).exists():
        pytest.skip(f"the data set {name} is not on this machine")
    dataset = open_folder(SHARED / name)
    assert len({item.item_id for item in dataset.items}) == items
    seen: set[str] = set()
    ids: set[str] = set()
    for event in dataset.events:
        ids.add(event.event_id)
        seen.add(event.user_id)
    assert (len(ids), len(seen)) == (events, users)
