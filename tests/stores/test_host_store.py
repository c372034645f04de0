"""HostStore: the contract in both colours, several processes, a process that is killed, a file that goes, its bounds."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gatekeep.errors import ConfigurationError, DependencyError
from gatekeep.stores import Bucket, BucketStore, Lease, LimitStore, Tally, Window, open_store
from gatekeep.stores.host import HostStore
from gatekeep.testing import FakeClock
from stores.contract import EPOCH, BucketStoreContract, Clocked, Limits, LimitStoreContract, Take, calendar, fresh_key
from stores.store_servers import PATIENCE, processes, take_many


@pytest.fixture(scope="module", params=["sync", "async"])
def clocked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clocked]:
    clock = FakeClock(wall=EPOCH, monotonic=0.0)
    store = HostStore(f"host://{tmp_path_factory.mktemp('host')}/limits.db", clock=clock, timeout=PATIENCE)
    with asyncio.Runner() as runner:

        async def carry_out(io: Any) -> Any:
            return await io.arun()

        yield Clocked(store, clock, (lambda io: io.run()) if request.param == "sync" else lambda io: runner.run(carry_out(io)))
    store.close()


class TestContract(BucketStoreContract):
    @pytest.fixture
    def take(self, clocked: Clocked) -> Take:
        return clocked.take


class TestLimits(LimitStoreContract):
    @pytest.fixture
    def limits(self, clocked: Clocked) -> Limits:
        return clocked


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"host://{tmp_path}/limits.db"


def test_it_says_what_it_can(url: str) -> None:
    store = open_store(url)
    assert isinstance(store, HostStore)
    assert isinstance(store, BucketStore)
    assert isinstance(store, LimitStore)
    assert (store.remote, store.shared, store.away) == (True, True, False)
    assert "limits.db" in repr(store)
    store.close()


def test_its_file_is_for_this_user_alone(url: str, tmp_path: Path) -> None:
    store = HostStore(url)
    store.take([Bucket("k", 1.0, 1.0)]).run()
    assert stat.S_IMODE((tmp_path / "limits.db").stat().st_mode) == 0o600
    store.close()


def test_without_a_path_it_is_one_of_this_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    named, here = HostStore("host://orders").path, HostStore("host://").path
    assert named.name == "orders.db"
    assert named.parent == here.parent != tmp_path
    assert stat.S_IMODE(named.parent.stat().st_mode) == 0o700
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    assert HostStore("host://").path != here
    named.parent.chmod(0o755)
    with pytest.raises(ConfigurationError, match="this user alone"):
        HostStore("host://orders")


@pytest.mark.parametrize("bad", ["host://a/b", "host://../x", "host://x?y=1", "memory://"])
def test_mistakes(bad: str) -> None:
    with pytest.raises(ConfigurationError, match="host://name"):
        HostStore(bad)


# Processes and threads.


def test_processes_are_granted_exactly_what_is_allowed(url: str) -> None:
    rate, burst = 20.0, 300.0
    with processes(4) as pool:
        found = pool.starmap(take_many, [(url, Bucket("many:bucket", rate, burst), 500)] * 4)
        counted = pool.starmap(take_many, [(url, Tally("many:tally", 333.0, calendar_of_all), 100)] * 4)
    granted = sum(row[0] for row in found)
    assert burst + rate * (max(row[3] for row in found) - min(row[2] for row in found)) - 1 <= granted
    assert granted <= burst + rate * (max(row[4] for row in found) - min(row[1] for row in found)) + 1
    assert sum(row[0] for row in counted) == 333


def calendar_of_all(unix: float) -> tuple[float, float]:
    return 0.0, 1e11


def test_threads_and_tasks(url: str) -> None:
    store = HostStore(url, timeout=PATIENCE)
    window = Window("k", 100.0, 3600.0, "fixed")

    async def together() -> int:
        return sum([taken.refused is None for taken in await asyncio.gather(*(store.take([window]).arun() for _ in range(80)))])

    with ThreadPoolExecutor(4) as pool:
        threads = pool.map(lambda _: store.take([window]).run().refused is None, range(80))
        assert asyncio.run(together()) + sum(threads) == 100
    store.close()


def test_a_child_opens_its_own(url: str) -> None:
    store = HostStore(url, timeout=PATIENCE)
    bucket = Bucket("k", 1e-4, 3.0)
    assert store.take([bucket]).run().refused is None
    child = os.fork()
    if child == 0:
        ok = store.take([bucket]).run().refused is None
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert [store.take([bucket]).run().refused for _ in range(2)] == [None, 0]
    store.close()


def test_counts_outlive_a_process_and_a_boot(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock(wall=EPOCH, monotonic=500.0)
    bucket, tally = Bucket("k", 0.01, 3.0), Tally("t", 5.0, calendar)
    store = HostStore(url, clock=clock)
    store.take([bucket, tally]).run()
    store.close()
    again = HostStore(url, clock=clock)
    assert again.take([bucket, tally]).run().remaining == (1.0, 3.0)
    again.close()
    monkeypatch.setattr("gatekeep.stores.host._boot_id", lambda: "another boot")
    booted = HostStore(url, clock=FakeClock(wall=EPOCH + 50.0, monotonic=1.0))
    assert booted.take([bucket, tally]).run().remaining == (pytest.approx(0.5), 2.0)
    booted.close()


KILLED = """
import os, signal, sys
from gatekeep.stores import Bucket
from gatekeep.stores.host import HostStore
store = HostStore(sys.argv[1])
for _ in range(5):
    store.take([Bucket("k", 1e-6, 100.0)]).run()
rows = store._open()
rows.begin()
rows.keep(Bucket("k", 1e-6, 100.0), rows.find(Bucket("k", 1e-6, 100.0), 0.0), 0.0)
print("writing", flush=True)
if sys.argv[2] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
sys.stdin.read()
"""


def test_a_process_that_is_killed_while_it_writes_leaves_nothing_half_done(url: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, url, "kill"], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (-9, b"writing\n")
    store = HostStore(url)
    assert store.take([Bucket("k", 1e-6, 100.0)]).run().remaining == (pytest.approx(94.0, abs=0.01),)
    store.close()


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_process_that_hangs_while_it_writes_costs_a_few_requests_the_budget(url: str, colour: str) -> None:
    clock, seen, pauses = FakeClock(), [], []
    store = HostStore(url, clock=clock, timeout=0.05)
    store.watch(seen.append)
    tries = store._tries

    def noted() -> Iterator[float]:
        for pause in tries():
            pauses.append(pause)
            yield pause

    store._tries = noted  # type: ignore[method-assign]

    def take() -> Any:
        io = store.take([Bucket("other", 1.0, 1000.0)])
        return io.run() if colour == "sync" else asyncio.run(io.arun())  # type: ignore[arg-type]

    take()
    hanging = subprocess.Popen([sys.executable, "-c", KILLED, url, "hang"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert hanging.stdout is not None
    assert hanging.stdout.readline() == b"writing\n"
    for _ in range(3):
        pauses.clear()
        with pytest.raises(DependencyError, match="writing all the time"):
            take()
        assert sum(pauses) <= 0.05
        clock.advance(0.01)
    assert store.away
    with pytest.raises(DependencyError, match="is away"):
        take()
    clock.advance(1.0)
    with pytest.raises(DependencyError, match="writing all the time"):
        take()
    hanging.kill()
    hanging.communicate()
    clock.advance(1.0)
    assert take().refused is None
    assert not store.away
    assert [change.away for change in seen] == [True, False]
    store.close()


# The file.


def test_a_file_that_is_gone_is_made_again(url: str, tmp_path: Path) -> None:
    clock = FakeClock()
    store = HostStore(url, clock=clock)
    bucket = Bucket("k", 1e-6, 1.0)
    store.take([bucket]).run()
    for file in tmp_path.iterdir():
        file.unlink()
    clock.advance(1.5)
    assert store.take([bucket]).run().refused is None
    assert (tmp_path / "limits.db").exists()
    store.close()


def test_a_ruined_file_is_begun_anew(url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "limits.db").write_bytes(b"no database at all, but long enough to be looked at" * 100)
    store = HostStore(url)
    with caplog.at_level(logging.ERROR, "gatekeep.stores"), pytest.raises(DependencyError, match="not a database"):
        store.take([Bucket("k", 1.0, 1.0)]).run()
    assert "is ruined" in caplog.text
    assert store.take([Bucket("k", 1.0, 1.0)]).run().refused is None
    store.close()


def test_a_file_that_cannot_be_is_a_dependency_error(tmp_path: Path) -> None:
    store = HostStore(f"host://{tmp_path}/nowhere/limits.db")
    with pytest.raises(DependencyError, match="unable to open"):
        store.take([Bucket("k", 1.0, 1.0)]).run()


def test_a_calendar_that_raises_takes_nothing(url: str) -> None:
    def broken(unix: float) -> tuple[float, float]:
        raise RuntimeError("no such time zone")

    store = HostStore(url)
    bucket = Bucket("k", 1e-6, 5.0)
    with pytest.raises(RuntimeError):
        store.take([bucket, Tally("t", 1.0, broken)]).run()
    assert store.take([bucket]).run().remaining == (4.0,)
    store.close()


# Bounds.


def rows_in(store: HostStore) -> int:
    with closing(sqlite3.connect(store.path)) as db:
        return int(db.execute("SELECT count(*) FROM limits").fetchone()[0])


def test_what_is_full_again_is_swept(url: str) -> None:
    clock = FakeClock()
    store = HostStore(url, clock=clock, max_keys=300)
    for number in range(200):
        store.take([Bucket(f"old-{number}", 1.0, 1.0)]).run()
    clock.advance(10.0)
    for _ in range(40):
        store.take([Bucket("new", 1000.0, 1000.0)]).run()
    assert rows_in(store) < 5
    store.close()


def test_a_flood_is_bounded_and_does_not_reset_who_is_being_held_back(url: str) -> None:
    store = HostStore(url, clock=FakeClock(), max_keys=100)
    hot = Bucket("hot", 0.01, 20.0)
    for _ in range(20):
        store.take([hot]).run()
    for number in range(500):
        store.take([Bucket(f"forged-{number}", 0.01, 20.0)]).run()
    assert rows_in(store) <= 100 + 16
    assert store.take([hot]).run().refused == 0
    store.close()


def test_places_of_the_dead_come_free(url: str) -> None:
    clock = FakeClock()
    store = HostStore(url, clock=clock)
    key = fresh_key()
    assert store.take([Lease(key, 1.0, "dead", 30.0)]).run().refused is None
    assert store.take([Lease(key, 1.0, "new", 30.0)]).run().refused == 0
    clock.advance(31.0)
    assert store.take([Lease(key, 1.0, "new", 30.0)]).run().refused is None
    store.close()
