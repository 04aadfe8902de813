"""The language of a page: English or Chinese, one at a time.

Words stand where they are used: `t("Runs", "运行")`. The visitor's choice is a cookie; without one the browser's
`Accept-Language` decides.
"""

from functools import lru_cache
from typing import Literal

from nicegui import ui

Language = Literal["en", "zh"]
LANGUAGES: dict[Language, str] = {"en": "English", "zh": "中文"}
COOKIE = "lemo-language"


def t(english: str, chinese: str) -> str:
    """The words in the language of the page that is drawn; raises RuntimeError outside of a page, as in a thread."""
    return chosen(language(), english, chinese)


def chosen(language: Language, english: str, chinese: str) -> str:
    """The words in a given language, for code that runs outside of the page."""
    return chinese if language == "zh" else english


def language() -> Language:
    """The language of the page that is drawn; raises RuntimeError outside of a page."""
    request = ui.context.client.request
    return language_of(request.cookies.get(COOKIE, ""), request.headers.get("accept-language", ""))


@lru_cache(maxsize=1024)
def language_of(cookie: str, accepted: str) -> Language:
    """The language by the cookie, else the first that the browser accepts, else English."""
    if cookie in LANGUAGES:
        return cookie
    ranked: list[tuple[float, Language]] = []
    for part in accepted.split(","):
        tag, _, quality = part.strip().partition(";q=")
        name = tag.lower().partition("-")[0]
        if name in LANGUAGES:
            ranked.append((_number(quality), name))
    # `max` takes the first of equals, as the browser lists them.
    return max(ranked, key=lambda pair: pair[0], default=(0.0, "en"))[1]


def _number(quality: str) -> float:
    try:
        return float(quality) if quality else 1.0
    except ValueError:
        return 0.0
