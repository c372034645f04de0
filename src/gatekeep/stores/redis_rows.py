"""Rows: demands and changes as the scripts read them, and what it says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from struct import unpack
from typing import Any, NamedTuple

from .base import Bucket, Change, Demand, Lease, Taken, Tally, Window
from .counts import EPOCH
from .redis_node import Script

__all__ = ["DECIDE", "TAKE", "Reply", "adjustment", "decision", "merged", "read", "redis_key", "value_key"]

DECIDE = Script(files(__package__).joinpath("decide.lua").read_text("utf-8"))
TAKE = Script(files(__package__).joinpath("take.lua").read_text("utf-8"))
_WINDOWS: Mapping[str, str] = {"fixed": "f", "sliding": "s", "moving": "m"}


def _bucket(demand: Bucket, _unix: float) -> tuple[Any, ...]:
    return ("b", demand.rate, demand.burst, demand.cost, demand.wish)


def _window(demand: Window, _unix: float) -> tuple[Any, ...]:
    return (_WINDOWS[demand.kind], demand.limit, demand.period, demand.cost)


def _tally(demand: Tally, unix: float) -> tuple[Any, ...]:
    start, stop = demand.calendar(unix)
    return ("q", demand.limit, start - EPOCH, stop - EPOCH, demand.cost, demand.offset)


def _lease(demand: Lease, _unix: float) -> tuple[Any, ...]:
    return ("l", demand.limit, demand.ttl, demand.holder.encode("utf-8", "surrogatepass"))


_ROWS: Mapping[type, Callable[[Any, float], tuple[Any, ...]]] = {Bucket: _bucket, Window: _window, Tally: _tally, Lease: _lease}
_LETTERS: Mapping[type, str] = {Bucket: "b", Tally: "q", Lease: "l"}


def decision(operation: str, demands: Sequence[Demand], now: float | str, unix: float) -> tuple[Script, list[Any]]:
    """The script that does an operation on the demands, and its arguments; `unix` is about the server's time, in Unix seconds."""
    if operation == "take" and all(type(demand) is Bucket for demand in demands):
        arguments: list[Any] = [now]
        for demand in demands:
            arguments += demand[1:]
        return TAKE, arguments
    arguments = [operation, now]
    for demand in demands:
        arguments += _ROWS[type(demand)](demand, unix)
    return DECIDE, arguments


def adjustment(changes: Sequence[Change], now: float | str, unix: float) -> tuple[Script, list[Any]]:
    arguments: list[Any] = ["adjust", now]
    for change in changes:
        arguments += _ROWS[type(change.demand)](change.demand, unix)
        arguments += (change.amount, change.age, int(change.beyond))
    return DECIDE, arguments


def redis_key(prefix: str, demand: Demand) -> bytes:
    """What a demand is kept under. What follows the first ":" of its key is the hash tag: a caller's limits share a slot."""
    letter = _WINDOWS[demand.kind] if type(demand) is Window else _LETTERS[type(demand)]
    limit, colon, caller = demand.key.partition(":")
    if not colon:
        return value_key(prefix, letter, limit)
    return f"{prefix}{letter}:{limit}:{{{caller}}}".encode("utf-8", "surrogatepass")


def value_key(prefix: str, kind: str, key: str) -> bytes:
    """What a value is kept under; all of the key is its hash tag."""
    return f"{prefix}{kind}:{{{key}}}".encode("utf-8", "surrogatepass")


class Reply(NamedTuple):
    """What the script says of a list of demands; `stray` is the server's time where a tally's period is not that of now."""

    refused: int | None
    retry_after: float
    remaining: tuple[float, ...]
    resets: tuple[float, ...]
    ahead: tuple[float, ...]
    """What was taken for the wish of each bucket; 1 for a place that was not held before."""
    stray: float | None = None


def read(reply: bytes) -> Reply:
    refused, wait, *rows = unpack(f"<{len(reply) // 8}d", reply)
    if refused == -2:
        return Reply(None, 0.0, (), (), (), wait + EPOCH)
    return Reply(int(refused) if refused >= 0 else None, wait, tuple(rows[0::3]), tuple(rows[1::3]), tuple(rows[2::3]))


def merged(demands: Sequence[Demand], parts: Sequence[tuple[Sequence[int], Reply]]) -> Taken:
    """One outcome of several replies; each comes with the indices of its demands."""
    if len(parts) == 1:
        return _whole(demands, parts[0][1])
    remaining, resets, ahead = ([0.0] * len(demands) for _ in range(3))
    refused, longest = None, 0.0
    for indices, reply in parts:
        for index, left, more, taken in zip(indices, reply.remaining, reply.resets, reply.ahead, strict=True):
            remaining[index], resets[index], ahead[index] = left, more, taken
        if reply.refused is not None and reply.retry_after > longest:
            refused, longest = indices[reply.refused], reply.retry_after
    return _whole(demands, Reply(refused, longest, tuple(remaining), tuple(resets), tuple(ahead)))


def _whole(demands: Sequence[Demand], reply: Reply) -> Taken:
    only_buckets, wished = True, False
    for demand in demands:
        if type(demand) is not Bucket:
            only_buckets = False
        elif demand.wish:
            wished = True
    ahead = reply.ahead if wished else ()
    return Taken(reply.refused, reply.remaining, reply.retry_after, () if only_buckets else reply.resets, ahead)
