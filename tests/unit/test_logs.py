"""The terminal shows all logs as one: whole lines, with names, also across a rotation and of files that come later."""

from collections.abc import Callable
from pathlib import Path

from lemo.embedded.logs import follow, lines_since, sizes


def append(file: Path, text: str) -> None:
    with file.open("a") as out:
        out.write(text)


def test_one_view_of_all_logs(tmp_path: Path) -> None:
    api, late = tmp_path / "api.log", tmp_path / "worker.log"
    api.write_text("before\n")

    def rotate() -> None:
        api.rename(tmp_path / "api.log.1")
        append(api, "after rotation\n")

    steps: list[Callable[[], None]] = [
        lambda: None,
        lambda: append(api, "half"),
        lambda: append(api, " a line\n"),
        lambda: append(late, "first\n"),
        rotate,
        lambda: None,
    ]

    def alive() -> bool:
        steps.pop(0)()
        return bool(steps)

    seen = list(follow(tmp_path, alive))
    assert seen == ["api        | half a line", "worker     | first", "api        | after rotation"]


def test_the_lines_of_this_start_alone(tmp_path: Path) -> None:
    (tmp_path / "api.log").write_text("old\n")
    begun = sizes(tmp_path)
    with (tmp_path / "api.log").open("a") as file:
        file.write("new\n")
    assert lines_since(tmp_path, "api", begun["api"]) == ["new"]
    (tmp_path / "api.log").write_text("x\n")
    assert lines_since(tmp_path, "api", begun["api"]) == ["x"]
    assert lines_since(tmp_path, "nobody", 0) == []
