"""What every kind of limit says of itself, and the Throttle spec: so many requests, by whom, and how they are counted."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ...component import Spec
from ...effects import Blocking, Either
from ...exchange import Exchange
from .identity import By, known, needs_principal
from .rate import Rate

__all__ = ["Algorithm", "Ask", "CountingSpec", "LimitSpec", "Outcome", "StoreErrorPolicy", "Throttle", "is_function", "is_name"]

StoreErrorPolicy = Literal["open", "closed", "local"]
Algorithm = Literal["token_bucket", "fixed_window", "sliding_window", "moving_window"]
Ask: TypeAlias = "Callable[..., Any] | Either[Any] | Blocking[Any]"
"""A function of the request, or after authorization of the request and the principal."""
Outcome: TypeAlias = "Collection[int] | Callable[[Exchange], bool]"
"""Statuses, or a function of the exchange when its answer has ended."""

_MOST = 1_000_000_000
_MOST_REMEMBERED = 10_000
_ALGORITHMS = ("token_bucket", "fixed_window", "sliding_window", "moving_window")
is_name = re.compile(r"[ !#-\[\]-~]{1,64}").fullmatch
"""What stands in a structured field's string without escapes (RFC 9651 §3.3.3)."""


@dataclass(frozen=True)
class LimitSpec(Spec):
    """What a limit of any kind has."""

    by: By = field(default="principal", kw_only=True)
    """Whom it counts together: "principal", "ip", "api_key", "route", "all", header(name), query(name), cookie(name),
    claim(name), a function of the request, or a tuple of these."""
    after: Literal["authorize"] | None = field(default=None, kw_only=True)
    """"authorize" decides it after authorization: refused callers don't count, and functions get (request, principal)."""
    skip_when: Ask | None = field(default=None, kw_only=True)
    """A function: where it is true the limit is not applied."""
    on_store_error: StoreErrorPolicy = field(default="closed", kw_only=True)
    """While a shared store is away: "open" lets everything pass, "closed" nothing, "local" counts in this process."""
    headers: bool | Literal["legacy"] = field(default=True, kw_only=True)
    """Whether answers tell of this limit in RateLimit and RateLimit-Policy; "legacy": in X-RateLimit-* too."""
    name: str | None = field(default=None, kw_only=True)
    """What those headers call it; also tells apart limits that are equal otherwise."""

    def check(self) -> None:
        if not known(self.by):
            raise self.mistake(
                f"by={self.by!r} is nothing to count by",
                fix='"ip", "principal", "api_key", "route", "all", header(name), claim(name), a function, or a tuple of these',
            )
        if self.after not in (None, "authorize"):
            raise self.mistake(f'after={self.after!r} is neither None nor "authorize"')
        if self.skip_when is not None and not is_function(self.skip_when):
            raise self.mistake(f"skip_when={self.skip_when!r} is not a function")
        if self.on_store_error not in ("open", "closed", "local"):
            raise self.mistake(f'on_store_error={self.on_store_error!r} is none of "open", "closed", "local"')
        if self.headers not in (True, False, "legacy"):
            raise self.mistake(f'headers={self.headers!r} is none of True, False, "legacy"')
        if self.name is not None and not (isinstance(self.name, str) and is_name(self.name)):
            raise self.mistake(f"name={self.name!r} is not 1 to 64 printable ASCII characters without quotes and backslashes")

    @property
    def late(self) -> bool:
        """Whether it is decided after authorization."""
        return self.after is not None or needs_principal(self.by)

    @property
    def word(self) -> str | None:
        """What is put before whom it counts in a name that is not given."""
        return None


@dataclass(frozen=True)
class CountingSpec(LimitSpec):
    """What a limit has that requests use up."""

    cost: float | Ask = field(default=1.0, kw_only=True)
    """What a request takes, or a function that says it; 0 takes nothing, and counts what the view charges."""
    count_when: Outcome | None = field(default=None, kw_only=True)
    """Statuses, or a function of the exchange: what the request took is given back when its answer is none of these."""

    def check(self) -> None:
        super().check()
        if not is_function(self.cost):
            if isinstance(self.cost, bool) or not isinstance(self.cost, (int, float)) or not 0 <= self.cost <= _MOST:
                raise self.mistake(f"cost={self.cost!r} is neither a function nor a number between 0 and a billion")
            if self.cost > self.size:
                raise self.mistake(
                    f"a request costs {self.cost:g}, more than the {self.size:g} that there ever are: none would ever pass",
                    fix=f"a limit (or burst=) of {self.cost:g} or more",
                )
        if isinstance(self.count_when, Collection):
            if not self.count_when or not all(isinstance(status, int) and 100 <= status < 600 for status in self.count_when):
                raise self.mistake(f"count_when={self.count_when!r}: statuses are numbers between 100 and 599")
        elif self.count_when is not None and not callable(self.count_when):
            raise self.mistake(f"count_when={self.count_when!r} is neither a collection of statuses nor a function")

    @property
    @abstractmethod
    def size(self) -> float:
        """The most that a request could ever take."""


@dataclass(frozen=True)
class Throttle(CountingSpec):
    """So many requests in a time: `rate` ("10/second", "100/15 minutes") for each caller.

    The token bucket lets tokens flow in at the rate, up to `burst`. The windows count as the `limits` library does.
    """

    rate: str
    burst: float | None = None
    """Tokens that a full bucket holds; None for one period's rate, at least 1. Windows have none."""
    algorithm: Algorithm = field(default="token_bucket", kw_only=True)
    lease: float | None = field(default=None, kw_only=True)
    """Share of the burst that a worker may take ahead from a shared store for a busy key, and spend by itself."""
    on_store_error: StoreErrorPolicy = field(default="local", kw_only=True)

    def check(self) -> None:
        if not isinstance(self.rate, str):
            raise self.mistake(f"rate={self.rate!r} is not text", fix='write "10/second"')
        try:
            rate = Rate.parse(self.rate)
        except ValueError as error:
            raise self.mistake(str(error), fix='write "10/second", "1000 per hour" or "100/15 minutes"') from None
        if self.burst is not None and not (isinstance(self.burst, (int, float)) and 0 < self.burst <= _MOST):
            raise self.mistake(f"burst={self.burst!r} is not a number between 0 and a billion")
        if self.algorithm not in _ALGORITHMS:
            raise self.mistake(f"algorithm={self.algorithm!r} is none of {', '.join(map(repr, _ALGORITHMS))}")
        if self.algorithm != "token_bucket":
            self._check_window(rate)
        if self.lease is not None and not (isinstance(self.lease, (int, float)) and 0 < self.lease <= 0.5):
            raise self.mistake(f"lease={self.lease!r} is not a share between 0 and 0.5")
        super().check()

    def _check_window(self, rate: Rate) -> None:
        for option in ("burst", "lease"):
            if getattr(self, option) is not None:
                raise self.mistake(
                    f"a window has no {option}", fix=f'drop it, or algorithm="token_bucket" (not {self.algorithm})'
                )
        if rate.amount != int(rate.amount):
            raise self.mistake(f"{self.rate!r}: a window counts whole numbers", fix="write the rate with a longer period")
        if self.algorithm == "moving_window" and rate.amount > _MOST_REMEMBERED:
            raise self.mistake(
                f"a moving window remembers each of {rate.amount:g} hits", fix='algorithm="sliding_window" keeps two numbers'
            )

    @property
    def size(self) -> float:
        """What a full bucket holds: `burst`, or its default; the limit of a window."""
        return float(self.burst) if self.burst is not None else max(1.0, Rate.parse(self.rate).amount)


def is_function(value: object) -> bool:
    """Whether it can be called, maybe in two colours or in a thread."""
    return isinstance(value, (Either, Blocking)) or callable(value)
