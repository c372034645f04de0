"""Courtesy: while telemetry is exported, requests don't wait five milliseconds for the interpreter."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from gatekeep.components.metrics.courtesy import Courtesy
from gatekeep.components.metrics.outbox import Outbox


@pytest.fixture(autouse=True)
def usual() -> Iterator[float]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    yield 0.005
    sys.setswitchinterval(before)


def interval() -> float:
    return round(sys.getswitchinterval(), 6)


def test_short_while_anybody_exports() -> None:
    courtesy = Courtesy()
    with courtesy:
        assert interval() == 0.0005
        with courtesy:
            assert interval() == 0.0005
        assert interval() == 0.0005
    assert interval() == 0.005


def test_who_has_chosen_a_shorter_one_keeps_it() -> None:
    sys.setswitchinterval(0.0001)
    with Courtesy():
        assert interval() == 0.0001
    assert interval() == 0.0001


def test_who_chooses_another_one_meanwhile_keeps_it() -> None:
    with Courtesy():
        sys.setswitchinterval(0.001)
    assert interval() == 0.001


def test_it_is_restored_after_a_failure() -> None:
    with pytest.raises(ValueError, match="no"), Courtesy():
        raise ValueError("no")
    assert interval() == 0.005


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_process_begins_with_the_usual_one() -> None:
    courtesy = Courtesy()
    with courtesy:
        child = os.fork()
        if not child:
            usual = interval() == 0.005
            with courtesy:
                short = interval() == 0.0005
            os._exit(0 if usual and short and interval() == 0.005 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_outbox_is_courteous() -> None:
    seen: list[float] = []
    sent = threading.Event()

    def send(items: Any) -> bool:
        seen.append(interval())
        sent.set()
        return True

    box: Outbox[int] = Outbox("test", send, capacity=10, batch=1, seconds=0.01)
    box.put(1)
    assert sent.wait(60)
    box.close()
    assert seen[0] == 0.0005
