"""The store of several processes: limits and values in Redis or Valkey, one server, a Sentinel set or a Cluster.

All limits of a call are decided by decide.lua, on the server's clock, in one round trip. Needs the extra "redis".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from time import monotonic
from typing import Any, ClassVar, TypeVar

from redis.asyncio.connection import AbstractConnection as AsyncLine
from redis.connection import AbstractConnection as Line
from redis.exceptions import NoScriptError, ResponseError

from ..clock import SYSTEM_CLOCK, Clock
from ..effects import Flow, Io, arun, run
from ..errors import DependencyError
from ..forks import reset_after_fork
from .base import Change, Demand, Lease, Taken
from .circuit import Health, StoreChange
from .counts import EPOCH
from .redis_links import Ask, Cluster, Links, Outcome, Single
from .redis_node import Script
from .redis_place import Place
from .redis_rows import Reply, adjustment, decision, merged, read, redis_key, value_key

__all__ = ["RedisStore"]

T = TypeVar("T")

_inherited: list[object] = []
"""Connections that a forked child has from its parent: kept, since closing them would disturb the parent."""


class RedisStore:
    """Limits and values in Redis 6.2 or later, or Valkey, at a URL (redis://, valkey+cluster://, …; see Place).

    `timeout` (seconds) bounds a call in all: to wait for a free connection, to connect, to answer. A process, and each event
    loop, has at most `max_connections` to a server; further calls queue. Whatever goes wrong is a DependencyError; after three
    failures in a row calls fail at once, and one a second probes in the background whether the server is back.
    """

    remote: ClassVar[bool] = True
    shared: ClassVar[bool] = True

    def __init__(
        self,
        url: str,
        *,
        clock: Clock = SYSTEM_CLOCK,
        timeout: float = 0.05,
        max_connections: int = 16,
        prefix: str = "gatekeep:",
    ) -> None:
        self._place = Place.parse(url)
        self._clock = clock
        self._timeout = timeout
        self._max_connections = max_connections
        self.prefix = prefix
        self._listeners: list[Callable[[StoreChange], None]] = []
        self._ahead_of_us = 0.0
        """Seconds by which the server's clock is before ours, as far as tallies have noticed."""
        self._reset()
        reset_after_fork(self)

    def _reset(self) -> None:
        kind = Cluster if self._place.topology == "cluster" else Single
        self._links: Links = kind(self._place, self._clock, self._told, self._max_connections, self.prefix)

    def after_fork(self) -> None:
        _inherited.append(self._links)
        self._reset()

    def __repr__(self) -> str:
        return f"<RedisStore at {self._place}>"

    # What becomes of it.

    @property
    def away(self) -> bool:
        """Whether calls fail at once; on a Cluster, those to some node."""
        return self._links.away

    def health(self) -> list[Health]:
        """How each server has fared."""
        return [circuit.health for circuit in self._links.circuits]

    def watch(self, listener: Callable[[StoreChange], None]) -> None:
        """Call `listener` whenever a server goes away or comes back, in whatever thread or task that is noticed."""
        self._listeners.append(listener)

    def _told(self, change: StoreChange) -> None:
        for listener in self._listeners:
            listener(change)

    # Limits.

    def take(self, demands: Sequence[Demand]) -> Io[Taken]:
        """Meet all demands or none. On a Cluster each slot decides for itself, and what one refuses the others get back."""
        if self._links.cluster:
            return _io(lambda: self._take(demands, None))
        return Io(lambda: self._take_here(demands), lambda: self._atake_here(demands))

    def peek(self, demands: Sequence[Demand]) -> Io[Taken]:
        return _io(lambda: self._peek(demands))

    def adjust(self, changes: Sequence[Change]) -> Io[None]:
        return _io(lambda: self._adjust(changes, None))

    def reset(self, demands: Sequence[Demand]) -> Io[None]:
        return _io(lambda: self._without_reply("reset", demands))

    def release(self, leases: Sequence[Lease]) -> Io[None]:
        return _io(lambda: self._without_reply("release", leases))

    def renew(self, leases: Sequence[Lease]) -> Io[None]:
        return _io(lambda: self._without_reply("renew", leases))

    # One server, and nothing unexpected: the usual case by the shortest way. Otherwise nothing was taken, and _take asks again.

    def _take_here(self, demands: Sequence[Demand]) -> Taken:
        deadline = monotonic() + self._timeout
        [outcome] = self._links.exchange([self._ask(demands)], deadline)
        taken = _taken(demands, outcome)
        return taken if taken is not None else run(self._take(demands, None))

    async def _atake_here(self, demands: Sequence[Demand]) -> Taken:
        deadline = monotonic() + self._timeout
        [outcome] = await self._links.aexchange([self._ask(demands)], deadline)
        taken = _taken(demands, outcome)
        return taken if taken is not None else await arun(self._take(demands, None))

    def _ask(self, demands: Sequence[Demand]) -> Ask:
        script, arguments = decision("take", demands, "", self._clock.wall() + self._ahead_of_us)
        keys = [redis_key(self.prefix, demand) for demand in demands]
        return Ask(keys[0], (("EVALSHA", script.sha, len(keys), *keys, *arguments),))

    def _take(self, demands: Sequence[Demand], now: float | None) -> Flow[Taken]:
        # `now` is for tests that compare the script with what decides in memory; None asks the server's clock.
        parts, error = yield from self._decide("take", demands, now)
        met = [part for part in parts if part[1].refused is None]
        if error is not None:
            yield from self._undo(demands, met, now)
            raise error
        if len(met) < len(parts) and met:
            yield from self._undo(demands, met, now)
            parts = [(indices, reply if reply.refused is not None else self._undone(demands, indices, reply))
                     for indices, reply in parts]  # fmt: skip
        return merged(demands, parts)

    def _undone(self, demands: Sequence[Demand], indices: Sequence[int], reply: Reply) -> Reply:
        """What is told of demands that were met and given back: what they had before."""
        had = [
            left + ahead + (0.0 if isinstance(demand, Lease) else demand.cost)
            for demand, left, ahead in zip([demands[index] for index in indices], reply.remaining, reply.ahead, strict=True)
        ]
        return reply._replace(remaining=tuple(had), ahead=(0.0,) * len(had))

    def _undo(self, demands: Sequence[Demand], met: Sequence[tuple[Sequence[int], Reply]], now: float | None) -> Flow[None]:
        """Give back what some slots granted. What cannot be given back is lost to the caller, never to the limit."""
        changes: list[Change] = []
        leases: list[Lease] = []
        for indices, reply in met:
            for index, ahead in zip(indices, reply.ahead, strict=True):
                demand = demands[index]
                if not isinstance(demand, Lease):
                    changes.append(Change(demand, -(demand.cost + ahead)))
                elif ahead:
                    leases.append(demand)
        try:
            if changes:
                yield from self._adjust(changes, now)
            if leases:
                yield from self._without_reply("release", leases)
        except DependencyError:
            return  # the circuit has counted it

    def _peek(self, demands: Sequence[Demand]) -> Flow[Taken]:
        parts, error = yield from self._decide("peek", demands, None)
        if error is not None:
            raise error
        return merged(demands, parts)

    def _adjust(self, changes: Sequence[Change], now: float | None) -> Flow[None]:
        demands = [change.demand for change in changes]
        _, error = yield from self._decide("adjust", demands, now, changes)
        if error is not None:
            raise error

    def _without_reply(self, operation: str, demands: Sequence[Demand]) -> Flow[None]:
        _, error = yield from self._decide(operation, demands, None)
        if error is not None:
            raise error

    def _decide(
        self, operation: str, demands: Sequence[Demand], now: float | None, changes: Sequence[Change] | None = None
    ) -> Flow[tuple[list[tuple[Sequence[int], Reply]], DependencyError | None]]:
        """Run the script once for each slot. Says what each answered, and the first failure."""
        deadline = monotonic() + self._timeout
        keys = [redis_key(self.prefix, demand) for demand in demands]
        groups, said = self._groups(keys), "" if now is None else now
        for _ in range(3):  # again where the server's clock shows another calendar period than ours; then it is known
            unix = EPOCH + now if now is not None else self._clock.wall() + self._ahead_of_us
            asks = []
            for indices in groups:
                if changes is None:
                    script, arguments = decision(operation, [demands[index] for index in indices], said, unix)
                else:
                    script, arguments = adjustment([changes[index] for index in indices], said, unix)
                asks.append((script, [keys[index] for index in indices], arguments))
            outcomes = yield from self._evaluate(asks, deadline)
            parts: list[tuple[Sequence[int], Reply]] = []
            strays: list[tuple[Sequence[int], Reply]] = []
            error = None
            for indices, outcome in zip(groups, outcomes, strict=True):
                if isinstance(outcome, DependencyError):
                    error = error or outcome
                elif outcome:
                    reply = read(outcome)
                    (parts if reply.stray is None else strays).append((indices, reply))
            if not strays:
                return parts, error
            self._ahead_of_us = (strays[0][1].stray or 0.0) - self._clock.wall()
            if operation == "take":
                yield from self._undo(demands, [part for part in parts if part[1].refused is None], now)
            else:
                groups = [indices for indices, _ in strays]
        raise DependencyError(f"{self!r} is in no period of the calendar that it was asked for")

    def _groups(self, keys: Sequence[bytes]) -> list[Sequence[int]]:
        """The indices of the keys that are decided together."""
        if len(keys) == 1 or not self._links.cluster:
            return [range(len(keys))]
        groups: dict[int, list[int]] = {}
        for index, key in enumerate(keys):
            groups.setdefault(self._links.slot(key), []).append(index)
        return list(groups.values())

    # Scripts and commands; also for what else is kept here.

    def eval(self, script: Script, keys: Sequence[bytes], arguments: Sequence[Any]) -> Io[Any]:
        """Run a script. On a Cluster its keys have to share a slot."""

        def flow() -> Flow[Any]:
            [outcome] = yield from self._evaluate([(script, keys, arguments)], monotonic() + self._timeout)
            return _reply(outcome)

        return _io(flow)

    def _evaluate(self, calls: Sequence[tuple[Script, Sequence[bytes], Sequence[Any]]], deadline: float) -> Flow[list[Any]]:
        asks = [Ask(keys[0] if keys else None, (("EVALSHA", one.sha, len(keys), *keys, *rest),)) for one, keys, rest in calls]
        found = [_only(outcome) for outcome in (yield from self._exchange(asks, deadline))]
        unknown = [index for index, reply in enumerate(found) if isinstance(reply, NoScriptError)]
        if unknown:
            again = [
                Ask(keys[0] if keys else None, (("EVAL", one.text, len(keys), *keys, *rest),))
                for one, keys, rest in (calls[index] for index in unknown)
            ]
            for index, outcome in zip(unknown, (yield from self._exchange(again, deadline)), strict=True):
                found[index] = _only(outcome)
        return found

    def call(self, *command: Any) -> Io[Any]:
        """Run a command and give its raw reply. On a Cluster its first argument says where."""

        def flow() -> Flow[Any]:
            [outcome] = yield from self._exchange([Ask(_key(command), (command,))], monotonic() + self._timeout)
            return _reply(_only(outcome))

        return _io(flow)

    def pipeline(self, commands: Sequence[Sequence[Any]]) -> Io[list[Any]]:
        """Run several commands in one round trip (on a Cluster one for each slot, all at once), not as a transaction."""

        def flow() -> Flow[list[Any]]:
            keys = [_key(command) or b"" for command in commands]
            groups = self._groups(keys)
            asks = [Ask(keys[indices[0]], [commands[index] for index in indices]) for indices in groups]
            outcomes = yield from self._exchange(asks, monotonic() + self._timeout)
            replies: list[Any] = [None] * len(commands)
            for indices, outcome in zip(groups, outcomes, strict=True):
                if isinstance(outcome, DependencyError):
                    raise outcome
                for index, reply in zip(indices, outcome, strict=True):
                    replies[index] = _reply(reply)
            return replies

        return _io(flow)

    def _exchange(self, asks: Sequence[Ask], deadline: float) -> Io[list[Outcome]]:
        links = self._links
        return Io(lambda: links.exchange(asks, deadline), lambda: links.aexchange(asks, deadline))

    # Values by key.

    def get(self, key: str) -> Io[bytes | None]:
        return self.call("GET", value_key(self.prefix, "v", key))

    def put(self, key: str, value: bytes, ttl: float) -> Io[None]:
        if ttl <= 0:
            return self.delete(key)
        return self._quietly("SET", value_key(self.prefix, "v", key), value, "PX", ceil(ttl * 1000))

    def delete(self, key: str) -> Io[None]:
        return self._quietly("DEL", value_key(self.prefix, "v", key))

    def _quietly(self, *command: Any) -> Io[None]:
        def flow() -> Flow[None]:
            yield from self.call(*command)

        return _io(flow)

    # Connections.

    def open_line(self, key: bytes | None = None) -> Line:
        """A connection of its own, outside of pool and circuit, to the server that has `key`; who opens it closes it."""
        return self._links.node(key).connect()

    async def aopen_line(self, key: bytes | None = None) -> AsyncLine:
        """As `open_line`, for the running loop."""
        return await self._links.node(key).aconnect()

    def close(self) -> Flow[None]:
        """Close the connections of this process' threads and of the running loop; a later call opens new ones."""
        yield from Io(self._links.close, self._close_here)

    async def _close_here(self) -> None:
        self._links.close()
        await self._links.loops.close_here()


def _io(flow: Callable[[], Flow[T]]) -> Io[T]:
    return Io(lambda: run(flow()), lambda: arun(flow()))


def _taken(demands: Sequence[Demand], outcome: Outcome) -> Taken | None:
    """What was taken; None where the script is not known, or the calendar not that of the server."""
    if isinstance(outcome, DependencyError):
        raise outcome
    [reply] = outcome
    if type(reply) is not bytes:
        return None
    found = read(reply)
    return merged(demands, [(range(len(demands)), found)]) if found.stray is None else None


def _only(outcome: Outcome) -> Any:
    return outcome if isinstance(outcome, DependencyError) else outcome[0]


def _reply(reply: Any) -> Any:
    """Raises what is none."""
    if isinstance(reply, DependencyError):
        raise reply
    if isinstance(reply, ResponseError):
        raise DependencyError(f"{type(reply).__name__}: {reply}")
    return reply


def _key(command: Sequence[Any]) -> bytes | None:
    if len(command) < 2:
        return None
    key = command[1]
    return key if isinstance(key, bytes) else str(key).encode("utf-8", "surrogatepass")
