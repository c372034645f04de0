"""What a fork must reset: a child has its parent's locks, in whatever state they were, and its parent's open sockets."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["Forking", "reset_after_fork"]


class Forking(Protocol):
    def after_fork(self) -> None:
        """Make new locks and forget connections; called in the child, before anything else runs there."""


_living: weakref.WeakSet[Forking] = weakref.WeakSet()


class _Tie:
    """Stands for a thing that can't be referred to weakly, as those of compiled modules."""

    def __init__(self, thing: Forking) -> None:
        self._thing = thing

    def after_fork(self) -> None:
        self._thing.after_fork()


def reset_after_fork(thing: Forking) -> object:
    """Call `thing.after_fork()` in every child, as long as the thing lives. It must keep what this gives."""
    try:
        _living.add(thing)
    except TypeError:
        tie = _Tie(thing)
        _living.add(tie)
        return tie
    return None


def _in_child() -> None:
    for thing in list(_living):
        thing.after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch
    os.register_at_fork(after_in_child=_in_child)
