"""Alarm: when to tell somebody, and whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ....component import Spec
from ....effects import Blocking, Either
from .condition import Condition, parse_alarm, parse_clear
from .rule import Missing
from .sample import INTEGRATION
from .sns import SNS
from .webhook import Webhook

__all__ = ["Alarm", "Notifier"]

Notifier: TypeAlias = Callable[..., Any] | Either[Any] | Blocking[Any] | Webhook | SNS
"""What to tell: a function of the AlarmChange (sync, async, blocking() or either()), a Webhook or an SNS topic."""

_MOST_POINTS = 1440
_PERIOD = 10.0


@dataclass(frozen=True)
class Alarm(Spec):
    """Watches a metric of the requests that pass where it stands: the whole gateway, a stage, a route, a view.

    Every one of several holds. Each process watches its own requests.
    """

    when: str
    """Such as "5xx rate > 5% for 60 s"; see condition.py."""
    notify: Notifier | Sequence[Notifier] = field(default=(), kw_only=True)
    """Who is told when it is raised and when that is over; a line of the logger `gatekeep.alarms` is there always."""
    name: str | None = field(default=None, kw_only=True)
    """What `when` says, as it is written, when left out."""
    clear: str | None = field(default=None, kw_only=True)
    """What ends it, such as "< 2% for 5 min", "< 2%" or "for 5 min"; when left out, that it was not so for as long."""
    period: float | None = field(default=None, kw_only=True)
    """Seconds that each point is made of, a whole number; 10 when left out, or all of `for`, where that is shorter."""
    datapoints: int | None = field(default=None, kw_only=True)
    """How many of the periods in `for` are enough to raise it ("M out of N"); all when left out."""
    missing: Missing = field(default="missing", kw_only=True)
    """What a period without data is taken for, in CloudWatch's words: "missing", "ignore", "breaching", "notBreaching"."""
    min_requests: int = field(default=1, kw_only=True)
    """With fewer requests in a period, its shares and latencies are no data."""

    condition: Condition = field(init=False, repr=False, compare=False)
    clearing: Condition = field(init=False, repr=False, compare=False)
    every: float = field(init=False, repr=False, compare=False)
    notifiers: tuple[Notifier, ...] = field(init=False, repr=False, compare=False)

    def check(self) -> None:
        if self.mode == "report":
            raise self.mistake('mode="report" has no meaning: an alarm refuses nothing')
        try:
            condition = parse_alarm(self.when)
        except ValueError as error:
            raise self.mistake(f"{self.when!r}: {error}") from None
        try:
            clearing = parse_clear(self.clear if self.clear is not None else "", condition)
        except ValueError as error:
            raise self.mistake(f"clear={self.clear!r}: {error}") from None
        self._set("condition", condition)
        self._set("clearing", clearing)
        self._check_periods()
        notify = self.notify
        self._set("notifiers", tuple(notify) if isinstance(notify, (list, tuple)) else (notify,))
        for notifier in self.notifiers:
            if not (callable(notifier) or isinstance(notifier, (Either, Blocking, Webhook, SNS))):
                raise self.mistake(
                    f"notify={notifier!r} is nobody to tell", fix="a function of the change, Webhook(url) or SNS(topic_arn)"
                )

    def _check_periods(self) -> None:
        period = self.period if self.period is not None else min(_PERIOD, self.condition.seconds)
        if isinstance(period, bool) or not isinstance(period, (int, float)) or period < 1 or period != int(period):
            raise self.mistake(f"period={period!r} is not a whole number of seconds", fix="period=10")
        self._set("every", float(period))
        for condition in (self.condition, self.clearing):
            points = condition.seconds / period
            if points != int(points) or points < 1:
                raise self.mistake(
                    f"{condition.seconds:g} s is not a whole number of periods of {period:g} s", fix="change one of the two"
                )
            if points > _MOST_POINTS:
                raise self.mistake(
                    f"{points:g} periods of {period:g} s are more than {_MOST_POINTS}",
                    fix=f"period={-(-condition.seconds // _MOST_POINTS):g} or more",
                )
        most = self.points(self.condition)
        if self.datapoints is not None and (
            isinstance(self.datapoints, bool) or not isinstance(self.datapoints, int) or not 1 <= self.datapoints <= most
        ):
            raise self.mistake(f"datapoints={self.datapoints!r} of {most} periods", fix=f"1 to {most}")
        if self.missing not in ("missing", "ignore", "breaching", "notBreaching"):
            raise self.mistake(
                f"missing={self.missing!r} is none of CloudWatch's treatments",
                fix='"missing", "ignore", "breaching" or "notBreaching"',
            )
        if isinstance(self.min_requests, bool) or not isinstance(self.min_requests, int) or self.min_requests < 1:
            raise self.mistake(f"min_requests={self.min_requests!r} is not a number of requests")

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def points(self, condition: Condition) -> int:
        """The number of periods that a condition looks at."""
        return int(condition.seconds / self.every)

    @property
    def times_integration(self) -> bool:
        """Whether it asks how long the app took."""
        return self.condition.metric.timing == INTEGRATION
