"""Links: whom to ask. One server, the primary that Sentinels name (found anew for each connection), or a Cluster's nodes."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Sequence
from math import inf
from time import monotonic
from typing import Any, NamedTuple, TypeAlias

from redis.asyncio.connection import AbstractConnection as AsyncLine
from redis.connection import AbstractConnection as Line
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, RedisError

from ..clock import Clock
from ..effects import in_thread
from ..errors import DependencyError
from .circuit import Circuit, StoreChange
from .redis_node import Loops, Node, Pending
from .redis_place import Address, Place
from .redis_pool import CONNECT, Commands

__all__ = ["Ask", "Cluster", "Links", "Outcome", "Single"]

_SENTINEL = 0.25
"""Seconds that one Sentinel may take before the next is asked."""


class Ask(NamedTuple):
    """Commands that go to one place in one round trip: where `key` is, or anywhere."""

    key: bytes | None
    commands: Commands


_LOOK = 1.0
"""Seconds after which Sentinels are asked again whether the primary is still the same."""

Outcome: TypeAlias = list[Any] | DependencyError
"""The replies, errors of the server among them; or why there are none."""


class Single:
    """One server, or one primary behind Sentinels."""

    cluster = False

    def __init__(self, place: Place, clock: Clock, tell: Callable[[StoreChange], None], size: int, prefix: str) -> None:
        self.loops = Loops()
        self._place = place
        self._primary: Address | None = None
        self._looked = monotonic()
        self._discovers = place.topology == "sentinel"
        connect, aconnect = self._connect, self._aconnect
        if self._discovers:
            connect, aconnect = self._connect_primary, self._aconnect_primary
        what, probe = f"the store at {place}", ("SET", prefix + "probe", b"", "PX", 1)
        self._node = Node(what, connect, aconnect, self.loops, probe=probe, clock=clock, tell=tell, size=size)

    @property
    def circuits(self) -> list[Circuit]:
        return [self._node.circuit]

    @property
    def away(self) -> bool:
        return self._node.circuit.away

    def slot(self, key: bytes) -> int:
        return 0

    def node(self, key: bytes | None) -> Node:
        return self._node

    def exchange(self, asks: Sequence[Ask], deadline: float) -> list[Outcome]:
        [ask] = asks
        if self._discovers and monotonic() > self._looked + _LOOK:
            self._looked = monotonic()
            in_thread(self._look)
        try:
            return [self._node.finish(self._node.begin(ask.commands, deadline), deadline)]
        except DependencyError as error:
            return [error]

    async def aexchange(self, asks: Sequence[Ask], deadline: float) -> list[Outcome]:
        [ask] = asks
        if self._discovers and monotonic() > self._looked + _LOOK:
            self._looked = monotonic()
            in_thread(self._look)
        try:
            return [await self._node.ask(ask.commands, deadline)]
        except DependencyError as error:
            return [error]

    def close(self) -> None:
        self._node.close()

    # Connecting.

    def _connect(self) -> Line:
        return _up(self._place.line(self._address(), CONNECT))

    async def _aconnect(self) -> AsyncLine:
        return await _aup(self._place.async_line(self._address()))

    def _address(self) -> Address | None:
        return self._place.addresses[0] if self._place.addresses else None

    def _connect_primary(self) -> Line:
        self._primary = self._discover()
        return _up(self._place.line(self._primary, CONNECT))

    async def _aconnect_primary(self) -> AsyncLine:
        self._primary = await self._adiscover()
        return await _aup(self._place.async_line(self._primary))

    def _look(self) -> None:
        """Leave a primary that is none any more: it might take writes for a while that nobody will see."""
        try:
            primary = self._discover()
        except ConnectionError:
            return  # no Sentinel answers; the primary may
        if self._primary is not None and primary != self._primary:
            self._node.drop()

    def _discover(self) -> Address:
        errors = []
        for sentinel in self._place.addresses:
            try:
                line = _up(self._place.line(sentinel, _SENTINEL, sentinel=True))
                try:
                    line.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._place.service)
                    return self._address_in(line.read_response())
                finally:
                    line.disconnect()
            except (RedisError, OSError) as error:
                errors.append(f"{sentinel[0]}:{sentinel[1]}: {error}")
        raise ConnectionError("; ".join(errors))

    async def _adiscover(self) -> Address:
        errors = []
        for sentinel in self._place.addresses:
            try:
                async with asyncio.timeout(_SENTINEL):
                    line = await _aup(self._place.async_line(sentinel, sentinel=True))
                    try:
                        await line.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._place.service)
                        return self._address_in(await line.read_response())
                    finally:
                        await line.disconnect(nowait=True)
            except (RedisError, OSError) as error:
                errors.append(f"{sentinel[0]}:{sentinel[1]}: {error}")
        raise ConnectionError("; ".join(errors))

    def _address_in(self, reply: Any) -> Address:
        if not reply:
            raise ConnectionError(f"knows no {self._place.service!r}")
        return reply[0].decode(), int(reply[1])


class Cluster:
    """The primaries of a Cluster; where a node is away, the others serve on."""

    cluster = True

    def __init__(self, place: Place, clock: Clock, tell: Callable[[StoreChange], None], size: int, prefix: str) -> None:
        self.loops = Loops()
        self._place = place
        self._clock = clock
        self._tell = tell
        self._size = size
        self._nodes: dict[Address, Node] = {}
        self._table: tuple[list[int], list[tuple[int, Address]]] = [], []
        """Where each range of slots starts; and up to which slot who serves it."""
        self._looked = -inf
        for address in place.addresses:
            self._at(address)

    @property
    def circuits(self) -> list[Circuit]:
        return [node.circuit for node in list(self._nodes.values())]

    @property
    def away(self) -> bool:
        """Whether any node is."""
        return any(circuit.away for circuit in self.circuits)

    def slot(self, key: bytes) -> int:
        return key_slot(key)

    def node(self, key: bytes | None) -> Node:
        """Raises DependencyError where nobody is known to serve the key."""
        starts, ranges = self._table
        if not ranges:
            raise DependencyError(f"nothing is known of the cluster at {self._place}")
        slot = key_slot(key) if key is not None else starts[0]
        index = bisect_right(starts, slot) - 1
        if index < 0 or ranges[index][0] < slot:
            raise DependencyError(f"nobody serves slot {slot} of the cluster at {self._place}")
        return self._at(ranges[index][1])

    def _at(self, address: Address) -> Node:
        node = self._nodes.get(address)
        if node is None:
            what = f"the store at {address[0]}:{address[1]}"

            def connect() -> Line:
                return _up(self._place.line(address, CONNECT))

            async def aconnect() -> AsyncLine:
                return await _aup(self._place.async_line(address))

            rest: Any = {"clock": self._clock, "tell": self._told, "size": self._size}
            made = Node(what, connect, aconnect, self.loops, probe=("CLUSTER", "INFO"), **rest)
            node = self._nodes.setdefault(address, made)
        return node

    def _told(self, change: StoreChange) -> None:
        if change.away:
            self._looked = -inf  # somebody else may serve its slots soon
        self._tell(change)

    # Asking: all at once, then each answer.

    def exchange(self, asks: Sequence[Ask], deadline: float) -> list[Outcome]:
        self._look_again(lambda: in_thread(self._look_in_thread))
        if not self._table[0]:
            self._look(deadline)
        sent: list[tuple[Node, Pending] | DependencyError] = []
        for ask in asks:
            try:
                node = self.node(ask.key)
                sent.append((node, node.begin(ask.commands, deadline)))
            except DependencyError as error:
                sent.append(error)
        return [self._outcome(ask, pending, deadline) for ask, pending in zip(asks, sent, strict=True)]

    def _outcome(self, ask: Ask, pending: tuple[Node, Pending] | DependencyError, deadline: float) -> Outcome:
        if isinstance(pending, DependencyError):
            return pending
        node, sent = pending
        try:
            replies = node.finish(sent, deadline)
            redirect = self._redirect(ask, replies)
            if redirect is not None:
                node, commands, step = redirect
                replies = node.finish(node.begin(commands, deadline), deadline)[step - 1 :: step]
        except DependencyError as error:
            return error
        return replies

    async def aexchange(self, asks: Sequence[Ask], deadline: float) -> list[Outcome]:
        here = await self.loops.here()
        self._look_again(lambda: here.spawn(self._alook_in_task()))
        if not self._table[0]:
            await self._alook(deadline)
        if len(asks) == 1:
            return [await self._aoutcome(asks[0], deadline)]
        return list(await asyncio.gather(*(self._aoutcome(ask, deadline) for ask in asks)))

    async def _aoutcome(self, ask: Ask, deadline: float) -> Outcome:
        try:
            replies = await self.node(ask.key).ask(ask.commands, deadline)
            redirect = self._redirect(ask, replies)
            if redirect is not None:
                node, commands, step = redirect
                replies = (await node.ask(commands, deadline))[step - 1 :: step]
        except DependencyError as error:
            return error
        return replies

    def _redirect(self, ask: Ask, replies: list[Any]) -> tuple[Node, Commands, int] | None:
        """Where to ask again what a node sent on (it has carried out none of it), how, and which of the replies count."""
        moved = next((reply for reply in replies if isinstance(reply, AskError)), None)
        if moved is None:
            return None
        node = self._at((moved.host, moved.port))
        if isinstance(moved, MovedError):
            self._looked = -inf
            return node, ask.commands, 1
        return node, [step for command in ask.commands for step in (("ASKING",), command)], 2

    # Who serves what.

    def _look_again(self, start: Callable[[], None]) -> None:
        """Look in the background where something has changed, at most once a second."""
        now = monotonic()
        if (self._looked == -inf and self._table[0]) or (self._looked + 1.0 < now and self.away):
            self._looked = now
            start()

    def _look_in_thread(self) -> None:
        self._look(monotonic() + CONNECT)

    async def _alook_in_task(self) -> None:
        await self._alook(monotonic() + CONNECT)

    def _look(self, deadline: float) -> None:
        for address, node in self._nodes.copy().items():
            try:
                [reply] = node.finish(node.begin([("CLUSTER", "SLOTS")], deadline), deadline)
            except DependencyError:
                continue
            if self._learn(address, reply):
                return

    async def _alook(self, deadline: float) -> None:
        for address, node in self._nodes.copy().items():
            try:
                [reply] = await node.ask([("CLUSTER", "SLOTS")], deadline)
            except DependencyError:
                continue
            if self._learn(address, reply):
                return

    def _learn(self, asked: Address, reply: Any) -> bool:
        """Take over a table of slots; False for an empty one."""
        found = []
        for start, stop, (host, port, *_), *_ in reply:
            found.append((int(start), int(stop), ((host or b"").decode() or asked[0], int(port))))
        if not found:
            return False
        found.sort()
        self._table = [start for start, _, _ in found], [(stop, address) for _, stop, address in found]
        serving = {address for _, _, address in found}
        for address in list(self._nodes):
            if address not in serving and address not in self._place.addresses:
                gone = self._nodes.pop(address, None)
                if gone is not None:  # another thread may have learnt it, too
                    gone.gone = True
                    gone.close()
        return True

    def close(self) -> None:
        for node in list(self._nodes.values()):
            node.close()


Links: TypeAlias = Single | Cluster


def _up(line: Line) -> Line:
    line.connect()
    return line


async def _aup(line: AsyncLine) -> AsyncLine:
    try:
        await line.connect()
    except BaseException:
        await line.disconnect(nowait=True)
        raise
    return line
