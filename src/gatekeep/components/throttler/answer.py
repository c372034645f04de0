"""Answer: what clients are told of limits. Retry-After (RFC 9110 §10.2.3), RateLimit and RateLimit-Policy
(draft-ietf-httpapi-ratelimit-headers-11), all from the one decision that the request met.

A bucket of q tokens that fills within w seconds is `"name";q=…;w=…`; `r` tokens are left now, and more come in `t` seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    __slots__ = ("_details", "_heads", "_policy", "_policy_field", "_shown")

    def __init__(self, limits: Sequence[Limit]) -> None:
        shown = [(index, limit) for index, limit in enumerate(limits) if limit.spec.headers]
        self._shown = tuple((index, _state(limit)) for index, limit in shown)
        """The index of each limit that is told of, and what makes its text."""
        policy = ", ".join(f'"{limit.name}";q={int(limit.burst)};w={_whole(limit.burst / limit.rate)}' for _, limit in shown)
        self._policy = ("RateLimit-Policy", policy)
        self._policy_field = Field(*self._policy)
        # Of the limit that refused, by its index.
        self._heads = tuple(f'"{limit.name}";r=' if limit.spec.headers else None for limit in limits)
        self._details = tuple(
            f'The limit "{limit.name}" is used up.' if limit.spec.headers else "Too many requests." for limit in limits
        )

    def tell(self, response: Response, remaining: Sequence[float]) -> None:
        """Add what is left to an answer that was let through."""
        shown = self._shown
        if len(shown) == 1:
            index, state = shown[0]
            text = state(remaining[index])
        elif shown:
            text = ", ".join([state(remaining[index]) for index, state in shown])
        else:
            return
        headers = response.headers
        headers.append(self._policy_field)
        headers.put("ratelimit", text)

    def refusal(self, taken: Taken) -> Throttled:
        """The 429 for a decision that refused; it names the limit that waits longest."""
        index = taken.refused
        assert index is not None
        return self.refuse(index, taken.remaining[index], taken.retry_after)

    def refuse(self, index: int, left: float, wait: float) -> Throttled:
        """The 429 for one of the limits, with what is left of it and in how many seconds there will be enough."""
        seconds = _whole(wait)
        head = self._heads[index]
        after = ("Retry-After", str(seconds))
        if head is None:
            return Throttled(self._details[index], headers=(after,))
        state = ("RateLimit", f"{head}{int(left + _ROUNDING)};t={seconds}")
        return Throttled(self._details[index], headers=(after, self._policy, state))


def _state(limit: Limit) -> Callable[[float], str]:
    """A function of the tokens left that says how many whole ones there are, and in how many seconds there will be one more."""
    head, rate, burst = f'"{limit.name}";r=', limit.rate, limit.burst
    if rate >= 1.0:
        return lambda left: f"{head}{int(left + _ROUNDING)};t=1"

    def state(left: float) -> str:
        whole = int(left + _ROUNDING)
        return f"{head}{whole};t={_whole((min(whole + 1.0, burst) - left) / rate)}"

    return state


def _whole(seconds: float) -> int:
    """Whole seconds, rounded up, at least one."""
    return max(1, ceil(seconds - _ROUNDING))
