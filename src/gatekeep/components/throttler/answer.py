"""Answer: what clients are told of limits. Retry-After (RFC 9110 §10.2.3), RateLimit and RateLimit-Policy
(draft-ietf-httpapi-ratelimit-headers-11), all from the one decision that the request met.

A bucket of q tokens that fills within w seconds is `"name";q=…;w=…`; `r` tokens are left now, and more come in `t` seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from ...errors import Throttled
from ...message import Field, Response
from ...stores import Taken
from .limit import Limit

__all__ = ["Panel"]

_ROUNDING = 1e-6
"""Tokens and seconds that float rounding may be off by: 2.9999999999 tokens are three, 3.0000000001 seconds are three."""


class Panel:
    """What is told of a list of limits that were decided together; the constant parts are made at start-up."""

    __slots__ = ("_details", "_heads", "_limits", "_policy", "_policy_field", "_shown")

    def __init__(self, limits: Sequence[Limit]) -> None:
        self._limits = tuple(limits)
        self._heads = tuple(f'"{limit.name}";r=' for limit in limits)
        self._shown = tuple(index for index, limit in enumerate(limits) if limit.spec.headers)
        self._policy = ", ".join(
            f'"{limits[index].name}";q={int(limits[index].burst)};w={_whole(limits[index].burst / limits[index].rate)}'
            for index in self._shown
        )
        self._policy_field = Field("RateLimit-Policy", self._policy)
        self._details = tuple(
            f'The limit "{limit.name}" is used up.' if limit.spec.headers else "Too many requests." for limit in limits
        )

    def tell(self, response: Response, remaining: Sequence[float]) -> None:
        """Add what is left to an answer that was let through."""
        shown = self._shown
        if not shown:
            return
        if len(shown) == 1:
            state = self._state(shown[0], remaining[shown[0]])
        else:
            state = ", ".join([self._state(index, remaining[index]) for index in shown])
        response.headers.append(self._policy_field)
        response.headers.put("ratelimit", state)

    def _state(self, index: int, left: float) -> str:
        limit = self._limits[index]
        whole = int(left + _ROUNDING)
        if limit.rate >= 1.0:
            return f"{self._heads[index]}{whole};t=1"
        return f"{self._heads[index]}{whole};t={_whole((min(whole + 1.0, limit.burst) - left) / limit.rate)}"

    def refusal(self, taken: Taken) -> Throttled:
        """The 429 for a decision that refused; it names the limit that waits longest."""
        index = taken.refused
        assert index is not None
        seconds = _whole(taken.retry_after)
        headers = [("Retry-After", str(seconds))]
        if self._limits[index].spec.headers:
            left = int(taken.remaining[index] + _ROUNDING)
            headers.append(("RateLimit-Policy", self._policy))
            headers.append(("RateLimit", f"{self._heads[index]}{left};t={seconds}"))
        return Throttled(self._details[index], headers=headers)


def _whole(seconds: float) -> int:
    """Whole seconds, rounded up, at least one."""
    return max(1, ceil(seconds - _ROUNDING))
