"""NotCached: the client wants a stored answer or none (RFC 9111 §5.2.1.7)."""

from __future__ import annotations

from ...errors import Denied

__all__ = ["NotCached"]


class NotCached(Denied):
    """There is none that it would take."""

    status, code, title = 504, "not_cached", "Gateway Timeout"
    holds_in_report_mode = True
