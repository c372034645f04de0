"""Frameworks: what gatekeep must know of one to stand in front of its apps. One file each: route table, guard, entry.

`adapter_for(app)` finds the one for an app object, or None for an opaque WSGI or ASGI callable. No framework is imported
here unless the app's own class came from it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..effects import Protocol as Wire
from ..exchange import Exchange
from ..message import Response
from ..routing import Resolver

__all__ = ["Adapter", "Guard", "adapter_for"]


class Guard(Protocol):
    """Stands at the dispatch point: an endpoint runs only when the pipeline of exactly that endpoint let the request through."""

    lifted: bool
    """True inside `gatekeep.testing.unguarded(app)`: everything passes."""

    def admits(self, exchange: Exchange | None, key: object, method: str, path: str | None = None) -> bool:
        """Whether `exchange` (from scope["gatekeep"] / environ["gatekeep"], None if there is none) was let through to `key`.

        `method` and `path` are what the framework dispatches by, the path as scope["path"] or environ["PATH_INFO"] has it: an
        inner layer may have changed them, and a policy may depend on them. None is no path that anything was let through to.
        """

    def refuse(self, exchange: Exchange | None, what: str) -> Response:
        """The 500 `not_guarded` Response for an endpoint reached around its pipeline; logs `what`, marks the table stale."""


class Adapter(Protocol):
    """One app of one framework."""

    protocol: Wire
    app: Any

    @property
    def exposed(self) -> bool:
        """Whether requests come to the app's views around every gateway, as long as none is in front of it."""

    def read(self) -> Resolver:
        """Compile the app's route table as it is now."""

    def document(self) -> Mapping[str, Any] | None:
        """The OpenAPI document that the app generates of its routes as they are now; None where it does not."""

    def arm(self, guard: Guard) -> None:
        """Put the guard at the dispatch point of every endpoint, those added later included. Once per app, at once.

        Raises ConfigurationError where the framework's version lacks what the guard needs.
        """

    def install(self, wrap: Callable[[Any], Any]) -> None:
        """Make `wrap(the app's own callable)` the outermost layer of the same app object."""


def adapter_for(app: object) -> Adapter | None:
    """The adapter of a FastAPI, Starlette, Flask or Django app object; None for anything else, also a router of theirs."""
    origins = {base.__module__.partition(".")[0] for base in type(app).__mro__}
    if "fastapi" in origins:
        from .fastapi import FastAPIAdapter

        if FastAPIAdapter.fits(app):
            return FastAPIAdapter(app)
    if "starlette" in origins and "starlette.applications" in sys.modules:
        from .starlette import StarletteAdapter

        if StarletteAdapter.fits(app):
            return StarletteAdapter(app)
    if "flask" in origins:
        from .flask import FlaskAdapter

        return FlaskAdapter(app)
    if "django" in origins:
        from .django import DjangoAdapter

        return DjangoAdapter(app)
    return None
