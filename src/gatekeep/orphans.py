"""Orphans: decorated views that no route reaches, and views whose policy another app does not know of."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Collection, Sequence
from typing import Any

from .component import Spec
from .frameworks import adapter_for
from .guard import guarded_apps
from .marks import decorated, layers, view_marks

__all__ = ["find_orphans", "warn_of_unguarded"]

_log = logging.getLogger("gatekeep")
_APPS = (("fastapi", "FastAPI"), ("starlette.applications", "Starlette"), ("flask", "Flask"))


def find_orphans(reached: Collection[int], apps: Sequence[Any]) -> list[tuple[object, Spec]]:
    """The decorated objects that neither these apps' routes nor those of any other app in the process lead to."""
    orphans = _unreached(reached)
    if orphans:
        gc.collect()  # views of apps that are gone, held by nothing but cycles
        elsewhere: set[int] = set(reached)
        for app in (*_other_apps(apps), *guarded_apps):
            elsewhere |= _reached_by(app)
        orphans = _unreached(elsewhere)
    return orphans


def _unreached(reached: Collection[int]) -> list[tuple[object, Spec]]:
    """Decorated and in no table: neither itself nor anything that it is a layer of."""
    return [(view, spec) for view, spec in decorated() if id(view) not in reached]


def warn_of_unguarded(apps: Sequence[Any], views: Sequence[object]) -> None:
    """Name the views that require authorization here and are served, too, by an app that no gateway is in front of."""
    wanted = {id(view): view for view in views}
    for app in _other_apps(apps):
        for identity in _reached_by(app) & wanted.keys():
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


def _reached_by(app: Any) -> frozenset[int]:
    adapter = adapter_for(app)
    if adapter is None:
        return frozenset()
    reached: set[int] = set()
    for endpoint in adapter.read().endpoints:
        reached |= view_marks(endpoint.view).reached
        reached |= {id(layer) for layer in layers(endpoint.view)}
    return frozenset(reached)
