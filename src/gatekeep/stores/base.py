"""What components ask of a store, by capability: a component names the protocol it needs and fails at start-up without it.

Every operation is an `Io`. A store that answers without waiting says `remote = False` and also offers the plain `…_now`
methods of the Local protocols, which the hot path calls directly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from ..effects import Flow, Io

__all__ = [
    "Bucket",
    "BucketStore",
    "Calendar",
    "Change",
    "Demand",
    "KeyValueStore",
    "Lease",
    "LimitStore",
    "LocalBucketStore",
    "LocalKeyValueStore",
    "LocalLimitStore",
    "Store",
    "Taken",
    "Tally",
    "Window",
    "WindowKind",
    "WindowStore",
]


@runtime_checkable
class Store(Protocol):
    """The least a store is: it can be closed. `remote` says whether its operations wait for a network."""

    remote: ClassVar[bool]
    shared: ClassVar[bool]
    """Whether several processes see the same data."""

    def close(self) -> Flow[None] | None: ...


# What a limit asks for. A cost of 0 takes nothing, and passes while there is still one (or the whole limit, where that is less).


class Bucket(NamedTuple):
    """A token bucket to take from: `rate` tokens a second flow in, up to `burst`; `cost` are to be taken now."""

    key: str
    rate: float
    burst: float
    cost: float = 1.0
    wish: float = 0.0
    """Tokens that the worker would take ahead, to spend by itself."""


WindowKind = Literal["fixed", "sliding", "moving"]


class Window(NamedTuple):
    """At most `limit` in `period` seconds, as the strategies of the `limits` library count.

    "fixed": the window begins with its first hit. "sliding": windows stand at multiples of the period on the store's clock, and
    the one before counts by the part of it that is less than a period ago. "moving": every hit is remembered for a period.
    """

    key: str
    limit: float
    period: float
    kind: WindowKind
    cost: float = 1.0


Calendar: TypeAlias = Callable[[float], tuple[float, float]]
"""When the period that a Unix time is in began, and when the next begins, in Unix seconds. Pure; the store calls it with its
own idea of the time."""


class Tally(NamedTuple):
    """At most `limit` in a calendar period."""

    key: str
    limit: float
    calendar: Calendar
    cost: float = 1.0
    offset: float = 0.0
    """What a key that was never seen has used already. A store keeps such keys for 400 days, so that this is once."""


class Lease(NamedTuple):
    """One of `limit` places, until it is released, or for `ttl` seconds when nobody renews it."""

    key: str
    limit: float
    holder: str
    """Unique text; who holds a place already takes no second one."""
    ttl: float


Demand: TypeAlias = Bucket | Window | Tally | Lease


class Taken(NamedTuple):
    """The outcome for a list of demands: all were met, or none and `refused` is the index of the one that waits longest."""

    refused: int | None
    remaining: Sequence[float]
    """What is left of each, after taking (or as it is, when refused): tokens, hits, places. Never below 0."""
    retry_after: float
    """Seconds until all of them could be met; 0.0 when they were; inf when a cost exceeds what there ever is.

    Nobody knows when a place of a Lease comes free: it counts as one second.
    """
    resets: Sequence[float] = ()
    """Seconds until there is more of each, 0.0 where all of it is there; () where all are buckets, whose rate says it."""
    ahead: Sequence[float] = ()
    """Tokens that were taken for the wish of each, besides its cost; () where nobody wished."""


class Change(NamedTuple):
    """What is counted after the fact: `amount` is charged, or given back where it is negative."""

    demand: Bucket | Window | Tally
    amount: float
    age: float = 0.0
    """Seconds since the demand was met: what a period took that is over is not given back to the next."""
    beyond: bool = False
    """Whether a Tally may come to have more left than its limit: an extension. Others never hold more than they can."""


@runtime_checkable
class BucketStore(Store, Protocol):
    """Token buckets, decided atomically on the store's own clock (a shared store's server time).

    A bucket that was never taken from is full. The keys of one call differ from each other. Never more than burst + rate ×
    elapsed are granted in any window, to within a millionth of a token.
    """

    def take(self, demands: Sequence[Bucket], /) -> Io[Taken]:
        """Take from all of the buckets or from none. Raises DependencyError."""


@runtime_checkable
class LocalBucketStore(BucketStore, Protocol):
    """Token buckets that are decided without waiting; `now` is the request's reading of the monotonic clock, in seconds."""

    def take_now(self, demands: Sequence[Bucket], now: float, /) -> Taken:
        """As `take`."""

    def take_one(self, key: str, rate: float, burst: float, cost: float, now: float) -> float:
        """As `take_now` from one bucket, in the form that costs least: the tokens left, or, refused, minus those that lack."""


@runtime_checkable
class LimitStore(Store, Protocol):
    """Limits of every kind, any mix of them in one call, decided together. Each operation raises DependencyError.

    A key looks like "<of the limit>:<of the caller>".
    """

    def take(self, demands: Sequence[Demand], /) -> Io[Taken]:
        """Meet all of the demands or none."""

    def adjust(self, changes: Sequence[Change], /) -> Io[None]:
        """Charge or give back, whatever is left: a charge may leave a bucket or count in debt. Atomic for each change."""

    def peek(self, demands: Sequence[Demand], /) -> Io[Taken]:
        """What is left of each; takes nothing and refuses nothing."""

    def reset(self, demands: Sequence[Demand], /) -> Io[None]:
        """Forget what was counted; the offset of a Tally is not counted again."""

    def release(self, leases: Sequence[Lease], /) -> Io[None]:
        """Give places back; one that is not held (any more) is nobody's loss."""

    def renew(self, leases: Sequence[Lease], /) -> Io[None]:
        """Hold places for another `ttl` seconds; one that has run out is taken again, even over the limit."""


@runtime_checkable
class LocalLimitStore(LimitStore, Protocol):
    """Limits that are decided without waiting; `now` is the request's reading of the monotonic clock, in seconds."""

    def take_now(self, demands: Sequence[Demand], now: float, /) -> Taken: ...
    def adjust_now(self, changes: Sequence[Change], now: float, /) -> None: ...
    def release_now(self, leases: Sequence[Lease], now: float, /) -> None: ...


@runtime_checkable
class WindowStore(Store, Protocol):
    """Windows and nothing else, in whole seconds and whole numbers."""

    def hit(self, demands: Sequence[Window], /) -> Io[Taken]:
        """Meet all of the demands or none, as far as the store can. Raises DependencyError."""

    def supports(self, kind: WindowKind) -> bool:
        """Whether it counts so."""


@runtime_checkable
class KeyValueStore(Store, Protocol):
    """Bytes by key with a time to live in seconds. Each operation raises DependencyError."""

    def get(self, key: str) -> Io[bytes | None]: ...
    def put(self, key: str, value: bytes, ttl: float) -> Io[None]: ...
    def delete(self, key: str) -> Io[None]: ...


@runtime_checkable
class LocalKeyValueStore(KeyValueStore, Protocol):
    """Bytes by key, without waiting; `now` is a reading of the monotonic clock, in seconds."""

    def get_now(self, key: str, now: float) -> bytes | None: ...
    def put_now(self, key: str, value: bytes, ttl: float, now: float) -> None: ...
    def delete_now(self, key: str) -> None: ...
