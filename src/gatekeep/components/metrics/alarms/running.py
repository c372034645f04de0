"""RunningAlarm: one Alarm at one level in one process: its points, its state, and when that changes."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Mapping, Sequence

from .change import AlarmChange, AlarmStatus, State
from .condition import told
from .rule import BEYOND, Missing, Rule, Verdict
from .sample import Sample
from .spec import Alarm

__all__ = ["RunningAlarm"]

_RAISED: Mapping[Verdict, State] = {"yes": "ALARM", "no": "OK", "no data": "INSUFFICIENT_DATA"}
_CLEARED: Mapping[Verdict, State] = {"yes": "OK", "no data": "INSUFFICIENT_DATA"}
"""The next state, by what the rule says that is asked in this one; what is not there changes nothing."""


class RunningAlarm:
    """Take its `sample` of a second and count; `advance` when time has passed. Not thread-safe: its keeper sees to that."""

    def __init__(self, spec: Alarm, level: str) -> None:
        self.spec = spec
        self.level = level
        self.name = spec.name or " ".join(spec.when.split())
        self.metric = spec.condition.metric
        points, until = spec.points(spec.condition), spec.points(spec.clearing)
        self._raising = Rule(spec.condition.holds, points, spec.datapoints or points, spec.missing)
        self._clearing = Rule(spec.clearing.holds, until, until, _TURNED.get(spec.missing, spec.missing))
        self._period = int(spec.every)
        self.reset(0.0)

    def reset(self, wall: float) -> None:
        """Begin anew: nothing is known."""
        self.state: State = "INSUFFICIENT_DATA"
        self.since = wall
        self.value: float | None = None
        self._points: deque[float | None] = deque(maxlen=max(self._raising.points, self._clearing.points) + BEYOND)
        self._going_on: int | None = None
        """The period that is not over yet: the monotonic clock divided by its length."""
        self._open: dict[int, Sample] = {}

    def begin(self, now: float, wall: float) -> None:
        """Count from here on; the period that is going on is one although it began before."""
        if self._going_on is None:
            self._going_on = int(now // self._period)
            self.since = wall

    def sample(self, second: int, bounds: Mapping[str, Sequence[float]]) -> Sample:
        """Where to count what happened in this second, a whole monotonic reading; what comes late belongs to now."""
        period = max(second // self._period, self._going_on or 0)
        found = self._open.get(period)
        if found is None:
            timing = self.metric.timing
            found = self._open[period] = Sample({} if timing is None else {timing: bounds[timing]})
        return found

    def forget_open(self) -> None:
        """Drop what was counted in periods that are not over."""
        self._open.clear()

    def advance(self, now: float, wall: float) -> list[AlarmChange]:
        """Judge the periods that are over, and tell how that changed the state."""
        current = int(now // self._period)
        changes: list[AlarmChange] = []
        going_on = self._going_on
        if going_on is None or current <= going_on:
            return changes
        # After a long sleep (a laptop's, a debugger's) only what can still count is made up for.
        most = self._points.maxlen or 0
        for period in range(max(going_on, current - most), current):
            self._points.append(self._value_of(self._open.pop(period, None)))
            change = self._judge(wall)
            if change is not None:
                changes.append(change)
        self._going_on = current
        self._open = {period: sample for period, sample in self._open.items() if period >= current}
        self.value = self._points[-1]
        return changes

    def _value_of(self, sample: Sample | None) -> float | None:
        metric = self.metric
        if sample is None:
            sample = Sample({} if metric.timing is None else {metric.timing: ()})
        if metric.of_requests and sample.count < self.spec.min_requests:
            return None
        return metric.value(sample, self.spec.every)

    def _judge(self, wall: float) -> AlarmChange | None:
        history = tuple(self._points)
        if self.state == "ALARM":
            state = _CLEARED.get(self._clearing.verdict(history), self.state)
        else:
            state = _RAISED.get(self._raising.verdict(history), self.state)
        if state == self.state:
            return None
        previous, self.state, self.since = self.state, state, wall
        spec, condition = self.spec, self.spec.condition
        value = self._guilty(history) if state == "ALARM" else history[-1]
        return AlarmChange(
            name=self.name,
            level=self.level,
            state=state,
            previous=previous,
            when=str(condition),
            metric=self.metric.name,
            value=value,
            threshold=condition.threshold,
            unit=self.metric.unit,
            reason=self._reason(previous, value),
            at=wall,
            period=spec.every,
            host=socket.gethostname(),
            process=os.getpid(),
        )

    def _guilty(self, history: Sequence[float | None]) -> float | None:
        """The latest value that is beyond the threshold, of those that were looked at; None where only missing ones raised it."""
        rule = self._raising
        seen = history[-(rule.points + BEYOND) :]
        return next((value for value in reversed(seen) if value is not None and rule.holds(value)), None)

    def _reason(self, previous: State, value: float | None) -> str:
        metric, spec = self.metric, self.spec
        if self.state == "INSUFFICIENT_DATA":
            return f"{metric.name}: no data"
        now = f"{metric.name} is {told(metric.unit, value)}"
        if self.state == "OK" and previous != "ALARM":
            return now
        condition = spec.condition if self.state == "ALARM" else spec.clearing
        said = f"{now}; {condition.comparison} {told(metric.unit, condition.threshold)}"
        if self.state == "ALARM" and self._raising.enough < self._raising.points:
            return f"{said} in {self._raising.enough} of {self._raising.points} periods of {self._period} s"
        return f"{said} for {condition.seconds:g} s"

    def status(self) -> AlarmStatus:
        return AlarmStatus(
            self.name,
            self.level,
            self.state,
            self.since,
            str(self.spec.condition),
            self.value,
            told(self.metric.unit, self.value),
        )


_TURNED: Mapping[Missing, Missing] = {"breaching": "notBreaching", "notBreaching": "breaching"}
"""A point that is taken for a bad one speaks for the alarm, and against its end."""
