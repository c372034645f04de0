"""What each store of API keys must do, asked of all of them, blocking and on an event loop."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import StaticPool

from gatekeep.components.authorizer.api_keys import KeyRecord, KeyRing, KeySecret, KeyStore, MemoryKeys
from gatekeep.components.authorizer.api_keys.file import FileKeys
from gatekeep.components.authorizer.api_keys.redis import RedisKeys
from gatekeep.components.authorizer.api_keys.sql import SqlKeys
from gatekeep.effects import Io, arun, run
from gatekeep.errors import ConfigurationError, DependencyError
from gatekeep.stores.redis import RedisStore
from interleaving import meanwhile
from patience import PATIENCE
from stores.store_servers import Valkey

DIGEST = "ab" * 32


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    server = Valkey()
    yield server
    server.stop()


class Driver:
    """A store, and how its operations are run: blocking, or on one event loop."""

    def __init__(self, store: KeyStore, runner: asyncio.Runner | None) -> None:
        self.store = store
        self.runner = runner

    def __call__(self, io: Io):
        return io.run() if self.runner is None else self.runner.run(io.arun())

    def close(self) -> None:
        closing = self.store.close()
        if closing is not None:
            run(closing) if self.runner is None else self.runner.run(arun(closing))


KINDS = ["memory", "file", "redis", "sql"]


@pytest.fixture(params=[*((kind, colour) for kind in KINDS for colour in ("sync", "async")), ("async sql", "async")])
def do(request, tmp_path, valkey) -> Iterator[Driver]:
    kind, colour = request.param
    with asyncio.Runner() as runner:
        driver = Driver(make(kind, tmp_path, valkey), runner if colour == "async" else None)
        if isinstance(driver.store, SqlKeys):
            driver(driver.store.create_tables())
            driver(driver.store.create_tables())  # which changes nothing
        yield driver
        driver.close()


def make(kind: str, tmp_path: Path, valkey: Valkey) -> KeyStore:
    if kind == "memory":
        return MemoryKeys()
    if kind == "file":
        return FileKeys(str(tmp_path / "keys.json"))
    if kind == "redis":
        return RedisKeys(RedisStore(valkey.url, timeout=PATIENCE, prefix=f"{os.urandom(4).hex()}:"))
    if kind == "sql":
        return SqlKeys(f"sqlite:///{tmp_path}/keys.db")
    return SqlKeys(f"sqlite+aiosqlite:///{tmp_path}/keys.db")


def record(key_id: str = "one", *digests: str, **fields) -> KeyRecord:
    return KeyRecord(id=key_id, owner="acme", secrets=tuple(KeySecret(digest) for digest in digests or (DIGEST,)), **fields)


FULL = record(
    "full",
    "cd" * 32,
    name="caf\u00e9 \u2603",
    scopes=["b", "a"],
    roles={"partner"},
    plan="gold",
    created=1_700_000_000.123456,
    expires=1_800_000_000.5,
    enabled=False,
)


def test_what_is_kept_is_found(do):
    assert do(do.store.find(DIGEST)) is None
    assert do(do.store.get("one")) is None
    assert do(do.store.records()) == []
    assert do(do.store.put(record(), 0)) is True
    assert do(do.store.put(FULL, 0)) is True
    assert do(do.store.find(DIGEST)) == do(do.store.get("one")) == record()
    assert do(do.store.find("cd" * 32)) == FULL
    assert sorted(do(do.store.records()), key=lambda one: one.id) == [FULL, record()]
    assert do(do.store.find("ef" * 32)) is None


def test_a_new_version_takes_the_place_of_the_one_before(do):
    do(do.store.put(record(), 0))
    second = record().but(secrets=(KeySecret("cd" * 32), KeySecret(DIGEST, 99.5)), plan="silver")
    assert do(do.store.put(second, 1)) is True
    assert do(do.store.find(DIGEST)) == do(do.store.find("cd" * 32)) == second
    third = second.but(secrets=())
    assert do(do.store.put(third, 2)) is True
    assert do(do.store.find(DIGEST)) is do(do.store.find("cd" * 32)) is None
    assert do(do.store.get("one")) == third


def test_a_change_of_something_else_than_what_is_there_is_none(do):
    do(do.store.put(record(), 0))
    assert do(do.store.put(record(plan="other"), 0)) is False
    assert do(do.store.put(record().but(plan="other"), 2)) is False
    assert do(do.store.put(record("two", "cd" * 32).but(), 1)) is False  # there is no such key
    assert do(do.store.put(record("two", DIGEST), 0)) is False  # another key has that secret
    assert do(do.store.get("two")) is None
    assert do(do.store.records()) == [record()]


def test_a_key_does_not_take_another_ones_secret_over(do):
    do(do.store.put(record(), 0))
    do(do.store.put(record("two", "cd" * 32), 0))
    assert do(do.store.put(record("two", DIGEST, "cd" * 32).but(), 1)) is False
    assert do(do.store.find(DIGEST)).id == "one"
    assert do(do.store.find("cd" * 32)).version == 1


def test_forgetting(do):
    do(do.store.put(record(), 0))
    do(do.store.touch({"one": 5.0}))
    assert do(do.store.delete("one")) is True
    assert do(do.store.delete("one")) is False
    assert do(do.store.find(DIGEST)) is None
    assert do(do.store.put(record(), 0)) is True
    assert do(do.store.get("one")).last_used is None


def test_when_keys_were_used(do):
    do(do.store.put(record(), 0))
    do(do.store.put(record("two", "cd" * 32), 0))
    do(do.store.touch({"one": 1_700_000_000.25, "nobody": 5.0}))
    assert do(do.store.get("one")) == replace(record(), last_used=1_700_000_000.25)
    assert do(do.store.find(DIGEST)).last_used == 1_700_000_000.25
    assert do(do.store.get("two")).last_used is None
    assert do(do.store.get("nobody")) is None
    do(do.store.touch({"one": 5.0}))  # an older one, of a process that was slow to tell
    assert do(do.store.get("one")).last_used == 1_700_000_000.25


def test_of_changes_made_at_once_each_knows_the_one_before(do, tmp_path):
    do(do.store.put(record(), 0))
    if do.runner is not None:
        return_values = do.runner.run(gather([do.store.put(record().but(plan=str(n)), 1) for n in range(8)]))
    else:
        with ThreadPoolExecutor(8) as pool:
            return_values = list(pool.map(lambda n: tolerant(do.store.put(record().but(plan=str(n)), 1)), range(8)))
    assert return_values.count(True) == 1
    assert do(do.store.get("one")).version == 2


def tolerant(io):
    try:
        return io.run()
    except DependencyError:  # SQLite's "database is locked"
        return False


async def gather(ios):
    return [one is True for one in await asyncio.gather(*(io.arun() for io in ios), return_exceptions=True)]


# Each by itself.


def test_a_file_is_read_again_when_it_was_changed(tmp_path):
    path = tmp_path / "keys.json"
    here, there = FileKeys(str(path)), FileKeys(str(path))
    assert here.find_now(DIGEST) is None
    there.put(record(), 0).run()
    assert here.find_now(DIGEST) == record()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["keys.json", "keys.json.lock"]
    path.unlink()
    assert here.find_now(DIGEST) is None


_CREATE = """
import sys
from pathlib import Path
from gatekeep import KeyRing

ring = KeyRing(Path(sys.argv[1]))
for number in range(10):
    ring.rotate(ring.create(f"{sys.argv[2]}-{number}").record.id)
"""


def test_processes_that_change_a_file_at_once_lose_nothing(tmp_path):
    path = tmp_path / "keys.json"
    running = [subprocess.Popen([sys.executable, "-c", _CREATE, str(path), str(number)]) for number in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    records = KeyRing(path).records()
    assert len(records) == 30
    assert {len(one.secrets) for one in records} == {2}


def test_while_a_file_is_broken_the_keys_that_were_read_last_hold(tmp_path, caplog):
    path = tmp_path / "keys.json"
    store = FileKeys(str(path))
    store.put(record(), 0).run()
    good = path.read_bytes()
    path.write_text("{")
    for _ in range(3):
        assert store.find_now(DIGEST) == record()
    assert len([one for one in caplog.records if "read last hold" in one.message]) == 1
    with pytest.raises(DependencyError, match="can't be changed"):
        store.put(record("two", "cd" * 32), 0).run()
    path.write_bytes(good.replace(b"acme", b"umbrella"))
    assert store.find_now(DIGEST).owner == "umbrella"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"keys": {}}',
        '{"keys": [7]}',
        '{"keys": [{}]}',
        '{"keys": [{"id": "a", "owner": "b", "secrets": [], "x": 1}]}',
        json.dumps({"keys": [record().as_dict()] * 2}),
    ],
)
def test_what_is_no_key_file_stops_the_start(tmp_path, content):
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"keys\.json can't be read"):
        KeyRing(path)


def test_a_file_that_can_not_be_written(tmp_path):
    store = FileKeys(str(tmp_path / "nowhere" / "keys.json"))
    with pytest.raises(DependencyError):
        store.put(record(), 0).run()


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    store = FileKeys(str(tmp_path / "keys.json"))
    store.put(record(), 0).run()

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DependencyError, match="no space"):
        store.put(record().but(plan="other"), 1).run()
    assert store.find_now(DIGEST) == record()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["keys.json", "keys.json.lock"]


def test_a_redis_that_is_away(valkey):
    server = Valkey()
    store = RedisKeys(RedisStore(server.url, timeout=1.0))
    server.kill()
    with pytest.raises(DependencyError):
        store.find(DIGEST).run()


def test_a_database_without_tables():
    store = SqlKeys("sqlite://")
    with pytest.raises(DependencyError, match="OperationalError"):
        store.find(DIGEST).run()
    with pytest.raises(DependencyError):
        store.put(record(), 0).run()
    run(store.close())


def test_an_engine_of_ones_own_stays_open(tmp_path):
    engine = create_engine("sqlite://", poolclass=StaticPool)
    store = SqlKeys(engine)
    store.create_tables().run()
    store.put(record(), 0).run()
    run(store.close())
    assert store.find(DIGEST).run() == record()
    engine.dispose()


def test_a_forked_process_has_connections_of_its_own(tmp_path):
    store = SqlKeys(f"sqlite:///{tmp_path}/keys.db")
    store.create_tables().run()
    store.put(record(), 0).run()
    before = store._engine.pool
    store.after_fork()
    assert store._engine.pool is not before
    assert store.find(DIGEST).run() == record()
    run(store.close())
    before.dispose()  # what is the parent's stays open
    asynchronous = SqlKeys(f"sqlite+aiosqlite:///{tmp_path}/keys.db")
    before = asynchronous._engine.pool
    asynchronous.after_fork()
    assert asynchronous._engine.pool is not before


def test_an_async_engine_serves_no_wsgi():
    store = SqlKeys(create_async_engine("sqlite+aiosqlite://"))
    store.check("asgi")
    with pytest.raises(ConfigurationError, match="Engine"):
        store.check("wsgi")
    with pytest.raises(ConfigurationError, match="acreate"):
        store.find(DIGEST).run()


def test_which_store_a_url_is(tmp_path, valkey):
    assert isinstance(KeyRing("memory://").store, MemoryKeys)
    assert isinstance(KeyRing(tmp_path / "keys.json").store, FileKeys)
    assert isinstance(KeyRing(f"file://{tmp_path}/a%20file.json").store, FileKeys)
    assert isinstance(KeyRing(valkey.url).store, RedisKeys)
    assert isinstance(KeyRing("sqlite://").store, SqlKeys)
    assert isinstance(KeyRing("sqlite+aiosqlite://").store, SqlKeys)
    assert isinstance(KeyRing(create_engine("sqlite://")).store, SqlKeys)
    assert isinstance(KeyRing(MemoryKeys()).store, MemoryKeys)


@pytest.mark.parametrize("store", ["keys", "nosuch://secret@host", 7, None, object()])
def test_what_is_no_store(store):
    with pytest.raises(ConfigurationError) as caught:
        KeyRing(store)
    assert caught.value.origin.file == __file__
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("prefix", ["", "A", "a__b", "_a", "a_", "a" * 33, 7, "a-b"])
def test_prefixes_are_checked(prefix):
    with pytest.raises(ConfigurationError, match="prefix"):
        KeyRing("memory://", prefix=prefix)


def test_a_thread_that_was_slow_to_read_a_file_puts_no_older_keys_back(tmp_path, monkeypatch):
    path = tmp_path / "keys.json"
    here, there = FileKeys(str(path)), FileKeys(str(path))
    there.put(record(), 0).run()
    load = json.load

    def slowly(file):
        document = load(file)
        monkeypatch.setattr(json, "load", load)
        there.delete("one").run()
        here.find_now(DIGEST)  # as another thread, which meets the newer file
        return document

    monkeypatch.setattr(json, "load", slowly)
    here.find_now(DIGEST)
    assert here.find_now(DIGEST) is None


def test_a_key_that_is_changed_is_known_at_every_moment():
    store, digests = MemoryKeys([record("one", DIGEST, "cd" * 32)]), []
    with meanwhile(lambda: digests.append(store._shelf.by_digest.get(DIGEST))):
        store._shelf.put(record("one", DIGEST, "ef" * 32, version=2), 1)
    assert len(digests) > 20
    assert {found and found.id for found in digests} == {"one"}
    assert store.find_now("cd" * 32) is None
    assert store.find_now("ef" * 32).version == 2
    same = store.find_now(DIGEST)
    store._shelf.put(same, 2)
    assert store.find_now(DIGEST) is same
