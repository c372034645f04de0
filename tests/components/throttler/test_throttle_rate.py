"""Rate notation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeep.components.throttler.rate import Rate


@pytest.mark.parametrize(
    ("text", "amount", "period"),
    [
        ("10/second", 10, 1),
        ("10/s", 10, 1),
        ("10 / sec", 10, 1),
        (" 10/seconds ", 10, 1),
        ("10 per second", 10, 1),
        ("100/minute", 100, 60),
        ("100/m", 100, 60),
        ("100/min", 100, 60),
        ("100 per mins", 100, 60),
        ("5/h", 5, 3600),
        ("5/hr", 5, 3600),
        ("5 per hours", 5, 3600),
        ("1000/day", 1000, 86400),
        ("1000/d", 1000, 86400),
        ("1000 per Days", 1000, 86400),
        ("0.5/s", 0.5, 1),
        ("100/15 minutes", 100, 900),
        ("100 per 15 minutes", 100, 900),
        ("100/15m", 100, 900),
        ("3/1.5 hours", 3, 5400),
        ("1/365 days", 1, 365 * 86400),
        ("1000000/s", 1e6, 1),
    ],
)
def test_notation(text: str, amount: float, period: float) -> None:
    rate = Rate.parse(text)
    assert rate == (amount, period)
    assert rate.per_second == pytest.approx(amount / period)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "/second",
        "10/",
        "ten/second",
        "10//second",
        "10 second",
        "10persecond",
        "10/fortnight",
        "10/ss",
        "10/s/s",
        "-1/s",
        "0/s",
        "0.0/s",
        "5/0 minutes",
        "1e3/s",
        "inf/s",
        "nan/s",
        ".5/s",
        "5./s",
        "١٠/s",
        "10/s\n10/s",
        "1000001/s",
        "1/367 days",
        "9" * 400 + "/s",
        "1/" + "9" * 400 + "s",
    ],
)
def test_mistakes(text: str) -> None:
    with pytest.raises(ValueError, match=r"rate|units|through|between"):
        Rate.parse(text)


@given(st.text(max_size=20) | st.from_regex(r"[0-9.]{0,4}[ /per]{0,5}[0-9.]{0,4}[a-z]{0,8}", fullmatch=True))
def test_any_text_is_a_rate_or_a_value_error(text: str) -> None:
    try:
        rate = Rate.parse(text)
    except ValueError:
        return
    assert 0 < rate.per_second <= 1e6
