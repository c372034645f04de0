"""The Throttle spec: so many requests, by whom, and what happens when the store is away."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ...component import Spec
from .identity import By, known, needs_principal
from .rate import Rate

__all__ = ["StoreErrorPolicy", "Throttle"]

StoreErrorPolicy = Literal["open", "closed", "local"]

_MOST = 1_000_000_000
_is_name = re.compile(r"[ !#-\[\]-~]{1,64}").fullmatch
"""What stands in a structured field's string without escapes (RFC 9651 §3.3.3)."""


@dataclass(frozen=True)
class Throttle(Spec):
    """A token bucket for each caller: `rate` ("10/second", "100/15 minutes") flows in, up to `burst` tokens.

    `by`: "principal", "ip", "api_key", "route", header(name), claim(name), a function of the request, or a tuple of these.
    """

    rate: str
    burst: float | None = None
    """Tokens that a full bucket holds; None for one period's rate, at least 1."""
    by: By = "principal"
    cost: float = 1.0
    """Tokens that a request takes."""
    after: Literal["authorize"] | None = None
    """"authorize" decides it after authorization: refused callers don't count, and a function gets (request, principal)."""
    on_store_error: StoreErrorPolicy = "local"
    """While a shared store is away: "open" lets everything pass, "closed" nothing, "local" counts in this process."""
    headers: bool = True
    """Whether answers tell of this limit in RateLimit and RateLimit-Policy."""
    name: str | None = None
    """What those headers call it; also tells apart limits that are equal otherwise."""

    def check(self) -> None:
        if not isinstance(self.rate, str):
            raise self.mistake(f"rate={self.rate!r} is not text", fix='write "10/second"')
        try:
            Rate.parse(self.rate)
        except ValueError as error:
            raise self.mistake(str(error), fix='write "10/second", "1000 per hour" or "100/15 minutes"') from None
        for name in ("burst", "cost"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, float)) and 0 < value <= _MOST):
                raise self.mistake(f"{name}={value!r} is not a number between 0 and a billion")
        if self.cost > self.size:
            raise self.mistake(
                f"a request costs {self.cost:g}, more than the {self.size:g} that a full bucket holds: none would ever pass",
                fix=f"burst={self.cost:g} or more",
            )
        if not known(self.by):
            raise self.mistake(
                f"by={self.by!r} is nothing to count by",
                fix='"ip", "principal", "api_key", "route", header(name), claim(name), a function, or a tuple of these',
            )
        if self.after not in (None, "authorize"):
            raise self.mistake(f'after={self.after!r} is neither None nor "authorize"')
        if self.on_store_error not in ("open", "closed", "local"):
            raise self.mistake(f'on_store_error={self.on_store_error!r} is none of "open", "closed", "local"')
        if self.name is not None and not (isinstance(self.name, str) and _is_name(self.name)):
            raise self.mistake(f"name={self.name!r} is not 1 to 64 printable ASCII characters without quotes and backslashes")

    @property
    def size(self) -> float:
        """What a full bucket holds: `burst`, or its default."""
        return float(self.burst) if self.burst is not None else max(1.0, Rate.parse(self.rate).amount)

    @property
    def late(self) -> bool:
        """Whether it is decided after authorization."""
        return self.after is not None or needs_principal(self.by)
