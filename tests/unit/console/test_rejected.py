"""The rejected rows of an import as a table."""

from pathlib import Path

from lemo.console.imports.rejected import rejected_csv
from lemo.files.rejects import Rejects, rejects_path


def test_rows_of_any_form_stand_in_one_table_with_line_and_reason(tmp_path: Path) -> None:
    source = tmp_path / "events.jsonl"
    rejects = Rejects(source)
    rejects.add(1, "user_id: is missing", {"item_id": "a,b", "tags": ["x", "y"], "on": True})
    rejects.add(7, "is not JSON: expected value", '{"broken')
    rejects.add(9, "value: input should be a valid number", {"user_id": "用户", "item_id": None, "deep": {"x": 1}})
    rejects.close()
    assert rejected_csv(rejects_path(source)).decode("utf-8-sig").splitlines() == [
        "line,reason,item_id,tags,on,row,user_id,deep",
        '1,user_id: is missing,"a,b","[""x"",""y""]",true,,,',
        '7,is not JSON: expected value,,,,"{""broken",,',
        '9,value: input should be a valid number,,,,,用户,"{""x"":1}"',
    ]


def test_a_file_that_has_enough_bytes_takes_no_more_rows_and_all_are_counted(tmp_path: Path) -> None:
    rejects = Rejects(tmp_path / "events.csv", most_bytes=200)
    for line in range(10):
        rejects.add(line, "user_id: is missing", {"item_id": "a"})
    rejects.close()
    assert (rejects.count, rejects.problem) == (10, "")
    kept = rejected_csv(rejects_path(tmp_path / "events.csv")).decode().splitlines()
    assert len(kept) == 1 + 3
