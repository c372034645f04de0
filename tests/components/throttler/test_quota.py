"""Quotas: so many in a calendar day, week or month, whose calendar that is, and what clients are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.throttler.who import ORDER, Who, who
from gatekeep.components.throttler import Quota, Throttle
from gatekeep.components.throttler.quota import Allowance, calendar
from gatekeep.errors import ConfigurationError
from gatekeep.routing import Route
from gatekeep.stores import MemoryStore, Tally
from gatekeep.testing import FakeClock


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0, zone: str = "UTC") -> float:
    return datetime(year, month, day, hour, minute, tzinfo=ZoneInfo(zone)).timestamp()


def statuses(site: Any, times: int, **options: Any) -> list[int]:
    return [site.get("/x", **options).status for _ in range(times)]


# The spec.


@pytest.mark.parametrize(
    ("text", "allowance"),
    [
        ("10000/day", (10000, "day")),
        ("5 per week", (5, "week")),
        ("7 / months", (7, "month")),
        (" 1/Day ", (1, "day")),
    ],
)
def test_allowances(text: str, allowance: tuple[int, str]) -> None:
    assert Allowance.parse(text) == allowance


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"limit": 5}, "not text"),
        ({"limit": "5"}, "not an allowance"),
        ({"limit": "5/hour"}, "day, week and month"),
        ({"limit": "0/day"}, "not between"),
        ({"limit": "1.5/day"}, "not an allowance"),
        ({"limit": "5/day", "offset": 6}, "offset"),
        ({"limit": "5/day", "offset": -1}, "offset"),
        ({"limit": "5/day", "offset": True}, "offset"),
        ({"limit": "5/day", "time_zone": "Mars/Olympus"}, "time_zone"),
        ({"limit": "5/day", "time_zone": "../etc/passwd"}, "time_zone"),
        ({"limit": "5/day", "time_zone": None}, "time_zone"),
        ({"limit": "5/day", "cost": 6}, "none would ever pass"),
        ({"limit": "5/day", "count_when": []}, "count_when"),
        ({"limit": "5/day", "count_when": {5}}, "count_when"),
        ({"limit": "5/day", "count_when": 200}, "count_when"),
        ({"limit": "5/day", "by": "user"}, "nothing to count by"),
    ],
)
def test_mistakes(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Quota(**options)
    assert words in str(caught.value)
    assert Path(__file__).name in str(caught.value)


# The calendar.


@pytest.mark.parametrize(
    ("unit", "zone", "moment", "start", "end"),
    [
        ("day", "UTC", at(2026, 3, 1, 12), at(2026, 3, 1), at(2026, 3, 2)),
        ("week", "UTC", at(2026, 3, 1, 12), at(2026, 2, 23), at(2026, 3, 2)),  # a Sunday: the week began on Monday
        ("week", "UTC", at(2026, 3, 2), at(2026, 3, 2), at(2026, 3, 9)),
        ("month", "UTC", at(2024, 2, 29, 23, 59), at(2024, 2, 1), at(2024, 3, 1)),
        ("month", "UTC", at(2025, 12, 31), at(2025, 12, 1), at(2026, 1, 1)),
        ("day", "Europe/Berlin", at(2026, 3, 28, 23, 30), at(2026, 3, 28, 23), at(2026, 3, 29, 22)),  # 23 hours long
        ("day", "Europe/Berlin", at(2026, 10, 24, 23, 30), at(2026, 10, 24, 22), at(2026, 10, 25, 23)),  # 25 hours long
        ("day", "Asia/Kolkata", at(2026, 1, 1, 18, 30), at(2026, 1, 1, 18, 30), at(2026, 1, 2, 18, 30)),
    ],
)
def test_periods(unit: str, zone: str, moment: float, start: float, end: float) -> None:
    assert calendar(unit, zone)(moment) == (start, end)


@given(
    unix=st.floats(0, 4e9),
    unit=st.sampled_from(["day", "week", "month"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/Havana", "Asia/Beirut", "Australia/Lord_Howe", "Pacific/Apia"]),
)
def test_periods_join_without_gap_or_overlap(unix: float, unit: str, zone: str) -> None:
    period = calendar(unit, zone)
    start, end = period(unix)
    assert start <= unix < end
    assert period(end)[0] == end
    assert period(start - 0.5)[1] == start
    assert period(unix) == (start, end)


# As clients meet it.


def test_so_many_a_day(site):
    clock = FakeClock(wall=at(2026, 5, 1, 22))
    client = site(Quota("3/day", by="ip"), clock=clock)
    assert statuses(client, 4) == [200, 200, 200, 429]
    assert statuses(client, 1, client="192.0.2.9") == [200]
    clock.advance(2 * 3600 - 1)
    assert statuses(client, 1) == [429]
    clock.advance(1)
    assert statuses(client, 4) == [200, 200, 200, 429]


def test_midnight_is_that_of_the_zone(site):
    clock = FakeClock(wall=at(2026, 5, 1, 22, zone="America/New_York"))
    client = site(Quota("1/day", by="ip", time_zone="America/New_York"), clock=clock)
    assert statuses(client, 2) == [200, 429]
    clock.advance(2 * 3600 - 1)  # midnight in UTC was long ago
    assert statuses(client, 1) == [429]
    clock.advance(1)
    assert statuses(client, 2) == [200, 429]


def test_what_a_refusal_says(site):
    clock = FakeClock(wall=at(2026, 5, 1, 23, 59))
    client = site(Quota("1/day", by="ip"), clock=clock)
    passed, refused = client.get("/x"), client.get("/x")
    assert passed.headers.get("ratelimit-policy") == '"ip day";q=1;w=86400'
    assert passed.headers.get("ratelimit") == '"ip day";r=0;t=60'
    assert (refused.status, refused.json()["code"]) == (429, "quota_exceeded")
    assert refused.json()["detail"] == 'The quota "ip day" is used up.'
    assert refused.headers.get("retry-after") == "60"
    assert refused.headers.get("ratelimit") == '"ip day";r=0;t=60'


def test_a_month_has_no_length(site):
    client = site(Quota("5/month", by="ip", name="plan"), clock=FakeClock())
    assert client.get("/x").headers.get("ratelimit-policy") == '"plan";q=5'


def test_in_the_words_of_aws(site):
    client = site(Quota("1/day", by="ip"), errors="aws", clock=FakeClock())
    client.get("/x")
    answer = client.get("/x")
    assert (answer.status, answer.json()) == (429, {"message": "Limit Exceeded"})
    assert answer.headers.get("x-amzn-errortype") == "LimitExceededException"


def test_the_offset_counts_in_a_callers_first_period_only(site):
    clock = FakeClock(wall=at(2026, 5, 1, 12))
    client = site(Quota("3/day", offset=2, by="ip"), clock=clock)
    assert statuses(client, 2) == [200, 429]
    clock.advance(86400)
    assert statuses(client, 4) == [200, 200, 200, 429]
    clock.advance(40 * 86400)
    assert statuses(client, 4) == [200, 200, 200, 429]
    assert statuses(client, 2, client="192.0.2.7") == [200, 429]


def test_a_quota_that_grows_keeps_its_count(site):
    clock = FakeClock()
    store = MemoryStore(clock, max_keys=100)
    assert statuses(site(Quota("2/day", by="ip"), clock=clock, store=store), 3) == [200, 200, 429]
    assert statuses(site(Quota("5/day", by="ip"), clock=clock, store=store), 4) == [200, 200, 200, 429]


def test_a_refused_request_costs_no_quota(site):
    clock = FakeClock(wall=at(2026, 5, 1))
    client = site(Throttle("1/minute", by="ip"), Quota("3/day", by="ip"), clock=clock)
    assert statuses(client, 5) == [200, 429, 429, 429, 429]
    for _ in range(2):
        clock.advance(60)
        assert statuses(client, 2) == [200, 429]
    clock.advance(60)
    answer = client.get("/x")
    assert answer.json()["code"] == "quota_exceeded"
    assert answer.headers.get("retry-after") == str(86400 - 180)


def test_levels_add_up_and_the_answer_names_the_one_that_hit(site):
    clock = FakeClock()
    client = site(
        Who(),
        Quota("100/day", name="account"),
        order=ORDER,
        routes=[Route("/reports", Quota("2/day", name="reports"))],
        clock=clock,
    )
    assert [client.get("/reports", headers=who()).status for _ in range(2)] == [200, 200]
    refused = client.get("/reports", headers=who())
    assert '"reports"' in refused.json()["detail"]
    answer = client.get("/x", headers=who())
    assert answer.headers.get("ratelimit").startswith('"account";r=97')


def test_two_of_one_kind_need_names(site):
    with pytest.raises(ConfigurationError, match="the same limit stands at"):
        site(Quota("5/day"), Quota("9/day")).get("/x")
    site(Quota("5/day"), Quota("9/day", name="more"), Quota("9/week")).get("/x")


def test_the_wall_clock_going_back_opens_no_new_day(site):
    clock = FakeClock(wall=at(2026, 5, 2, 0, 30))
    client = site(Quota("2/day", by="ip"), clock=clock)
    assert statuses(client, 3) == [200, 200, 429]
    clock._wall -= 3600  # yesterday again
    assert statuses(client, 1) == [429]


def test_report_mode_counts_and_refuses_nobody(site):
    clock = FakeClock(wall=at(2026, 5, 2, 0, 30))
    client = site(Quota("1/day", by="ip", mode="report"), clock=clock)
    assert statuses(client, 3) == [200, 200, 200]


@given(hours=st.lists(st.integers(0, 30), max_size=40), limit=st.integers(1, 5))
def test_never_more_than_the_limit_in_a_period(hours: list[int], limit: int) -> None:
    clock = FakeClock(wall=at(2026, 5, 1))
    store = MemoryStore(clock, max_keys=100)
    demand = Tally("q:k", float(limit), calendar("day", "UTC"))
    granted: dict[object, int] = {}
    asked: dict[object, int] = {}
    for step in hours:
        clock.advance(step * 3600.0)
        day = (datetime.fromtimestamp(0, UTC) + timedelta(seconds=clock.wall())).date()
        asked[day] = asked.get(day, 0) + 1
        if store.take_now([demand], clock.monotonic()).refused is None:
            granted[day] = granted.get(day, 0) + 1
    assert granted == {day: min(limit, count) for day, count in asked.items()}


def test_off_cancels_its_own_kind(site):
    client = site(
        Quota("1/day", by="ip"), Throttle("2/day", by="ip"), routes=[Route("/free", Quota.off())], clock=FakeClock(wall=86400.0)
    )
    assert [client.get("/free").status for _ in range(3)] == [200, 200, 429]
    assert client.get("/x", client="192.0.2.8").status == 200
    assert client.get("/x", client="192.0.2.8").json()["code"] == "quota_exceeded"
