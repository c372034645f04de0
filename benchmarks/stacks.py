"""Which stack does which case: the cases of "everything" as peers do them, on the app that they are made for."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

from .apps import Views
from .cases import Case

__all__ = ["JOBS", "STACKS", "assemble_bare", "assemble_stack", "installed"]

JOBS: dict[str, dict[str, Any]] = {
    "everything, token seen before": {"ttl": -1},
    "everything, POST of 1 KB validated": {},
    "everything, cache hit": {},
    "everything, throttled": {"limit": "1/day"},
    "everything, no token": {},
    "everything, forged token": {},
}
"""What is asked of a stack, by the case's name: see stacks_fastapi.Job."""

STACKS = {
    "FastAPI": ("documented", "tuned"),
    "Flask": ("documented", "tuned"),
}
"""By the app that they stand in."""


def installed() -> bool:
    """Whether the peers are here: they are in the extra `bench`, which `make bench` installs."""
    return all(
        importlib.util.find_spec(name) is not None for name in ("slowapi", "fastapi_cache", "flask_limiter", "flask_caching")
    )


def assemble_stack(app_name: str, way: str, case: Case, views: Views, *, traced: bool = False) -> Any:
    from . import stacks_fastapi, stacks_flask

    make: Callable[..., Any] = getattr(stacks_fastapi if app_name == "FastAPI" else stacks_flask, way)
    return make(views, stacks_fastapi.Job(**JOBS[case.name], traced=traced))


def assemble_bare(app_name: str, way: str, views: Views) -> Any:
    """The app of a stack without the stack, where it is another one than gatekeep's; else None."""
    from .stacks_fastapi import bare_json

    return bare_json(views) if (app_name, way) == ("FastAPI", "documented") else None
