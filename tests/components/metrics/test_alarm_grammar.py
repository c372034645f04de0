"""What can be written in an Alarm, what it says of what can't, and how points are judged: M of N, with some missing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeep import Alarm, ConfigurationError
from gatekeep.alarms import SNS, Webhook
from gatekeep.components.metrics.alarms.condition import told
from gatekeep.components.metrics.alarms.rule import BEYOND, Rule
from gatekeep.components.metrics.alarms.running import RunningAlarm
from gatekeep.components.metrics.distribution import Distribution


@pytest.mark.parametrize(
    ("text", "said", "threshold", "seconds"),
    [
        ("5xx rate > 5% for 60 s", "5xx rate > 5% for 60 s", 0.05, 60),
        ("5XX  Rate>=0.5 % for 1 min", "5xx rate >= 0.5% for 60 s", 0.005, 60),
        ("latency p99 > 500 ms for 5 min", "latency p99 > 500 ms for 300 s", 0.5, 300),
        ("p99.9 latency > 1.5s for 10s", "latency p99.9 > 1.5 s for 10 s", 1.5, 10),
        ("average integration latency > .2 s for 20 s", "integration latency average > 200 ms for 20 s", 0.2, 20),
        ("authorizer latency maximum > 1 min for 1 h", "authorizer latency maximum > 60 s for 3600 s", 60.0, 3600),
        ("request count < 1 for 5 min", "request count < 1 for 300 s", 1, 300),
        ("request rate > 120/min for 30 s", "request rate > 2/s for 30 s", 2, 30),
        ("request rate > 7200 / h for 5 s", "request rate > 2/s for 5 s", 2, 5),
        ("401 count > 100 for 60 s", "401 count > 100 for 60 s", 100, 60),
        ("throttled rate > 10% for 60 s", "throttled rate > 10% for 60 s", 0.1, 60),
        ("cache hit ratio < 80% for 60 s", "cache hit ratio < 80% for 60 s", 0.8, 60),
        ("store error count > 0 for 60 s", "store error count > 0 for 60 s", 0, 60),
        ("stores away >= 1 for 30 s", "stores away >= 1 for 30 s", 1, 30),
    ],
)
def test_what_can_be_written(text: str, said: str, threshold: float, seconds: float) -> None:
    condition = Alarm(text).condition
    assert (str(condition), condition.threshold, condition.seconds) == (said, pytest.approx(threshold), seconds)


def test_an_alarm_is_called_what_was_written() -> None:
    written = "  request rate >\t1000/s   for 1 min "
    assert RunningAlarm(Alarm(written), "gateway").name == "request rate > 1000/s for 1 min"
    assert RunningAlarm(Alarm(written, name="busy"), "gateway").name == "busy"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there is no comparison in it"),
        ("5xx rate", "there is no comparison in it"),
        ("5xx rate = 5% for 60 s", "'=' is none of"),
        ("5xx rate > 5% > 3% for 60 s", "there are 2 comparisons"),
        ("5xx rate > 5%", 'does not say for how long; write "5xx rate > 5% for 60 s"'),
        ("5xx rate > 5% for", "does not say for how long|no length of time"),
        ("5xx rate > 5% for a while", "'a while' is no length of time"),
        ("5xx rate > 5% for 60 ms", "'60 ms' is no length of time"),
        ("5x rate > 5% for 60 s", "no metric '5x rate'; you may mean \"5xx rate\""),
        ("weather > 5% for 60 s", "no metric 'weather'; there are \"request count\" or"),
        ("latency > 1 s for 60 s", "no metric 'latency'"),
        ("latency p0 > 1 s for 60 s", "no metric 'latency p0'"),
        ("latency p100 > 1 s for 60 s", "no metric 'latency p100'"),
        ("request count p99 > 1 for 60 s", "no metric 'request count p99'"),
        ("latency p99 > 500 for 60 s", "'500' is nothing to compare \"latency p99\" with; write it as '500 ms'"),
        ("5xx rate > 0.05 for 60 s", "write it as '5%'"),
        ("5xx rate > many for 60 s", "'many' is nothing to compare"),
        ("request count > 5% for 60 s", "write it as '100'"),
        ("request rate > 5 for 60 s", "write it as '50/s'"),
        ("5xx rate > 101% for 60 s", "more than all of it"),
        ("5xx rate > 5% for 65 s", "65 s is not a whole number of periods of 10 s"),
        ("5xx rate > 5% for 24 h", r"8640 periods of 10 s are more than 1440 \(period=60 or more\)"),
    ],
)
def test_what_can_not_says_so_with_file_and_line(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"test_alarm_grammar\.py:\d+: Alarm: .*({says})"):
        Alarm(text)


@pytest.mark.parametrize(
    ("clear", "said"),
    [
        (None, "5xx rate <= 5% for 60 s"),
        ("< 2%", "5xx rate < 2% for 60 s"),
        ("<= 5%", "5xx rate <= 5% for 60 s"),
        ("< 2% for 5 min", "5xx rate < 2% for 300 s"),
        ("for 5 min", "5xx rate <= 5% for 300 s"),
    ],
)
def test_what_clears_it(clear: str | None, said: str) -> None:
    assert str(Alarm("5xx rate > 5% for 60 s", clear=clear).clearing) == said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"clear": "> 2%"}, "raised by '>': it can't be cleared by '>'"),
        ({"clear": "< 7%"}, "the same value would both raise it and clear it"),
        ({"clear": "4xx rate < 2%"}, "the metric is the alarm's own"),
        ({"clear": "soon"}, "there is no comparison"),
        ({"clear": "< 2% for 7 s"}, "7 s is not a whole number of periods"),
        ({"period": 0.5}, "period=0.5 is not a whole number of seconds"),
        ({"period": True}, "period=True"),
        ({"period": 45}, "60 s is not a whole number of periods of 45 s"),
        ({"datapoints": 0}, "datapoints=0 of 6 periods"),
        ({"datapoints": 7}, "datapoints=7 of 6 periods"),
        ({"missing": "bad"}, "none of CloudWatch's treatments"),
        ({"min_requests": 0}, "min_requests=0"),
        ({"notify": "ops@example.com"}, "notify='ops@example.com' is nobody to tell"),
        ({"notify": [print, 7]}, "notify=7 is nobody to tell"),
        ({"mode": "report"}, "an alarm refuses nothing"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Alarm("5xx rate > 5% for 60 s", **options)


def test_equal_thresholds_that_would_both_hold() -> None:
    with pytest.raises(ConfigurationError, match="both raise it and clear it"):
        Alarm("5xx rate >= 5% for 60 s", clear="<= 5%")
    assert Alarm("cache hit ratio < 50% for 60 s", clear="> 80%").clearing.threshold == 0.8


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Webhook("ftp://ops.example"), "no http or https URL"),
        (lambda: Webhook("https://"), "no http or https URL"),
        (lambda: Webhook(7), "no http or https URL"),  # type: ignore[arg-type]
        (lambda: Webhook("https://ops.example", secret="hunter2"), "neither bytes nor whsec_"),
        (lambda: Webhook("https://ops.example", secret="whsec_???"), "neither bytes nor whsec_"),
        (lambda: Webhook("https://ops.example", secret=b"short"), "secret has 5 bytes"),
        (lambda: Webhook("https://ops.example", timeout=0), "timeout and pauses are seconds"),
        (lambda: SNS("alarms"), "'alarms' is no ARN of a topic"),
    ],
)
def test_notifiers_that_make_no_sense(make: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"test_alarm_grammar\.py:\d+: .*{says}"):
        make()


def test_a_secret_is_in_no_repr() -> None:
    assert "c2Vj" not in repr(Webhook("https://ops.example", secret="whsec_" + "c2VjcmV0" * 4, headers={"x": "c2Vj"}))


@pytest.mark.parametrize(
    ("unit", "value", "said"),
    [
        ("share", 0.0534, "5.34%"),
        ("rate", 12.0, "12/s"),
        ("seconds", 0.25, "250 ms"),
        ("seconds", 2.5, "2.5 s"),
        ("number", 1200.0, "1200"),
        ("number", 2_500_000.0, "2500000"),
        ("rate", 999.6, "1000/s"),
        ("rate", 1234.5, "1234/s"),
        ("share", 0.0000001, "0.00001%"),
        ("share", None, "–"),
    ],
)
def test_values_in_words(unit: Any, value: float | None, said: str) -> None:
    assert told(unit, value) == said


# Points, from old to new: x breaching, o not, - missing. The outcomes are those of CloudWatch's own table
# ("Configuring how CloudWatch alarms treat missing data"), for 3 of 3 and for 2 of 3, missing, ignore, breaching, notBreaching.

POINTS = {"x": 1.0, "o": 0.0, "-": None}


@pytest.mark.parametrize(
    ("enough", "points", "verdicts"),
    [
        (3, "o-x-x", "no no no no"),
        (3, "----o", "no no no no"),
        (3, "-----", "no data|unchanged|yes|no"),
        (3, "oxx-x", "yes yes yes yes"),
        (3, "--x--", "yes unchanged yes no"),
        (2, "o-x-x", "yes yes yes yes"),
        (2, "oox-x", "yes yes yes yes"),
        (2, "o-o-o", "no no no no"),
        (2, "----o", "no no yes no"),
        (2, "----x", "unchanged unchanged yes no"),
    ],
)
def test_missing_points_as_cloudwatch_takes_them(enough: int, points: str, verdicts: str) -> None:
    expected = verdicts.split("|") if "|" in verdicts else verdicts.split()
    history = [POINTS[point] for point in points]
    found = [
        Rule(lambda value: value > 0.5, 3, enough, missing).verdict(history)
        for missing in ("missing", "ignore", "breaching", "notBreaching")  # type: ignore[attr-defined]
    ]
    assert found == expected


def test_before_the_start_nothing_is_missing() -> None:
    for missing in ("ignore", "breaching", "notBreaching"):
        rule = Rule(lambda value: value > 0.5, 3, 3, missing)  # type: ignore[arg-type]
        assert rule.verdict([None]) == "unchanged"
        assert rule.verdict([]) in ("unchanged", "no data")
        assert rule.verdict([1.0]) == "no"
    assert Rule(lambda value: value > 0.5, 3, 3, "missing").verdict([None]) == "no data"


@given(st.lists(st.sampled_from([0.0, 1.0, None]), max_size=20), st.integers(1, 6), st.data())
def test_a_rule_never_says_yes_without_enough_reason(history: list[float | None], points: int, data: st.DataObject) -> None:
    enough = data.draw(st.integers(1, points))
    window = history[-(points + BEYOND) :]
    for missing in ("missing", "ignore", "notBreaching"):
        verdict = Rule(lambda value: value > 0.5, points, enough, missing).verdict(history)  # type: ignore[arg-type]
        if verdict == "yes":
            assert window.count(1.0) >= (1 if missing == "missing" else enough)
        if window.count(0.0) == len(window) >= 1:
            assert verdict == "no"
    if window and window.count(1.0) == len(window) >= points:
        assert Rule(lambda value: value > 0.5, points, enough, "ignore").verdict(history) == "yes"


# Percentiles.


@given(st.lists(st.floats(0.0001, 200), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99]), st.floats(0.001, 100))
def test_a_percentile_is_on_the_right_side_of_every_bound(values: list[float], share: float, threshold: float) -> None:
    bounds = sorted({0.01, 0.1, 1.0, 10.0, threshold})
    distribution = Distribution(bounds)
    for value in values:
        distribution.add(value)
    exact = sorted(values)[max(0, -int(-len(values) * share // 1) - 1)]
    found = distribution.percentile(share)
    assert found is not None
    assert (found > threshold) == (exact > threshold)
    assert found <= max(values) == distribution.maximum
    assert distribution.mean == pytest.approx(sum(values) / len(values))


def test_nothing_has_no_percentile() -> None:
    empty = Distribution((1.0,))
    assert (empty.percentile(0.5), empty.mean, empty.maximum) == (None, None, None)
    other = Distribution((1.0,))
    other.add(3.0)
    empty.merge(other)
    assert (empty.count, empty.maximum) == (1, 3.0)
