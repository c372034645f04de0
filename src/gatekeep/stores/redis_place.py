"""Where a Redis or Valkey is: what the URL of a store says, for one server, a Sentinel set or a Cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

import redis.asyncio.connection as asynchronous
from redis import connection as blocking
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

from ..component import caller
from ..errors import ConfigurationError

__all__ = ["Address", "Place"]

Address = tuple[str, int]

_TOPOLOGIES: Mapping[str, Literal["single", "sentinel", "cluster"]] = {
    "": "single",
    "sentinel": "sentinel",
    "cluster": "cluster",
}
_BASES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"}
_PORTS = {"single": 6379, "sentinel": 26379, "cluster": 6379}
_OURS = {"socket_timeout", "socket_connect_timeout", "timeout", "max_connections", "retry_on_timeout", "retry_on_error"}
"""Options of redis-py that have no say: the store has a budget and a pool of its own."""
_KINDS: Mapping[str, type[asynchronous.AbstractConnection]] = {
    "Connection": asynchronous.Connection,
    "SSLConnection": asynchronous.SSLConnection,
    "UnixDomainSocketConnection": asynchronous.UnixDomainSocketConnection,
}


class Place(NamedTuple):
    """One server, a Sentinel set or a Cluster, and how to connect to its servers."""

    topology: Literal["single", "sentinel", "cluster"]
    addresses: Sequence[Address]
    """Of the server, of the Sentinels, or of some nodes of the Cluster; of none for a Unix socket."""
    service: str
    """What the Sentinels call the primary."""
    options: Mapping[str, Any]
    """How to connect to a server of data, as redis-py's connections take it."""
    sentinel_options: Mapping[str, Any]
    """How to connect to a Sentinel."""
    connection: str

    @classmethod
    def parse(cls, url: str) -> Place:
        """Read redis://, rediss:// (TLS), valkey://, valkeys://, unix://, or one of them with +sentinel or +cluster.

        Raises ConfigurationError.
        """
        try:
            return cls._parse(url)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"store: {error}", origin=caller(), fix='write store="redis://host:6379/0"') from None

    @classmethod
    def _parse(cls, url: str) -> Place:
        scheme, _, rest = url.partition("://")
        base, _, suffix = scheme.partition("+")
        if base == "unix":
            if suffix:
                raise ValueError("a Unix socket is one server's")
            return cls._of("single", (), "", parse_url(url), {})
        topology, base = _TOPOLOGIES[suffix], _BASES[base]
        rest, _, query = rest.partition("?")
        authority, _, path = rest.partition("/")
        user, at, hosts = authority.rpartition("@")
        parsed = [parse_url(f"{base}://{user}{at}{host}/?{query}") for host in hosts.split(",")]
        addresses = tuple((one.get("host", "localhost"), one.get("port", _PORTS[topology])) for one in parsed)
        options: dict[str, Any] = parsed[0]
        service = ""
        if topology == "sentinel":
            service, _, path = path.partition("/")
            service = unquote(service)
            if not service:
                raise ValueError("a Sentinel URL names the service: redis+sentinel://host1,host2,host3/mymaster/0")
        elif topology == "cluster" and path.strip("/") not in ("", "0"):
            raise ValueError("a Cluster has no databases")
        elif topology == "single" and len(addresses) > 1:
            raise ValueError("several hosts are a Cluster or Sentinels: redis+cluster://… or redis+sentinel://…/service")
        if path.strip("/"):
            options.setdefault("db", int(path.strip("/")))
        watched = {name.removeprefix("sentinel_"): options.pop(name) for name in list(options) if name.startswith("sentinel_")}
        return cls._of(topology, addresses, service, options, watched)

    @classmethod
    def _of(
        cls,
        topology: Literal["single", "sentinel", "cluster"],
        addresses: Sequence[Address],
        service: str,
        options: dict[str, Any],
        watched: dict[str, Any],
    ) -> Place:
        connection: type = options.pop("connection_class", blocking.Connection)
        for name in ("host", "port", *_OURS):
            options.pop(name, None)
        tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
        place = cls(topology, addresses, service, options, {**tls, **watched}, connection.__name__)
        for address in addresses or (None,):
            place.line(address, 1.0)  # connects to nothing; an option that nobody knows is a TypeError
        return place

    def __repr__(self) -> str:  # the options have a password
        return f"<Place {self}>"

    def __str__(self) -> str:
        if not self.addresses:
            return str(self.options.get("path"))
        hosts = ",".join(f"{host}:{port}" for host, port in self.addresses)
        return f"{self.service} of {hosts}" if self.service else hosts

    # Connections, not connected yet. redis-py shall not retry: who asks has a time budget and another way.

    def line(self, address: Address | None, timeout: float, *, sentinel: bool = False) -> blocking.AbstractConnection:
        """A connection for threads; connecting and each answer may take `timeout` seconds."""
        kind = getattr(blocking, self.connection)
        limits = {"socket_timeout": timeout, "socket_connect_timeout": timeout, "retry": Retry(NoBackoff(), 0)}
        made: blocking.AbstractConnection = kind(**self._arguments(address, sentinel), **limits)
        return made

    def async_line(self, address: Address | None, *, sentinel: bool = False) -> asynchronous.AbstractConnection:
        """A connection for tasks, without timeouts of its own."""
        kind = _KINDS[self.connection]
        arguments = self._arguments(address, sentinel)
        return kind(**arguments, socket_timeout=None, socket_connect_timeout=None, retry=AsyncRetry(NoBackoff(), 0))

    def _arguments(self, address: Address | None, sentinel: bool) -> dict[str, Any]:
        arguments = {**(self.sentinel_options if sentinel else self.options), "protocol": 2}
        if address is not None:
            arguments["host"], arguments["port"] = address
        return arguments
