"""How a lag reads to people."""

import pytest

from lemo.streams.lag import Lag


@pytest.mark.parametrize(
    ("lag", "text"),
    [
        (Lag(0, 0.0), "up to date"),
        (Lag(1, 0.04), "1 message, 0.0 s behind"),
        (Lag(1_204, 3.14), "1,204 messages, 3.1 s behind"),
        (Lag(2, 119.9), "2 messages, 119.9 s behind"),
        (Lag(2, 150), "2 messages, 2.5 min behind"),
        (Lag(2, 9_000), "2 messages, 2.5 h behind"),
        (Lag(2, 30 * 86_400), "2 messages, 30.0 days behind"),
    ],
)
def test_a_lag_in_words(lag: Lag, text: str) -> None:
    assert str(lag) == text
