"""Pace: how the threads that export leave the interpreter to requests, without a change to how it switches between threads.

A thread that computes gives the interpreter up every 5 ms, Python's switch interval, and a request that comes meanwhile waits
for that. So who encodes rests after every few items: between two rests nobody waits longer than a few items take.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from time import perf_counter, sleep
from typing import TypeVar

__all__ = ["Paced", "paced"]

T = TypeVar("T")

FEW = 16
"""Items between two rests."""
_REST = 0.0002
"""Seconds."""
_LATE = 0.003
"""Seconds of a rest that show that others compute without a pause: they have the interpreter most of the time anyway."""
_MANY = 32
"""Rests that are then left out: each would take as long, and what is to be exported would pile up."""


def paced(items: Iterable[T]) -> Iterator[T]:
    """The same items, with rests between them."""
    skip = 0
    for number, item in enumerate(items, 1):
        yield item
        if number % FEW:
            continue
        if skip:
            skip -= 1
            continue
        began = perf_counter()
        sleep(_REST)
        if perf_counter() - began > _LATE:
            skip = _MANY


class Paced(list[T]):
    """A list whose iteration is paced: for encoders, which go through it once."""

    def __iter__(self) -> Iterator[T]:
        return paced(super().__iter__())
