"""What components ask of a store, by capability: a component names the protocol it needs and fails at start-up without it.

Every operation is an `Io`. A store that answers without waiting says `remote = False` and also offers the plain `…_now`
methods of the Local protocols, which the hot path calls directly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

from ..effects import Flow, Io

__all__ = ["Bucket", "BucketStore", "KeyValueStore", "LocalBucketStore", "LocalKeyValueStore", "Store", "Taken"]


@runtime_checkable
class Store(Protocol):
    """The least a store is: it can be closed. `remote` says whether its operations wait for a network."""

    remote: ClassVar[bool]
    shared: ClassVar[bool]
    """Whether several processes see the same data."""

    def close(self) -> Flow[None] | None: ...


class Bucket(NamedTuple):
    """A token bucket to take from: `rate` tokens a second flow in, up to `burst`; `cost` are to be taken now."""

    key: str
    rate: float
    burst: float
    cost: float = 1.0


class Taken(NamedTuple):
    """The outcome for a list of buckets: all were taken, or none and `refused` is the index of the one that waits longest."""

    refused: int | None
    remaining: Sequence[float]
    """Whole and partial tokens left in each bucket, after taking (or as they are, when refused)."""
    retry_after: float
    """Seconds until all of them could be taken; 0.0 when they were; inf when a cost exceeds its burst."""


@runtime_checkable
class BucketStore(Store, Protocol):
    """Token buckets, decided atomically on the store's own clock (a shared store's server time).

    A bucket that was never taken from is full. The keys of one call differ from each other. Never more than burst + rate ×
    elapsed are granted in any window, to within a millionth of a token.
    """

    def take(self, buckets: Sequence[Bucket]) -> Io[Taken]:
        """Take from all of the buckets or from none. Raises DependencyError."""


@runtime_checkable
class LocalBucketStore(BucketStore, Protocol):
    """Token buckets that are decided without waiting; `now` is the request's reading of the monotonic clock, in seconds."""

    def take_now(self, buckets: Sequence[Bucket], now: float) -> Taken:
        """As `take`."""

    def take_one(self, key: str, rate: float, burst: float, cost: float, now: float) -> float:
        """As `take_now` from one bucket, in the form that costs least: the tokens left, or, refused, minus those that lack."""


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
