"""Moments, durations and numbers in words, in the language of the page."""

from datetime import UTC, datetime

from lemo.console.language import t
from lemo.console.phrases import Phrases


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """How far a moment is from now, in words: `5 min ago`, `in 2 h`, `never`."""
    if moment is None:
        return t("never", "从未")
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    size = abs(seconds)
    units = (
        (90, 1, "s", "秒"),
        (5400, 60, "min", "分钟"),
        (129_600, 3600, "h", "小时"),
        (float("inf"), 86_400, "days", "天"),
    )
    for limit, unit, english, chinese in units:
        if size < limit:
            amount = f"{size / unit:.0f}"
            if seconds >= 0:
                return t(f"{amount} {english} ago", f"{amount} {chinese}前")
            return t(f"in {amount} {english}", f"{amount} {chinese}后")
    raise AssertionError("unreachable: the last limit is infinite")


_WHO = Phrases(
    [
        (r"(?P<said>.+), experiment (.+), arm (.+)", "{0}，实验 {1} 的 {2} 组"),
        (r"(?P<said>.+), demo", "{0}，演示"),
        ("guardrail", "护栏任务"),
        ("training", "训练任务"),
        (r"(.+), console", "{0}，控制台"),
        (r"(.+), console \(account (.+)\)", "{0}，控制台（账号 {1}）"),
        (r"(.+), console \(key (.+)\)", "{0}，控制台（密钥 {1}）"),
        (r"(.+), console \(OpenID Connect: (.+)\)", "{0}，控制台（OpenID Connect：{1}）"),
        (r"(.+), API \(key (.+)\)", "{0}，API（密钥 {1}）"),
        (r"(.+), command line \((.+)\)", "{0}，命令行（{1}）"),
    ]
)


def who(by: str) -> str:
    """Who did something, by the words that logs keep: a job, or by which way a person or a key came."""
    return t(by, _WHO.chinese(by))


def stamp(moment: datetime | None) -> str:
    """A moment to the minute, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment else ""


def whole(number: float | None) -> str:
    """A count with separators; a dash where it is not known."""
    return "–" if number is None else f"{number:,.0f}"


def compact(number: float | None) -> str:
    """A count in at most four digits: `12.3k`, in Chinese `1.23万`; a dash where it is not known."""
    if number is None:
        return "–"
    steps = t("1e9 B,1e6 M,1e3 k", "1e8 亿,1e4 万").split(",")
    for step in steps:
        size, _, word = step.partition(" ")
        if abs(number) >= float(size) and abs(number) >= 10_000:
            return f"{number / float(size):.3g}{word}"
    return f"{number:,.0f}" if number == int(number) or abs(number) >= 100 else f"{number:,.3g}"


def share(value: float | None, digits: int = 1) -> str:
    """A share as per cent; a dash where it is not known."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def took(seconds: float | None) -> str:
    """A duration: `0.4 s`, `83 s`, `12 min`, `2.5 h`; a dash where it is not known."""
    if seconds is None:
        return "–"
    if seconds < 180:
        amount = f"{seconds:,.1f}" if seconds < 100 else f"{seconds:,.0f}"
        return t(f"{amount} s", f"{amount} 秒")
    if seconds < 5400:
        return t(f"{seconds / 60:.0f} min", f"{seconds / 60:.0f} 分钟")
    return t(f"{seconds / 3600:.1f} h", f"{seconds / 3600:.1f} 小时")
