"""What processes cost, as the kernel counts it: CPU time and memory of a process and those it started. Linux."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["cpu", "family", "memory", "pinned"]


def family(root: int) -> list[int]:
    """A process and every one that it started, and they."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it ended meanwhile
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for process in found:  # grows while it is walked
        found += children.get(process, ())
    return found


def cpu(processes: list[int]) -> float:
    """Seconds of CPU that they have had so far, to the microsecond: user and system time of every thread."""
    threads = [thread for process in processes for thread in Path(f"/proc/{process}/task").iterdir()]
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def memory(process: int) -> int:
    """Bytes of memory that it has."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def pinned(*, servers: bool) -> Iterator[None]:
    """While it lasts, this process and those that it starts keep to their half of the cores: servers, or the load generator."""
    every = sorted(os.sched_getaffinity(0))
    half = len(every) // 2
    mine = (every[:half] if servers else every[half:]) or every
    os.sched_setaffinity(0, mine)
    try:
        yield
    finally:
        os.sched_setaffinity(0, every)
