"""Public files in the forms in which people have them: small ones of our own making, each read by one call."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lemo.domain.errors import InvalidInput
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.files.folders import open_folder
from lemo.files.known_folders import KNOWN
from lemo.files.plan import Wishes
from lemo.files.reading import Reading
from servers import ROOT

SHOP = ("impression", "view", "click", "cart", "purchase", "rate", "play")
U_ITEM = (
    "1|Toy Story (1995)|01-Jan-1995||http://us.imdb.com/M/title-exact?Toy%20Story%20(1995)"
    "|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
    "543|Misérables, Les (1995)|01-Jan-1995||http://us.imdb.com/M/title-exact?Mis%E9rables%2C%20Les%20%281995%29"
    "|0|0|0|0|0|0|0|0|1|0|0|0|1|0|0|0|0|0|0\n"
    "267|unknown||||1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
)
BEHAVIORS = (
    "1\tU13740\t11/11/2019 9:05:58 AM\tN55189 N42782\tN55689-1 N35729-0\n"
    "2\tU91836\t11/12/2019 6:11:30 PM\t\tN20678-0 N39317-0 N58114-1\n"
)
NEWS = (
    'N55528\tlifestyle\tlifestyleroyals\t"The Brands" Queen Elizabeth Swears By\tShop the notebooks, "now"\t'
    'https://assets.msn.com/labs/mind/AAGH0ET.html\t[{"Label": "Elizabeth II", "WikidataId": "Q9682"}]\t[]\n'
    'N19639\thealth\tweightloss\t"50 Worst Habits\t\thttps://assets.msn.com/labs/mind/AAB19MK.html\t[]\t[]\n'
)
AMAZON_REVIEWS = (
    '{"rating": 5.0, "title": "Such a lovely scent", "text": "Nice.", "images": [], "asin": "B00YQ6X8EO",'
    ' "parent_asin": "B00YQ6X8E0", "user_id": "AGKHLEW2SOWHNMFQIJGBECAF7INQ", "timestamp": 1588687728923,'
    ' "helpful_vote": 0, "verified_purchase": true}\n'
)
AMAZON_REVIEWS_2018 = (
    '{"overall": 5.0, "verified": true, "reviewTime": "09 4, 2015", "reviewerID": "ALJ66O1Y6SLHA",'
    ' "asin": "B000K2PJ4K",'
    ' "reviewerName": "Tonya B.", "reviewText": "Great.", "summary": "Five Stars", "unixReviewTime": 1441324800}\n'
)
AMAZON_METADATA = (
    '{"main_category": "Books", "title": "Chaucer", "average_rating": 4.5, "rating_number": 29, "features": [],'
    ' "description": ["First part.", "Second part."], "price": "8.23", "images": [{"thumb": "https://x/t.jpg",'
    ' "large": "https://x/l.jpg", "hi_res": null}], "videos": [], "store": "Peter Ackroyd",'
    ' "categories": [["Books", "History"], ["Books", "Biography"]], "details": {"Publisher": "Chatto"},'
    ' "parent_asin": "0701169850", "bought_together": null, "author": {"name": "Peter Ackroyd", "about": []}}\n'
)
RETAILROCKET = (
    "timestamp,visitorid,event,itemid,transactionid\n"
    "1433221332117,257597,view,355908,\n"
    "1433224214164,992329,addtocart,248676,\n"
    "1433222276276,599528,transaction,356475,4000\n"
)
REES46 = (
    "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"
    "2019-10-01 00:00:00 UTC,view,44600062,2103807459595387724,,shiseido,35.79,541312140,72d76fde\n"
    "2019-10-01 00:02:14 UTC,purchase,1004856,2053013555631882655,electronics.smartphone,samsung,130.76,543272936,8\n"
)
LASTFM = "userID\tartistID\tweight\n2\t51\t13883\n2\t52\t11690\n"
LASTFM_ARTISTS = (
    "id\tname\turl\tpictureURL\n"
    "1\tMALICE MIZER\thttp://www.last.fm/music/MALICE+MIZER\thttp://userserve-ak.last.fm/serve/252/10808.jpg\n"
    '2\tDiary of "Dreams\thttp://www.last.fm/music/Diary\thttp://userserve-ak.last.fm/serve/252/3052.jpg\n'
)


def _same(row: Any) -> Any:
    return row


def events(path: Path, content: str | bytes, **wishes: Any) -> list[Event]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    reading = Reading(path, Event, _same, wishes=Wishes(**wishes), actions=SHOP)
    found = list(reading)
    assert reading.rejects.first == []
    return found


def items(path: Path, content: str | bytes, **wishes: Any) -> list[Item]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    reading = Reading(path, Item, _same, wishes=Wishes(**wishes))
    found = list(reading)
    assert reading.rejects.first == []
    return found


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("u.data", "196\t242\t3\t881250949\n186\t302\t3\t891717742\n"),
        ("ratings.dat", "196::242::3::881250949\n186::302::3::891717742\n"),
        ("ratings.csv", "userId,movieId,rating,timestamp\n196,242,3.0,881250949\n186,302,3.0,891717742\n"),
        (
            "ratings.tsv",
            "user_id:token\titem_id:token\trating:float\ttimestamp:float\n".replace(":token", "").replace(":float", "")
            + "196\t242\t3\t881250949\n186\t302\t3\t891717742\n",
        ),
    ],
)
def test_ratings_of_films(tmp_path: Path, name: str, content: str) -> None:
    first, second = events(tmp_path / name, content)
    assert (first.user_id, first.item_id, first.action, first.value) == ("196", "242", "rate", 3.0)
    assert first.timestamp == datetime(1997, 12, 4, 15, 55, 49, tzinfo=UTC)
    assert (second.user_id, second.item_id) == ("186", "302")


def test_films(tmp_path: Path) -> None:
    toys, misery, unknown = items(tmp_path / "u.item", U_ITEM.encode("latin-1"))
    assert (toys.item_id, toys.title, toys.categories) == (
        "1",
        "Toy Story (1995)",
        ["Animation", "Children's", "Comedy"],
    )
    assert toys.published_at == datetime(1995, 1, 1, tzinfo=UTC)
    assert (misery.title, misery.categories) == ("Misérables, Les (1995)", ["Drama", "Musical"])
    assert (unknown.title, unknown.categories, unknown.published_at) == ("unknown", [], None)
    dat = "1::Toy Story (1995)::Animation|Children's\n73::Misérables, Les (1925)::Drama|Musical\n"
    for encoding in ("utf-8", "latin-1"):
        _, old = items(tmp_path / "movies.dat", dat.encode(encoding))
        assert (old.title, old.categories) == ("Misérables, Les (1925)", ["Drama", "Musical"])
        assert old.published_at == datetime(1925, 1, 1, tzinfo=UTC)
    table = 'movieId,title,genres\n1,"Toy Story, The (1995)",Adventure|Animation\n2,X,(no genres listed)\n'
    first, none = items(tmp_path / "movies.csv", table)
    assert (first.item_id, first.title, first.categories) == ("1", "Toy Story, The (1995)", ["Adventure", "Animation"])
    assert none.categories == []


def test_news_and_what_was_shown_and_clicked(tmp_path: Path) -> None:
    found = events(tmp_path / "behaviors.tsv", BEHAVIORS)
    assert [(event.user_id, event.item_id, event.action, event.position) for event in found[:3]] == [
        ("U13740", "N55689", "impression", 0),
        ("U13740", "N55689", "click", 0),
        ("U13740", "N35729", "impression", 1),
    ]
    assert found[0].timestamp == datetime(2019, 11, 11, 9, 5, 58, tzinfo=UTC)
    assert found[-1].timestamp == datetime(2019, 11, 12, 18, 11, 30, tzinfo=UTC)
    assert (len(found), len({event.event_id for event in found}), found[-1].request_id) == (7, 7, "2")
    royal, habits = items(tmp_path / "news.tsv", NEWS)
    assert (royal.item_id, royal.categories) == ("N55528", ["lifestyle", "lifestyleroyals"])
    assert royal.title == '"The Brands" Queen Elizabeth Swears By'
    assert royal.description == 'Shop the notebooks, "now"'
    assert (habits.title, habits.url) == ('"50 Worst Habits', "https://assets.msn.com/labs/mind/AAB19MK.html")


def test_reviews_and_products(tmp_path: Path) -> None:
    (new,) = events(tmp_path / "reviews.jsonl", AMAZON_REVIEWS)
    assert (new.user_id, new.item_id, new.action, new.value) == (
        "AGKHLEW2SOWHNMFQIJGBECAF7INQ",
        "B00YQ6X8E0",
        "rate",
        5.0,
    )
    assert new.timestamp == datetime(2020, 5, 5, 14, 8, 48, 923_000, tzinfo=UTC)
    (old,) = events(tmp_path / "reviews_2018.json", AMAZON_REVIEWS_2018)
    assert (old.user_id, old.item_id, old.value) == ("ALJ66O1Y6SLHA", "B000K2PJ4K", 5.0)
    assert old.timestamp == datetime(2015, 9, 4, tzinfo=UTC)
    for content in (AMAZON_METADATA, json.dumps([json.loads(AMAZON_METADATA)], indent=1)):
        (book,) = items(tmp_path / "meta.json", content)
        assert (book.item_id, book.title, book.author) == ("0701169850", "Chaucer", "Peter Ackroyd")
        assert book.description == "First part.\nSecond part."
        assert book.categories == ["Books", "History", "Biography"]
        assert book.image_url == "https://x/l.jpg"
        assert book.attributes["average_rating"] == 4.5


def test_shops(tmp_path: Path) -> None:
    view, cart, purchase = events(tmp_path / "events.csv", RETAILROCKET)
    assert [event.action for event in (view, cart, purchase)] == ["view", "cart", "purchase"]
    assert (view.user_id, view.item_id) == ("257597", "355908")
    assert view.timestamp == datetime(2015, 6, 2, 5, 2, 12, 117_000, tzinfo=UTC)
    assert purchase.attributes == {"transactionid": "4000"}
    first, second = events(tmp_path / "2019-Oct.csv", REES46)
    assert (first.user_id, first.item_id, first.action) == ("541312140", "44600062", "view")
    assert second.timestamp == datetime(2019, 10, 1, 0, 2, 14, tzinfo=UTC)
    assert second.attributes["brand"] == "samsung"


def test_plays_without_a_time(tmp_path: Path) -> None:
    path = tmp_path / "user_artists.dat"
    with pytest.raises(InvalidInput, match="no column timestamp") as caught:
        events(path, LASTFM)
    assert "--no-time" in caught.value.hint
    found = events(path, LASTFM, no_time=True)
    assert [(event.user_id, event.item_id, event.action, event.value) for event in found] == [
        ("2", "51", "play", 13883.0),
        ("2", "52", "play", 11690.0),
    ]
    ids = [event.event_id for event in found]
    again = events(tmp_path / "copy.dat", LASTFM + "3\t1\t2\n", no_time=True)
    assert [event.event_id for event in again][:2] == ids
    first, second = items(tmp_path / "artists.dat", LASTFM_ARTISTS)
    assert (first.item_id, first.title, first.url) == ("1", "MALICE MIZER", "http://www.last.fm/music/MALICE+MIZER")
    assert second.title == 'Diary of "Dreams'
    assert second.image_url.endswith("3052.jpg")


def test_what_nobody_can_know_is_asked(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no column action") as caught:
        events(tmp_path / "a.csv", "userId,movieId,tag,timestamp\n1,2,fun,1700000000\n")
    assert "--action view" in caught.value.hint
    assert "user_id from userId" in caught.value.hint
    (event,) = events(tmp_path / "a.csv", "userId,movieId,tag,timestamp\n1,2,fun,1700000000\n", action="click")
    assert (event.action, event.attributes) == ("click", {"tag": "fun"})
    with pytest.raises(InvalidInput, match="no column user_id"):
        events(tmp_path / "b.csv", "who,what,action,timestamp\n1,2,view,1700000000\n")
    told = {"user_id": "who", "item_id": "what"}
    (event,) = events(tmp_path / "b.csv", "who,what,action,timestamp\n1,2,view,1700000000\n", fields=told)
    assert (event.user_id, event.item_id, event.attributes) == ("1", "2", {})
    with pytest.raises(InvalidInput, match="'usr' is no field") as caught:
        events(tmp_path / "b.csv", "who,what\n1,2\n", fields={"usr": "who"})
    with pytest.raises(InvalidInput, match="no column 'whom'") as caught:
        events(tmp_path / "b.csv", "who,what\n1,2\n", fields={"user_id": "whom"})
    assert "Did you mean who" in caught.value.hint


FOLDERS: dict[str, tuple[dict[str, str | bytes], int, int]] = {
    "MovieLens 100K": ({"u.data": "196\t242\t3\t881250949\n", "u.item": U_ITEM.encode("latin-1")}, 3, 1),
    "MovieLens": (
        {
            "ratings.csv": "userId,movieId,rating,timestamp\n1,1,4.0,964982703\n",
            "movies.csv": "movieId,title,genres\n1,Toy Story (1995),Adventure|Animation\n",
            "tags.csv": "userId,movieId,tag,timestamp\n",
        },
        1,
        1,
    ),
    "MovieLens 1M": (
        {
            "ratings.dat": "1::1193::5::978300760\n1::661::3::978302109\n",
            "movies.dat": "1193::Misérables, Les (1995)::Drama\n".encode("latin-1"),
        },
        1,
        2,
    ),
    "MIND": ({"behaviors.tsv": BEHAVIORS, "news.tsv": NEWS}, 2, 7),
    "Last.fm": ({"user_artists.dat": LASTFM, "artists.dat": LASTFM_ARTISTS}, 2, 2),
    "Retailrocket": ({"events.csv": RETAILROCKET, "category_tree.csv": "categoryid,parentid\n"}, 3, 3),
    "REES46": ({"2019-Oct.csv": REES46, "2019-Nov.csv": REES46.replace("2019-10", "2019-11")}, 2, 4),
    "Amazon reviews": ({"Books.jsonl": AMAZON_REVIEWS, "meta_Books.jsonl": AMAZON_METADATA}, 1, 1),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_of_public_data(name: str, tmp_path: Path) -> None:
    files, items, events = FOLDERS[name]
    for file, content in files.items():
        (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    dataset = open_folder(tmp_path)
    assert dataset.name == name
    acts = list(dataset.events)
    assert {event.action for event in acts} <= set(dataset.scenario.actions)
    assert (len(list(dataset.items)), len({event.event_id for event in acts}), dataset.rejected()) == (items, events, 0)


def test_the_documentation_lists_every_folder_that_is_known() -> None:
    page = (ROOT / "docs" / "import.md").read_text()
    for known in KNOWN:
        assert f"| {known.name}" in page
