"""Pace: threads that export rest between a few items, unless rests take long."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

from gatekeep.components.metrics import pace
from gatekeep.components.metrics.outbox import Outbox


class Rests:
    """Time that passes in rests alone, and in this thread's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, late: float = 0.0) -> None:
        self.count = 0
        self.now = 0.0
        self.late = late
        self.thread = threading.get_ident()
        monkeypatch.setattr(pace, "sleep", self._sleep)
        monkeypatch.setattr(pace, "perf_counter", lambda: self.now)

    def _sleep(self, seconds: float) -> None:
        if threading.get_ident() != self.thread:
            return
        self.count += 1
        self.now += seconds + self.late


def test_everything_comes_in_order_with_rests_between(monkeypatch: pytest.MonkeyPatch) -> None:
    rests = Rests(monkeypatch)
    assert list(pace.paced(range(100))) == list(range(100))
    assert rests.count == 100 // pace.FEW


def test_where_others_never_pause_rests_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    rests = Rests(monkeypatch, late=0.005)
    assert sum(1 for _ in pace.paced(range(33 * pace.FEW))) == 33 * pace.FEW
    assert rests.count == 1
    assert sum(1 for _ in pace.paced(range(34 * pace.FEW))) == 34 * pace.FEW
    assert rests.count == 1 + 2


def test_a_paced_list_rests_where_it_is_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    rests = Rests(monkeypatch)
    items = pace.Paced(range(40))
    assert (len(items), items[3], rests.count) == (40, 3, 0)
    assert [item for item in items] == list(range(40))  # noqa: C416  list() would go past the iterator
    assert rests.count == 2


def test_an_outbox_sends_what_is_paced(monkeypatch: pytest.MonkeyPatch) -> None:
    rests = Rests(monkeypatch)
    usual = sys.getswitchinterval()
    seen: list[Any] = []

    def send(items: Any) -> bool:
        seen.append(([item for item in items], sys.getswitchinterval()))  # noqa: C416
        return True

    box: Outbox[int] = Outbox("test", send, capacity=100, batch=100, seconds=3600.0)
    box.ticker.running = True
    for number in range(33):
        box.put(number)
    box.close()
    assert seen == [(list(range(33)), usual)]
    assert rests.count == 2
