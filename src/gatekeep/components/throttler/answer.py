"""Answer: what clients are told of limits. Retry-After (RFC 9110 §10.2.3), RateLimit and RateLimit-Policy
(draft-ietf-httpapi-ratelimit-headers-11), X-RateLimit-* where asked for; all from the one decision that the request met.

A bucket of q tokens that fills within w seconds is `"name";q=…;w=…`; `r` tokens are left now, and more come in `t` seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Final

from ...errors import Throttled
from ...memo import Memo
from ...message import Field, Response
from ...stores import Taken
from .limit import ROUNDING, Limit, whole

_MOST: Final = 256
"""Refusals that are remembered for each list of limits."""

__all__ = ["Panel"]


class Panel:
    """What is told of a list of limits that were decided together; the constant parts are made at start-up.

    `wall` reads Unix seconds, for X-RateLimit-Reset.
    """

    __slots__ = ("_lasting", "_legacy", "_policy", "_policy_field", "_refusals", "_shown", "_wall", "limits")

    def __init__(self, limits: Sequence[Limit], wall: Callable[[], float]) -> None:
        self.limits = tuple(limits)
        self._wall = wall
        shown = [(index, limit) for index, limit in enumerate(limits) if limit.spec.headers]
        self._shown = tuple((index, limit.teller()) for index, limit in shown)
        """The index of each limit that is told of, and what makes its text."""
        self._legacy = tuple((index, limit) for index, limit in shown if limit.spec.headers == "legacy")
        self._policy = ("RateLimit-Policy", ", ".join(limit.policy for _, limit in shown))
        self._policy_field = Field(*self._policy)
        self._refusals = tuple(_refusal_of(limit) for limit in limits)
        self._lasting: Memo[tuple[int, int, float], Throttled] | None = None if self._legacy else Memo(_MOST)
        """Of late. None where the hour is told, too."""

    @property
    def tells(self) -> bool:
        return bool(self._shown)

    def tell(self, response: Response, remaining: Sequence[float], resets: Sequence[float]) -> None:
        """Add what is left to an answer that was let through."""
        shown = self._shown
        if len(shown) == 1:
            index, state = shown[0]
            text = state(remaining[index], resets[index] if resets else 0.0)
        elif shown:
            text = ", ".join([state(remaining[index], resets[index] if resets else 0.0) for index, state in shown])
        else:
            return
        headers = response.headers
        headers.append(self._policy_field)
        headers.put("ratelimit", text)
        if self._legacy:
            index, limit = min(self._legacy, key=lambda pair: remaining[pair[0]] / pair[1].size)
            for name, value in self._old(limit, remaining[index], resets[index] if resets else 0.0):
                headers.add(name, value)

    def _old(self, limit: Limit, left: float, reset: float) -> Sequence[tuple[str, str]]:
        """Of one limit, as GitHub and others write it: all, what is left, and the Unix second in which all of it is back."""
        return (
            ("X-RateLimit-Limit", str(int(limit.size))),
            ("X-RateLimit-Remaining", str(int(left + ROUNDING))),
            ("X-RateLimit-Reset", str(whole(self._wall() + limit.full_in(left, reset)))),
        )

    def refusal(self, taken: Taken) -> Throttled:
        """The 429 for a decision that refused; it names the limit that waits longest."""
        index = taken.refused
        assert index is not None
        return self.refuse(index, taken.remaining[index], taken.retry_after)

    def lasting(self, index: int, left: float, wait: float) -> Throttled:
        """As refuse(), to be returned, never raised: whoever is told the same gets the same."""
        lasting = self._lasting
        if lasting is None:
            return self.refuse(index, left, wait)
        key = (index, int(left + ROUNDING) if left > 0.0 else 0, wait if wait == inf else whole(wait))
        known = lasting.get(key)
        if known is None:
            known = self.refuse(index, left, wait).lasting()
            lasting.put(key, known)
        return known

    def refuse(self, index: int, left: float, wait: float) -> Throttled:
        """The 429 for one of the limits, with what is left of it and in how many seconds there will be enough.

        inf: never, the request costs more than there ever is; then nobody is told to come back.
        """
        code, detail, head = self._refusals[index]
        if wait == inf:
            return Throttled("The request costs more than its limit ever lets through.", code=code)
        seconds = str(whole(wait))
        after = ("Retry-After", seconds)
        if head is None:
            return Throttled(detail, code=code, headers=(after,))
        state = ("RateLimit", f"{head}{int(left + ROUNDING) if left > 0.0 else 0};t={seconds}")
        fields: tuple[tuple[str, str], ...] = (after, self._policy, state)
        if self._legacy:
            limit = self.limits[index]
            if limit.spec.headers == "legacy":
                fields = (*fields, *self._old(limit, max(0.0, left), wait))
        return Throttled(detail, code=code, headers=fields)


def _refusal_of(limit: Limit) -> tuple[str | None, str, str | None]:
    """Code (None: the usual one), detail, and what RateLimit begins with (None: hidden)."""
    code = limit.code if limit.code != Throttled.code else None
    if not limit.spec.headers:
        return code, "Too many requests.", None
    return code, limit.detail, f'"{limit.name}";r='
