"""Orphans: decorated views that no route reaches, Routes that no endpoint meets, views whose policy another app does not know."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .component import Spec
from .errors import ConfigurationError
from .frameworks import Adapter, adapter_for
from .guarded_apps import guarded_apps
from .marks import settle, strays, view_marks
from .merging import level_of
from .routing import Route

if TYPE_CHECKING:
    from .site import Site

__all__ = ["find_orphans", "find_unmet", "warn_of_unguarded", "warn_of_unmet"]

_log = logging.getLogger("gatekeep")
_APPS = (
    ("fastapi", "FastAPI"),
    ("starlette.applications", "Starlette"),
    ("flask", "Flask"),
    ("django.core.handlers.wsgi", "WSGIHandler"),
    ("django.core.handlers.asgi", "ASGIHandler"),
)


def find_orphans(apps: Sequence[Any]) -> list[tuple[object, Spec]]:
    """The decorated objects that no route of any app has ever led to. What these apps lead to is settled already."""
    orphans = strays()
    if orphans:
        gc.collect()  # views of apps that are gone, held by nothing but cycles
        for app in (*_other_apps(apps), *guarded_apps):
            adapter = adapter_for(app)
            if adapter is not None:
                settle(_reached_by(adapter))
        orphans = strays()
    return orphans


def find_unmet(routes: Sequence[Route], sites: Sequence[Site]) -> list[ConfigurationError]:
    """A mistake for each Route that holds nowhere; none as long as some app is incomplete, or one has no route table."""
    met: set[Route] = set()
    for site in sites:
        if site.met is None or not site.complete:
            return []
        met |= site.met
    return [
        ConfigurationError(
            f"Route: no endpoint meets {level_of(route).removeprefix('route:')}",
            origin=route.origin,
            fix="correct its path or methods, check() lists those of the endpoints; or Gateway(unreached='warn')",
        )
        for route in (routes if sites else ())
        if route not in met
    ]


def warn_of_unmet(routes: Sequence[Route], sites: Sequence[Site]) -> None:
    """Name the Routes that no endpoint meets. No reason not to serve: routes may yet be added, and other apps wrapped."""
    for mistake in find_unmet(routes, sites):
        _log.warning("%s", mistake)


def warn_of_unguarded(apps: Sequence[Any], views: Sequence[object]) -> None:
    """Name the views that require authorization here and are served, too, by an app that no gateway is in front of."""
    wanted = {id(view): view for view in views}
    for app in _other_apps(apps):
        adapter = adapter_for(app)
        if adapter is None or not adapter.exposed:
            continue
        for identity in _reached_by(adapter) & wanted.keys():
            view = wanted[identity]
            _log.warning(
                "%s is also served by %r (%s), which no gateway is in front of: its policy does not hold there",
                getattr(view, "__qualname__", view),
                getattr(app, "title", None) or getattr(app, "name", None) or type(app).__name__,
                type(app).__name__,
            )


def _other_apps(apps: Sequence[Any]) -> list[Any]:
    """The framework apps of this process that are not among these, nor under another gateway."""
    kinds = tuple(kind for module, name in _APPS if isinstance(kind := getattr(sys.modules.get(module), name, None), type))
    if not kinds:
        return []
    known = {id(app) for app in (*apps, *guarded_apps)}
    # type(), not isinstance(): proxies answer for __class__, and some of them raise.
    return [found for found in gc.get_objects() if issubclass(type(found), kinds) and id(found) not in known]


def _reached_by(adapter: Adapter) -> frozenset[int]:
    return frozenset().union(*(view_marks(endpoint.view).reached for endpoint in adapter.read().endpoints))
