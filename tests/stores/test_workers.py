"""Workers: declared by the server's options or the environment, else counted on the shared store."""

from __future__ import annotations

import os
from typing import Any

import pytest

from gatekeep.effects import Io, run
from gatekeep.errors import DependencyError
from gatekeep.stores import MemoryStore, Workers, declared_workers
from gatekeep.stores.workers import _Process
from gatekeep.testing import FakeClock


@pytest.mark.parametrize(
    ("argv", "environ", "count"),
    [
        (["/venv/bin/gunicorn", "-w", "4", "app:app"], {}, 4),
        (["gunicorn", "-w4", "app:app"], {}, 4),
        (["/venv/bin/uvicorn", "app:app", "--workers", "3"], {}, 3),
        (["/site-packages/uvicorn/__main__.py", "app:app", "--workers=3"], {}, 3),
        (["gunicorn.exe", "--workers=2"], {"WEB_CONCURRENCY": "8"}, 2),
        (["gunicorn"], {"GUNICORN_CMD_ARGS": "--bind=:80 --workers=6"}, 6),
        (["gunicorn"], {"GUNICORN_CMD_ARGS": "--name 'half a quote", "WEB_CONCURRENCY": "5"}, 5),
        (["manage.py"], {"WEB_CONCURRENCY": "2"}, 2),
        (["pytest", "-w", "5"], {}, None),
        (["gunicorn", "-w", "many"], {}, None),
        (["gunicorn", "-w", "0"], {}, None),
        (["gunicorn", "-w"], {}, None),
        (["gunicorn"], {"WEB_CONCURRENCY": ""}, None),
        ([], {}, None),
    ],
)
def test_declared(argv: list[str], environ: dict[str, str], count: int | None) -> None:
    assert declared_workers(argv, environ) == count


def test_what_is_given_goes_before_what_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "7")
    assert (Workers(MemoryStore()).count, Workers(MemoryStore()).counted) == (7, False)
    assert Workers(MemoryStore(), 3).count == 3


@pytest.fixture
def undeclared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    monkeypatch.delenv("GUNICORN_CMD_ARGS", raising=False)


def worker(store: Any) -> Workers:
    """One of a process of its own."""
    workers = Workers(store)
    workers._me = _Process()
    return workers


@pytest.mark.usefixtures("undeclared")
def test_a_process_counts_once_whoever_asks() -> None:
    store = MemoryStore()
    one, other = Workers(store), Workers(store)
    run(one.beat())
    run(other.beat())
    assert (one.count, other.count) == (1, 1)


@pytest.mark.usefixtures("undeclared")
def test_counted() -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    fleet = [worker(store) for _ in range(3)]
    assert [(one.count, one.counted) for one in fleet] == [(1, True)] * 3
    for _ in range(2):
        for one in fleet:
            run(one.beat())
    assert [one.count for one in fleet] == [3, 3, 3]
    run(fleet[0].leave())
    run(fleet[1].beat())
    assert fleet[1].count == 2
    clock.advance(61.0)  # nobody has answered since
    run(fleet[1].beat())
    assert fleet[1].count == 1


@pytest.mark.usefixtures("undeclared")
def test_the_last_number_holds_while_the_store_is_away() -> None:
    class Away(MemoryStore):
        gone = False

        def take(self, demands: Any) -> Io[Any]:
            def fail() -> Any:
                raise DependencyError("away")

            return Io(fail, fail) if self.gone else super().take(demands)

        def release(self, leases: Any) -> Io[Any]:
            return self.take(leases)

    store = Away()
    one, other = worker(store), worker(store)
    run(other.beat())
    run(one.beat())
    store.gone = True
    run(one.beat())
    run(one.leave())
    assert one.count == 2


@pytest.mark.usefixtures("undeclared")
def test_a_child_is_a_worker_of_its_own() -> None:
    one = Workers(MemoryStore())
    mine = one._me.name
    child = os.fork()
    if child == 0:
        os._exit(one._me.name == mine)
    assert os.waitpid(child, 0)[1] == 0
