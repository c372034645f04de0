"""Many keys: what one costs to remember, and the longest that anybody waits while keys come, go and expire."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path

from .throttler_peers import many_keys

__all__ = ["million"]


def million(who: str, keys: int) -> dict[str, float]:
    """Bytes a key, then the 99.9th percentile and the longest of as many decisions, of old and new keys in turn."""
    decide = many_keys(who, keys)
    gc.collect()
    before = _resident()
    for number in range(keys):
        decide(_name(number))  # the text is a part of what a key costs
    each = (_resident() - before) / keys
    took = _times(decide, keys)
    return {"bytes a key": each, "p50 µs": took[len(took) // 2], "p99.9 µs": took[int(len(took) * 0.999)], "longest µs": took[-1]}


def _name(number: int) -> str:
    return f"0123456789abcdef0123:203.0.113.{number}"


def _times(decide: Callable[[str], object], keys: int) -> list[float]:
    """Sorted microseconds of CPU of single decisions; half of the keys are known, half make others go."""
    took = []
    clock = time.thread_time_ns
    for number in range(keys):
        name = _name(number if number % 2 else keys + number)
        begun = clock()
        decide(name)
        took.append((clock() - begun) / 1e3)
    return sorted(took)


def _resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
