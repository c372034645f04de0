"""Which of the cases have a floor, and the app with it in front."""

from __future__ import annotations

from typing import Any

from .apps import APPS, ON_WSGI, Views, of_its_own
from .cases import STALE, Case
from .floor import Rules
from .floor_asgi import AsgiFloor, AsgiNothing, AsgiOrders
from .floor_wsgi import WsgiFloor, WsgiNothing, WsgiOrders

__all__ = ["FLOORS", "assemble_floor"]

_EVERYTHING, _ORDERS, _NOTHING = (AsgiFloor, WsgiFloor), (AsgiOrders, WsgiOrders), (AsgiNothing, WsgiNothing)

FLOORS: dict[str, tuple[Any, Rules]] = {
    "nothing on": (_NOTHING, Rules()),
    "Validate 1 KB body": (_ORDERS, Rules()),
    "everything, token seen before": (_EVERYTHING, Rules(ttl=STALE)),
    "everything, cache hit": (_EVERYTHING, Rules()),
    "everything, throttled": (_EVERYTHING, Rules(daily=True)),
    "everything, no token": (_EVERYTHING, Rules()),
}
"""By the case's name: the floors under ASGI and WSGI, and what they are told."""


def assemble_floor(app_name: str, case: Case, views: Views) -> Any:
    """The app with the case's floor in front of it, as its protocol wants it."""
    kinds, rules = FLOORS[case.name]
    app = APPS[app_name](views, lambda view: view)
    if app_name == "Django":
        app = of_its_own(app, app.urls)
    return kinds[app_name in ON_WSGI](app, rules)
