"""open_store: schemes, stores that are given, and mistakes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, ClassVar

import pytest

from gatekeep.errors import ConfigurationError
from gatekeep.stores import MemoryStore, Store, open_store
from gatekeep.testing import FakeClock


def test_memory() -> None:
    clock = FakeClock()
    store = open_store("memory://", clock)
    assert isinstance(store, MemoryStore)
    assert store._clock is clock


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "rediss://127.0.0.1:1", "unix:///nowhere/redis.sock?db=1"])
def test_redis_connects_to_nothing_yet(url: str) -> None:
    store = open_store(url)
    assert isinstance(store, Store)
    assert (store.remote, store.shared) == (True, True)


def test_a_store_is_taken_as_it_is() -> None:
    class Own:
        remote: ClassVar[bool] = True
        shared: ClassVar[bool] = True

        def close(self) -> None:
            return None

    own = Own()
    assert open_store(own) is own


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("localhost", ["no store's URL", "memory://", "redis://"]),
        ("mongodb://db", ["no store's URL"]),
        ("memory://?max_keys=5", ["takes no options", "MemoryStore"]),
        ("redis://host:port/", ["store:", "redis://host:6379/0"]),
        (object(), ["neither a URL nor a store"]),
        (MemoryStore, ["neither a URL nor a store"]),
    ],
)
def test_mistakes_name_the_fix(given: Any, words: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_store(given)
    for word in words:
        assert word in str(caught.value)


def test_a_password_stays_out_of_messages() -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_store("valkey://user:secret@host:1")
    assert "secret" not in str(caught.value)
    assert "host:1" in str(caught.value)
    assert "secret" not in repr(open_store("redis://user:secret@host:1"))


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gatekeep.stores.redis", raising=False)
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError, match=r'pip install "gatekeep\[redis\]"'):
        open_store("redis://user:secret@host")


def test_another_missing_module_is_not_taken_for_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gatekeep.stores.redis", raising=False)
    monkeypatch.setitem(sys.modules, "redis.backoff", None)
    with pytest.raises(ModuleNotFoundError, match=r"redis\.backoff"):
        open_store("redis://host")


def test_redis_is_imported_only_when_asked_for() -> None:
    code = "import sys, gatekeep.stores; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
