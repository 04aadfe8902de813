"""English sentences that the product made or stored, in Chinese: each found by its pattern."""

import re
from collections.abc import Iterable
from functools import lru_cache

_AT = re.compile(r"(.+?) at (.+)")


class Phrases:
    """Pairs of a pattern, which fits a whole English text, and its Chinese words.

    `{0}` in the words is the pattern's first group, `{1}` the second. A group that is named `said...` holds a sentence
    of its own, which is translated as well; one named `engine...` holds the name of an engine and maybe its place.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs = [(re.compile(english, re.DOTALL), chinese) for english, chinese in pairs]
        # A page is drawn again every few seconds, with the same sentences.
        self.chinese = lru_cache(maxsize=4096)(self._chinese)
        """The text in Chinese; as it is where no pattern fits."""

    def _chinese(self, text: str) -> str:
        for pattern, words in self._pairs:
            found = pattern.fullmatch(text)
            if found:
                names = {number: name for name, number in pattern.groupindex.items()}
                parts = (self._part(names.get(number, ""), part) for number, part in enumerate(found.groups(), 1))
                return words.format(*parts)
        return text

    def _part(self, name: str, part: str | None) -> str:
        if part is None:
            return ""
        if name.startswith("said"):
            return self._chinese(part)
        if name.startswith("engine"):
            return engine_words(part)
        return part


def engine_words(engine: str) -> str:
    """`Milvus at host:19530` in Chinese."""
    found = _AT.fullmatch(engine)
    return f"{found[1]} ({found[2]})" if found else engine
