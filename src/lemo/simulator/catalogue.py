"""The items of the small world."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from lemo.domain.item import Item
from lemo.simulator.words import Vocabulary

Array = np.ndarray[Any, Any]
DAY_MS = 86_400_000


@dataclass(frozen=True, eq=False)
class Catalogue:
    """n items with what users feel of them: arrays of length n beside the items themselves."""

    items: list[Item]
    categories: Array
    """int (n,)"""
    themes: Array
    """int (n,): over all categories; theme t belongs to category t // 3."""
    appeal: Array
    """float (n,): how well made an item is, whatever it is about; the reason for skewed popularity."""
    published_ms: Array
    """int64 (n,)"""
    prices: Array
    """float (n,)"""
    seconds: Array
    """float (n,): how long it takes to watch or read."""


def make_catalogue(
    random: np.random.Generator, words: Vocabulary, prefix: str, count: int, start_ms: int, end_ms: int
) -> Catalogue:
    """`count` items, a third of them there at the start, the others published until shortly before the end."""
    names = list(words.themes)
    per_category = len(words.themes[names[0]])
    themes = random.permutation(np.arange(count) % (len(names) * per_category))
    categories = themes // per_category
    appeal = random.normal(0, 0.7, count)
    early = random.random(count) < 1 / 3
    span = end_ms - start_ms
    published = np.where(
        early,
        start_ms - random.integers(DAY_MS, 60 * DAY_MS, count),
        start_ms + (random.random(count) * 0.97 * span).astype(np.int64),
    )
    prices = np.round(np.exp(random.normal(3.3, 0.7, count)), 1)
    seconds = np.round(np.exp(random.normal(4.8, 0.5, count)))
    in_chinese = random.random(count) < 0.5
    picks = random.permutation(len(words.english) * len(words.details))
    used: dict[str, int] = {}
    seen_of_theme: dict[tuple[int, bool], int] = {}
    items = []
    for row in range(count):
        theme, category = int(themes[row]), int(categories[row])
        language = int(in_chinese[row])
        # Walking a fixed permutation per theme gives each title once until all forms are used up.
        turn = seen_of_theme.get((theme, bool(language)), theme)
        seen_of_theme[theme, bool(language)] = turn + 1
        form, detail = divmod(int(picks[turn % len(picks)]), len(words.details))
        pair = words.themes[names[category]][theme % per_category]
        title = _title(words, language, form, pair[language], words.details[detail][language])
        times = used[title] = used.get(title, 0) + 1
        if times > 1:
            title += f"（{times}）" if language else f" (part {times})"
        moment = datetime.fromtimestamp(int(published[row]) // 1000, UTC)
        author = words.authors[(category + row % 2) % len(words.authors)][language]
        items.append(
            Item(
                item_id=f"{prefix}-{row + 1:04d}",
                title=title,
                description=_description(language, pair[language], names[category], author),
                categories=[names[category]],
                tags=list(pair),
                author=author,
                published_at=moment,
                attributes={"language": "zh" if language else "en"}
                | ({"price": float(prices[row])} if prefix == "product" else {"seconds": int(seconds[row])}),
            )
        )
    return Catalogue(items, categories, themes, appeal, published.astype(np.int64), prices, seconds)


def _title(words: Vocabulary, language: int, form: int, theme: str, detail: str) -> str:
    forms = words.chinese if language else words.english
    return forms[form].format(theme=theme, Theme=theme[:1].upper() + theme[1:], detail=detail)


def _description(language: int, theme: str, category: str, author: str) -> str:
    if language:
        return f"{author}带来的{theme}，适合每一位喜欢{theme}的人。"
    return f"{theme[:1].upper()}{theme[1:]} by {author}, for everyone who cares about {category}."
