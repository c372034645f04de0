"""Look-ups: which decisions say that a request looked into the cache, and whether the answer was there."""

from __future__ import annotations

from typing import Final

__all__ = ["LOOKUPS"]

_CACHE = "response_cache"

LOOKUPS: Final = {
    (_CACHE, "hit"): True,
    (_CACHE, "stale"): True,
    (_CACHE, "stale_if_error"): True,
    (_CACHE, "revalidated"): True,
    (_CACHE, "miss"): False,
}
"""By component and outcome, as in `Exchange.decisions`: whether the cache had the answer."""
