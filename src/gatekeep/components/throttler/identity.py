"""Identity: whom a limit counts together. What `by=` may be, and its compilation to a function of the exchange.

An identity is text in which callers that differ differ, whatever they send: each kind starts with a letter of its own, and
parts carry their lengths. What a caller leaves out falls back to who it is (the principal, or before authorization and for
anonymous callers the address), so leaving it out gives neither an unlimited nor a fresh bucket.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from socket import AF_INET6, inet_pton
from typing import Any, NamedTuple, TypeAlias

from ...component import Plan
from ...effects import Blocking, Either, Flow, Io, lift
from ...errors import Origin
from ...exchange import ANONYMOUS, Exchange
from ...sources import Header

__all__ = ["By", "Identity", "bounded", "claim", "compile_identity", "known", "label", "needs_principal", "stable_id"]


@dataclass(frozen=True, slots=True)
class _Claim:
    name: str


By: TypeAlias = "str | Header | _Claim | Callable[..., Any] | Either[Any] | Blocking[Any] | tuple[By, ...]"


def claim(name: str) -> _Claim:
    """Count by a claim of the principal, such as a tenant."""
    return _Claim(name)


# What a `by` is, before anything is compiled.


def known(by: object) -> bool:
    """Whether this is something to count by."""
    if isinstance(by, str):
        return by in _NAMED or by == "route"
    if isinstance(by, tuple):
        return bool(by) and all(known(part) for part in by)
    if isinstance(by, Header):
        return by.valid
    if isinstance(by, _Claim):
        return by.name != ""
    return isinstance(by, (Either, Blocking)) or callable(by)


def needs_principal(by: By) -> bool:
    """Whether it is known only after authorization."""
    if isinstance(by, tuple):
        return any(needs_principal(part) for part in by)
    return isinstance(by, _Claim) or by in ("principal", "api_key")


def label(by: By) -> str:
    """A word for people: "ip", "header x-tenant", "principal+route"."""
    if isinstance(by, str):
        return by
    if isinstance(by, tuple):
        return "+".join(label(part) for part in by)
    if isinstance(by, Header):
        return f"header {by.name}"
    if isinstance(by, _Claim):
        return f"claim {by.name}"
    return _function(by).rpartition(".")[2]


def stable_id(by: By) -> str:
    """The same text in every process, another one for another `by`; two functions differ by module and name."""
    if isinstance(by, tuple):
        return f"({','.join(stable_id(part) for part in by)})"
    if isinstance(by, (str, Header, _Claim)):
        return repr(by)
    return f"<{_function(by)}>"


def _function(by: object) -> str:
    if isinstance(by, Either):
        by = by.sync
    if isinstance(by, Blocking):
        by = by.function
    while isinstance(by, functools.partial):
        by = by.func
    named = by if hasattr(by, "__qualname__") else type(by)
    return f"{named.__module__}.{named.__qualname__}"


# The compiled form.


class Identity(NamedTuple):
    """How to find it: at once, or by a flow that may wait; exactly one of the two."""

    now: Callable[[Exchange], str] | None
    flow: Callable[[Exchange], Flow[str]] | None

    def find(self, exchange: Exchange) -> Flow[str]:
        """It, waiting where that has to be."""
        if self.now is not None:
            return self.now(exchange)
        assert self.flow is not None
        return (yield from self.flow(exchange))


def compile_identity(by: By, plan: Plan, *, late: bool, origin: Origin | None = None) -> Identity:
    """Compile for one route; `late` says that the principal is known. Raises ConfigurationError (see effects.lift)."""
    fallback = _principal if late else _address
    if isinstance(by, tuple):
        return _together([compile_identity(part, plan, late=late, origin=origin) for part in by])
    if isinstance(by, str):
        return Identity(_constant("r" + plan.id) if by == "route" else _NAMED[by], None)
    if isinstance(by, Header):
        return Identity(_header(by.name, fallback), None)
    if isinstance(by, _Claim):
        return Identity(_claim(by.name), None)
    function = lift(by, plan.protocol, origin=origin)
    if function is by:
        return Identity(_plain(function, fallback, late=late), None)
    return Identity(None, _waiting(function, fallback, late=late))


def _constant(text: str) -> Callable[[Exchange], str]:
    return lambda _exchange: text


def _address(exchange: Exchange) -> str:
    client = exchange.client
    if client is None:
        return "u"  # unknown: everybody without an address shares one bucket
    if ":" in client:  # who has one IPv6 address has the /64 that it is in
        return "a" + inet_pton(AF_INET6, client)[:8].hex()
    return "a" + client


def _principal(exchange: Exchange) -> str:
    principal = exchange.principal
    kind, issuer = principal.kind, principal.issuer
    if kind == ANONYMOUS.kind:
        return _address(exchange)
    return f"p{len(kind)},{len(issuer)},{kind}{issuer}{principal.id}"


def _api_key(exchange: Exchange) -> str:
    principal = exchange.principal
    if principal.kind != "api_key":
        return _principal(exchange)
    return "k" + _joined((principal.issuer, principal.id, principal.client_id or ""))


_NAMED: Mapping[str, Callable[[Exchange], str]] = {"ip": _address, "principal": _principal, "api_key": _api_key}


def _header(name: str, fallback: Callable[[Exchange], str]) -> Callable[[Exchange], str]:
    def identify(exchange: Exchange) -> str:
        value = exchange.request.header(name)
        return "h" + value if value else fallback(exchange)

    return identify


def _claim(name: str) -> Callable[[Exchange], str]:
    def identify(exchange: Exchange) -> str:
        value = exchange.principal.claims.get(name)
        return "c" + canonical(value) if value is not None else _principal(exchange)

    return identify


def _plain(function: Callable[..., Any], fallback: Callable[[Exchange], str], *, late: bool) -> Callable[[Exchange], str]:
    def identify(exchange: Exchange) -> str:
        value = function(exchange.request, exchange.principal) if late else function(exchange.request)
        return "f" + canonical(value) if value is not None else fallback(exchange)

    return identify


def _waiting(
    function: Callable[..., Io[Any]], fallback: Callable[[Exchange], str], *, late: bool
) -> Callable[[Exchange], Flow[str]]:
    def identify(exchange: Exchange) -> Flow[str]:
        value = yield from function(exchange.request, exchange.principal) if late else function(exchange.request)
        return "f" + canonical(value) if value is not None else fallback(exchange)

    return identify


def _together(parts: list[Identity]) -> Identity:
    plain = [part.now for part in parts if part.now is not None]
    if len(plain) == len(parts):
        return Identity(lambda exchange: "t" + _joined(part(exchange) for part in plain), None)

    def identify(exchange: Exchange) -> Flow[str]:
        found = []
        for part in parts:
            one = yield from part.find(exchange)
            found.append(one)
        return "t" + _joined(found)

    return Identity(None, identify)


# Text in which different values differ.


def canonical(value: object) -> str:
    """Text for what a claim or function gives: text, bytes, numbers, and lists and mappings of them. Raises TypeError."""
    if isinstance(value, str):
        return "s" + value
    if value is None or isinstance(value, (bool, int, float)):
        return f"n{value!r}"
    if isinstance(value, bytes):
        return "b" + value.hex()
    if isinstance(value, (list, tuple)):
        return "[" + _joined(canonical(item) for item in value)
    if isinstance(value, Mapping):
        return "{" + _joined(sorted(canonical(item) for item in value.items()))
    raise TypeError(f"a limit can't count by {type(value).__name__}: give text, bytes, a number, or a list of them")


def _joined(parts: Iterable[str]) -> str:
    return "".join([f"{len(part)},{part}" for part in parts])


_LONGEST = 120


def bounded(identity: str) -> str:
    """The identity itself, or a digest of a long one: what callers send must not cost memory."""
    if len(identity) <= _LONGEST:
        return identity
    return "#" + blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
