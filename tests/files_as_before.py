"""Files with the documented columns, as people imported them before other forms were understood.

Run as a program it prints what the installed version makes of them: the version before wrote `as_before.json` so.
"""

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars

from lemo.files.reading import read_events, read_items

EVENTS = "user_id,item_id,action,timestamp,value,event_id,position,device,colour\n"
ROWS: list[dict[str, Any]] = [
    {"user_id": f"u{n}", "item_id": n, "action": "rate", "timestamp": 1_700_000_000 + n, "value": n / 2, "tags": [n]}
    for n in range(5)
]


def files() -> Iterator[tuple[str, bytes]]:
    """Names and contents; names that begin with `items` are files of items."""
    yield (
        "items.csv",
        (
            "item_id,title,categories,tags,is_active,published_at,expires_at,price,empty,\n"
            '"a/b c",你好,x|y, t ,false,1700000000,2024-01-01,9.5,,7\n'
            'b,"two\r\nlines",,,,,,"9,5",,\n\nc,5" screen,"a, b",x;y,yes,2020-02-30,,,,\n,none,,,,,,,,\n007,,,,,,,,,\n'
            "d,NULL,NaN,None,maybe,1999-12-31T23:59:59+08:00,1e12,1,2,3\nshort\n1.0,x,,,,,,,,\n"
        ).encode(),
    )
    yield "items-semicolon.csv", b'\xef\xbb\xbftitle;item_id;author\nx, y;a;1,5\n"q;""r""";b;\n'
    yield "items-tab.csv", b'title\titem_id\nx y\ta\n"open\tb\n5" z\tc\n'
    yield "items-quotes.csv", b'item_id,title\na,"stray\nb,fine\nc,"Big" and small\nd,"never\n'
    yield (
        "items.jsonl",
        (
            b'{"item_id": 7, "tags": ["x"], "n": {"d": [1]}, "b": "B"}\n\n[1]\nnot json\n{"item_id": "b", "id": 3}\n'
            b'{"title": "none"}\n{"item_id": "c", "author": null, "categories": "a|b", "published_at": "2024-05-01"}\n'
        ),
    )
    yield (
        "events.csv",
        (
            EVENTS + "u,i,click,1700000000,,,,,\nu,i,click,2023-11-14T22:13:20Z,,,,phone,red\n"
            "u,i,rate,1700000000123,4.5,e1,3,,\nu,i,Click,1700000000,,,,,\nu,i,click,soon,,,,,\n,i,click,1700000000,,,,,\n"
            "u,i,rate,1700000000,nan,,,,\nu,i,click,1e9,,,-1,,\nu,i,click,1970-01-20,,,,,\n17850.0,1.5,click,1e9,,,,,\n"
        ).encode(),
    )
    yield "events.csv.gz", gzip.compress((EVENTS + "u,i,click,1700000000,,,,,\n").encode(), mtime=0)
    yield (
        "events.jsonl",
        (
            b'{"user_id": "u", "item_id": 5, "action": "click", "timestamp": 1e9, "title": "t", "user": "w"}\n{}\n'
            b'{"user_id": true, "item_id": "i", "action": "click", "timestamp": 1e9}\n'
            b'{"user_id": "u", "item_id": "i", "action": "click", "timestamp": "2020-01-01 10:00", "attributes": '
            b'{"a": 1}}\n'
        ),
    )
    with TemporaryDirectory() as folder:
        path = Path(folder, "rows")
        frame = polars.DataFrame(ROWS)
        frame.write_parquet(path)
        yield "events.parquet", path.read_bytes()
        frame.write_ndjson(path)
        yield "events-polars.ndjson", path.read_bytes()
        frame.with_columns(polars.col("item_id").cast(float)).drop("tags").write_parquet(path)
        yield "events-float-ids.parquet", path.read_bytes()
        frame.drop("tags").write_csv(path)
        yield "events-polars.csv", path.read_bytes()


def outcome(folder: Path) -> dict[str, Any]:
    """What reading each file makes of it: good rows, and bad rows with line and whether the reason is one of time."""
    found: dict[str, Any] = {}
    for name, content in files():
        path = folder / name
        path.write_bytes(content)
        reading: Any = read_items(path) if name.startswith("items") else read_events(path)
        good = [model.model_dump(mode="json", exclude_unset=True) for model in reading]
        found[name] = {"good": good, "bad": [reject.line for reject in reading.rejects.first]}
    return found


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        sys.stdout.write(json.dumps(outcome(Path(temporary)), ensure_ascii=False, indent=1, sort_keys=True) + "\n")
