"""Page: an answer of the gateway's own to GET and HEAD."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Page", "PageMaker"]


class Page(NamedTuple):
    """Whole, and made at once."""

    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


PageMaker = Callable[[str, str, str], Page | None]
"""Of (path below the mount, Accept, the path up to there), a page; None where there is none."""
