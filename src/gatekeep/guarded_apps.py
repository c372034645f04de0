"""The apps of this process that a gateway is in front of, and the guard of each."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .living import living

if TYPE_CHECKING:
    from .guard import AppGuard

__all__ = ["Tie", "guard_of", "guarded_apps"]


class Tie:
    """Stands for a guard, which a compiled build can't refer to weakly: the guard keeps it, and nobody else does."""

    def __init__(self, guard: AppGuard) -> None:
        self.guard = guard


class _GuardedApps:
    """Apps with their guards. It keeps neither alive: a guard leads back to its app."""

    def __init__(self) -> None:
        self._guards: weakref.WeakKeyDictionary[Any, weakref.ref[Tie]] = weakref.WeakKeyDictionary()

    def __setitem__(self, app: Any, guard: AppGuard) -> None:
        self._guards[app] = weakref.ref(guard.tie)

    def setdefault(self, app: Any, guard: AppGuard) -> None:
        if self.get(app) is None:
            self[app] = guard

    def get(self, app: Any) -> AppGuard | None:
        reference = self._guards.get(app)
        tie = None if reference is None else reference()
        return None if tie is None else tie.guard

    def __iter__(self) -> Iterator[Any]:
        return iter(living(self._guards))  # other threads may put a gateway in front of another app meanwhile


guarded_apps = _GuardedApps()
"""Every app of this process that a gateway is in front of, also those mounted in one, with its guard."""


def guard_of(app: Any) -> AppGuard | None:
    """The guard of an app, or of the app that a driver wraps."""
    while app is not None:
        found = guarded_apps.get(app)
        if found is not None:
            return found
        app = getattr(app, "app", None)
    return None
