"""open_store: schemes, stores that are given, and mistakes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, ClassVar

import pytest

from gatekeep.errors import ConfigurationError
from gatekeep.stores import MemoryStore, Store, open_store
from gatekeep.stores.redis_place import Place
from gatekeep.testing import FakeClock


def test_memory() -> None:
    clock = FakeClock()
    store = open_store("memory://", clock)
    assert isinstance(store, MemoryStore)
    assert store._clock is clock


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:1/0",
        "rediss://127.0.0.1:1",
        "unix:///nowhere/redis.sock?db=1",
        "valkey://127.0.0.1:1",
        "valkeys+cluster://127.0.0.1:1,127.0.0.1:2",
        "redis+sentinel://127.0.0.1:1,127.0.0.1:2/main/3",
    ],
)
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
        ("localhost", ["no store's URL", "memory://", "redis://", "redis+sentinel://", "redis+cluster://"]),
        ("mongodb://db", ["no store's URL"]),
        ("memory://?max_keys=5", ["takes no options", "MemoryStore"]),
        ("redis://host:port/", ["store:", "redis://host:6379/0"]),
        ("redis://a,b", ["redis+cluster://", "redis+sentinel://"]),
        ("redis+sentinel://a,b", ["names the service", "mymaster"]),
        ("redis+cluster://a,b/2", ["no databases"]),
        ("redis+ring://a", ["no store's URL"]),
        ("unix+cluster:///tmp/x.sock", ["one server's"]),
        ("memory+cluster://", ["no store's URL"]),
        ("redis://host/0?colour=red", ["colour"]),
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
        open_store("memcached://user:secret@host:1")
    assert "secret" not in str(caught.value)
    assert "host:1" in str(caught.value)
    for url in ("redis://user:secret@host:1", "redis+cluster://user:secret@a,b", "redis+sentinel://user:secret@a,b/main"):
        assert "secret" not in repr(open_store(url))
        assert "secret" not in repr(Place.parse(url))


def forget_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("gatekeep.stores.redis")]:
        monkeypatch.delitem(sys.modules, name)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_redis(monkeypatch)
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError, match=r'^\S+test_open_store\.py:\d+: .* \(pip install "gatekeep\[redis\]"\)$'):
        open_store("redis://user:secret@host")


def test_another_missing_module_is_not_taken_for_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_redis(monkeypatch)
    monkeypatch.setitem(sys.modules, "redis.backoff", None)
    with pytest.raises(ModuleNotFoundError, match=r"redis\.backoff"):
        open_store("redis://host")


def test_redis_is_imported_only_when_asked_for() -> None:
    code = "import sys, gatekeep.stores; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Where the URLs of Redis lead.


@pytest.mark.parametrize(
    ("url", "topology", "addresses", "service", "options"),
    [
        ("redis://", "single", (("localhost", 6379),), "", {}),
        ("redis://u:p%40@h:1/3", "single", (("h", 1),), "", {"username": "u", "password": "p@", "db": 3}),
        ("valkey://[::1]:7", "single", (("::1", 7),), "", {}),
        ("unix:///tmp/x.sock?db=2", "single", (), "", {"path": "/tmp/x.sock", "db": 2}),
        ("redis+sentinel://:pw@a,b:2/my%20own/1", "sentinel", (("a", 26379), ("b", 2)), "my own", {"password": "pw", "db": 1}),
        ("redis+cluster://a:1,b", "cluster", (("a", 1), ("b", 6379)), "", {}),
        ("redis://h?socket_timeout=9&max_connections=3", "single", (("h", 6379),), "", {}),
    ],
)
def test_places(url: str, topology: str, addresses: Any, service: str, options: dict[str, Any]) -> None:
    place = Place.parse(url)
    assert (place.topology, place.addresses, place.service, dict(place.options)) == (topology, addresses, service, options)


def test_tls_holds_for_sentinels_and_their_servers_too() -> None:
    place = Place.parse("rediss+sentinel://:pw@a/main?ssl_ca_certs=/etc/ca.pem&sentinel_password=other")
    assert place.connection == "SSLConnection"
    assert place.options == {"password": "pw", "ssl_ca_certs": "/etc/ca.pem"}
    assert place.sentinel_options == {"password": "other", "ssl_ca_certs": "/etc/ca.pem"}
