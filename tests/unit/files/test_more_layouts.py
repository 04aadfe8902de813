"""Files of twenty more origins, small ones of our own making: each is read by one call, and its first row comes out."""

from pathlib import Path
from typing import Any

import pytest

from lemo.domain.errors import InvalidInput
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.files.plan import Wishes
from lemo.files.reading import Reading

ACTIONS = ("impression", "view", "click", "cart", "purchase", "rate", "play", "favorite")

EVENTS: dict[str, tuple[str, tuple[str, str, str, float | None, str], dict[str, Any]]] = {
    # contents: user, item, action, value, time; what is said
    "Yelp reviews": (
        '{"review_id": "KU", "user_id": "mh", "business_id": "XQ", "stars": 3.0, "date": "2018-07-07 22:09:11"}\n',
        ("mh", "XQ", "rate", 3.0, "2018-07-07T22:09:11"),
        {},
    ),
    "Goodreads": (
        '{"user_id": "88", "book_id": "24", "rating": 5, "date_added": "Fri Aug 25 13:55:02 -0700 2017"}\n',
        ("88", "24", "rate", 5.0, "2017-08-25T20:55:02"),
        {},
    ),
    "OTTO": (
        '{"session": 7, "events": [{"aid": 15, "ts": 1659304800025, "type": "clicks"},'
        ' {"aid": 16, "ts": 1659304904511, "type": "orders"}]}\n',
        ("7", "15", "click", None, "2022-07-31T22:00:00.025000"),
        {},
    ),
    "Taobao": (
        "1,2268318,2520377,pv,1511544070\n1,2333346,2520771,fav,1511561733\n",
        ("1", "2268318", "view", None, "2017-11-24T17:21:10"),
        {},
    ),
    "YooChoose clicks": (
        "1,2014-04-07T10:51:09.277Z,214536502,0\n2,2014-04-07T10:54:09.868Z,214536500,0\n",
        ("1", "214536502", "click", None, "2014-04-07T10:51:09.277000"),
        {},
    ),
    "YooChoose buys": (
        "420374,2014-04-06T18:44:58.314Z,214537888,12462,1\n420374,2014-04-06T18:44:58.325Z,214537850,10471,1\n",
        ("420374", "214537888", "purchase", 12462.0, "2014-04-06T18:44:58.314000"),
        {},
    ),
    "Last.fm 1K": (
        "user_000001\t2009-05-04T23:08:57Z\tf1b1\tDeep Dish\t\tMe\nuser_000001\t2009-05-04T13:54:10Z\ta7f7\tX\tt1\tY\n",
        ("user_000001", "Deep Dish - Me", "play", None, "2009-05-04T23:08:57"),
        {},
    ),
    "Last.fm 360K": (
        f"{'0' * 40}\t3bd7\tbetty\t2137\n{'1' * 40}\t\tdie Ärzte\t1099\n",
        ("0" * 40, "3bd7", "play", 2137.0, ""),
        {"no_time": True},
    ),
    "H&M": (
        "t_dat,customer_id,article_id,price\n2018-09-20,0000,0663713001,0.0508\n",
        ("0000", "0663713001", "purchase", None, "2018-09-20T00:00:00"),
        {},
    ),
    "Online Retail": (
        "InvoiceNo,StockCode,Quantity,InvoiceDate,UnitPrice,CustomerID\n"
        "536365,85123A,6,12/1/2010 8:26,2.55,17850.0\n536366,71053,6,12/13/2010 8:28,3.39,17851.0\n",
        ("17850", "85123A", "purchase", None, "2010-12-01T08:26:00"),
        {},
    ),
    "Online Retail as Excel writes it": (
        "InvoiceNo;StockCode;InvoiceDate;CustomerID\n1;85123A;12/1/10 8:26;17850\n2;71053;12/13/10 8:28;17850\n",
        ("17850", "85123A", "purchase", None, "2010-12-01T08:26:00"),
        {},
    ),
    "KuaiRec": (
        "user_id,video_id,play_duration,time,timestamp,watch_ratio\n"
        "0,3649,13838,2020-07-05 00:08:23,1593878903.438,1.2\n",
        ("0", "3649", "play", 1.2, "2020-07-04T16:08:23.438000"),
        {},
    ),
    "RecBole": (
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n",
        ("196", "242", "rate", 3.0, "1997-12-04T15:55:49"),
        {},
    ),
    "Amazon ratings of 2018": (
        "0132793040,AKM1MP6P0OYPR,5.0,1365811200\nB000FA5KKA,A2CX7LUOHB2NDG,4.0,1341100800\n",
        ("AKM1MP6P0OYPR", "0132793040", "rate", 5.0, "2013-04-13T00:00:00"),
        {},
    ),
    "FilmTrust": ("1 1 2\n1 2 4\n2 3 3.5\n", ("1", "1", "rate", 2.0, ""), {"no_time": True}),
    "Book-Crossing": (
        '"User-ID";"ISBN";"Book-Rating"\n"276725";"034545104X";"0"\n',
        ("276725", "034545104X", "rate", 0.0, ""),
        {"no_time": True},
    ),
    "MyAnimeList": ("user_id,anime_id,rating\n1,20,-1\n", ("1", "20", "rate", -1.0, ""), {"no_time": True}),
    "Segment": (
        '{"userId": "u1", "event": "Product Viewed", "timestamp": "2023-01-01T00:00:00Z",'
        ' "properties": {"product_id": "p1"}}\n',
        ("u1", "p1", "view", None, "2023-01-01T00:00:00"),
        {},
    ),
    "PostHog": (
        '{"event": "order_completed", "distinct_id": "u1", "timestamp": "2023-05-30T10:00:00Z",'
        ' "properties": {"product_id": "p"}}\n',
        ("u1", "p", "purchase", None, "2023-05-30T10:00:00"),
        {},
    ),
    "GA4": (
        "event_date,event_timestamp,event_name,user_pseudo_id,item_id\n20210131,1612069510766593,view_item,10.4,GG\n",
        ("10.4", "GG", "view", None, "2021-01-31T05:05:10.766593"),
        {},
    ),
    "Amazon Personalize": (
        "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE\nu,i,1569938523,View,1.5\n",
        ("u", "i", "view", 1.5, "2019-10-01T14:02:03"),
        {},
    ),
    "mongoexport": (
        '{"_id": {"$oid": "5f"}, "user_id": "u", "item_id": {"$numberLong": "42"}, "action": "view",'
        ' "timestamp": {"$date": "2019-10-01T14:02:03Z"}}\n',
        ("u", "42", "view", None, "2019-10-01T14:02:03"),
        {},
    ),
    "objects for user and product": (
        '[{"user": {"id": "u"}, "product": {"id": 7}, "event": "pageview", "time": "2019-10-01"}]',
        ("u", "7", "view", None, "2019-10-01T00:00:00"),
        {},
    ),
    "date and clock apart": (
        "user_id,item_id,event,date,time\nu,i,view,01.10.2019,14:02\nu,i,view,13.10.2019,14:02\n",
        ("u", "i", "view", None, "2019-10-01T14:02:00"),
        {},
    ),
    "Tianchi, with its numbers explained": (
        "user_id,item_id,behavior_type,time\n1,2,1,2014-12-08 18\n1,3,4,2014-12-12 12\n",
        ("1", "2", "view", None, "2014-12-08T18:00:00"),
        {"words": {"1": "view", "2": "favorite", "3": "cart", "4": "purchase"}},
    ),
    "an address inside objects": (
        '{"who": {"login": {"name": "u"}}, "what": "i", "when": "2019-10-01"}\n',
        ("u", "i", "view", None, "2019-10-01T00:00:00"),
        {"fields": {"user_id": "who.login.name", "item_id": "what", "timestamp": "when"}, "action": "view"},
    ),
}


@pytest.mark.parametrize("name", EVENTS)
def test_events(name: str, tmp_path: Path) -> None:
    content, (user, item, action, value, moment), said = EVENTS[name]
    path = tmp_path / "file"
    path.write_text(content)
    reading = Reading(path, Event, lambda event: event, wishes=Wishes(**said), actions=ACTIONS)
    first, *_ = events = list(reading)
    assert reading.rejects.first == []
    assert (first.user_id, first.item_id, first.action, first.value) == (user, item, action, value)
    assert not moment or first.timestamp.replace(tzinfo=None).isoformat() == moment
    assert {event.action for event in events} <= set(ACTIONS)


ITEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "Yelp businesses": (
        '{"business_id": "Pn", "name": "Abby", "is_open": 0, "attributes": {"Parking": "True"},'
        ' "categories": "Doctors, Health", "hours": null}\n',
        {"item_id": "Pn", "title": "Abby", "categories": ["Doctors", "Health"]},
    ),
    "Steam": (
        "{u'publisher': u'Kotoshiro', u'genres': [u'Action', u'Casual'], u'app_name': u'Kitty', u'id': u'761140'}\n",
        {"item_id": "761140", "title": "Kitty", "categories": ["Action", "Casual"], "author": "Kotoshiro"},
    ),
    "H&M articles": (
        "article_id,product_code,prod_name,product_type_name,detail_desc\n"
        "0108775015,0108775,Strap top,Vest top,Jersey\n",
        {"item_id": "0108775015", "title": "Strap top", "description": "Jersey", "categories": ["Vest top"]},
    ),
    "Book-Crossing": (
        '"ISBN";"Book-Title";"Book-Author";"Year-Of-Publication";"Publisher";"Image-URL-L"\n'
        '"0195153448";"Mythology";"Mark Morford";"2002";"Oxford";"http://i/x.jpg"\n',
        {"item_id": "0195153448", "title": "Mythology", "author": "Mark Morford", "image_url": "http://i/x.jpg"},
    ),
    "RecBole": (
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "1\tToy Story\t1995\tAnimation Comedy\n",
        {"item_id": "1", "title": "Toy Story", "categories": ["Animation", "Comedy"]},
    ),
    "The Movies Dataset": (
        "id,title,genres,release_date\n862,Toy Story,\"[{'id': 16, 'name': 'Animation'}]\",1995-10-30\n1,x,[],1995\n",
        {"item_id": "862", "title": "Toy Story", "categories": ["Animation"]},
    ),
    "Google Merchant": (
        "id\ttitle\tlink\timage_link\tprice\tbrand\tgoogle_product_category\n"
        "1\tA\thttp://x\thttp://y\t12 USD\tacme\tApparel\n",
        {"item_id": "1", "url": "http://x", "image_url": "http://y", "author": "acme", "categories": ["Apparel"]},
    ),
    "Shopify": (
        'Handle,Title,Body (HTML),Vendor,Tags,Image Src\nshirt,Shirt,<p>x</p>,Acme,"a, b",https://x\n',
        {"item_id": "shirt", "title": "Shirt", "description": "<p>x</p>", "author": "Acme", "tags": ["a", "b"]},
    ),
    "numbers with grouped thousands": (
        'id,name,price\na,x,"1,234.50"\nb,y,2.00\n',
        {"item_id": "a", "attributes": {"price": "1234.50"}},
    ),
}


@pytest.mark.parametrize("name", ITEMS)
def test_items(name: str, tmp_path: Path) -> None:
    content, expected = ITEMS[name]
    path = tmp_path / "file"
    path.write_text(content)
    reading = Reading(path, Item, lambda item: item)
    first, *_ = reading
    assert reading.rejects.first == []
    assert {field: getattr(first, field) for field in expected} == expected


def test_what_has_no_time_is_told(tmp_path: Path) -> None:
    (tmp_path / "ratings.txt").write_text("1 1 2\n1 2 4\n")
    with pytest.raises(InvalidInput, match="have no time") as caught:
        Reading(tmp_path / "ratings.txt", Event, lambda event: event)
    assert "--no-time" in caught.value.hint


def test_a_table_without_names_shows_what_its_columns_hold(tmp_path: Path) -> None:
    (tmp_path / "places.txt").write_text("470\t49bb\t40.7\tshop\n471\t49bc\t40.8\tshop\n")
    with pytest.raises(InvalidInput, match=r"column_1 \(470\), column_2 \(49bb\)"):
        Reading(tmp_path / "places.txt", Event, lambda event: event)


def test_json_lines_that_lack_a_column_say_so_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "odd.jsonl").write_text('{"user_id": "u", "inside": {"thing": 1}, "timestamp": 1569938523}\n')
    with pytest.raises(InvalidInput, match=r"has no column item_id, action; it has: .*inside\.thing"):
        Reading(tmp_path / "odd.jsonl", Event, lambda event: event, actions=ACTIONS)


def test_of_python_s_notation_nothing_is_executed(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_text("{'item_id': 'a'}\n{'item_id': __import__('os').getpid()}\n{'item_id': 'b'}\n")
    reading = Reading(tmp_path / "f.jsonl", Item, lambda item: item)
    assert [item.item_id for item in reading] == ["a", "b"]
    assert [reject.line for reject in reading.rejects.first] == [2]
