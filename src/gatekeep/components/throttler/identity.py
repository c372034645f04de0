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
from typing import Any, Final, NamedTuple, TypeAlias

from ...component import Plan
from ...effects import Blocking, Either, Flow, Io, lift, pep_479
from ...errors import Origin
from ...exchange import ANONYMOUS, Exchange, Principal
from ...sources import Source

__all__ = [
    "By",
    "Claim",
    "Identity",
    "bounded",
    "claim",
    "compile_identity",
    "function_name",
    "known",
    "label",
    "needs_principal",
    "stable_id",
    "text_of_claim",
    "text_of_key",
    "text_of_principal",
]


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of the principal, by name."""

    name: str


By: TypeAlias = "str | Source | Claim | Callable[..., Any] | Either[Any] | Blocking[Any] | tuple[By, ...]"


def claim(name: str) -> Claim:
    """Count by a claim of the principal, such as a tenant."""
    return Claim(name)


# What a `by` is, before anything is compiled.


def known(by: object) -> bool:
    """Whether this is something to count by."""
    if isinstance(by, str):
        return by in _NAMED or by in ("route", "all")
    if isinstance(by, tuple):
        return bool(by) and all(known(part) for part in by)
    if isinstance(by, Source):
        return by.valid
    if isinstance(by, Claim):
        return by.name != ""
    return isinstance(by, (Either, Blocking)) or callable(by)


def needs_principal(by: By) -> bool:
    """Whether it is known only after authorization."""
    if isinstance(by, tuple):
        return any(needs_principal(part) for part in by)
    return isinstance(by, Claim) or by in ("principal", "api_key")


def label(by: By) -> str:
    """A word for people: "ip", "header x-tenant", "principal+route"."""
    if isinstance(by, str):
        return by
    if isinstance(by, tuple):
        return "+".join(label(part) for part in by)
    if isinstance(by, Source):
        return f"{type(by).__name__.lower()} {by.name}"
    if isinstance(by, Claim):
        return f"claim {by.name}"
    return function_name(by).rpartition(".")[2]


def stable_id(by: By) -> str:
    """The same text in every process, another one for another `by`; two functions differ by module and name."""
    if isinstance(by, tuple):
        return f"({','.join(stable_id(part) for part in by)})"
    if isinstance(by, (str, Source, Claim)):
        return repr(by)
    return f"<{function_name(by)}>"


def function_name(by: object) -> str:
    """Module and name of a function, in whatever it is wrapped; of an object, its class."""
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
        with pep_479:
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
    if isinstance(by, Source):
        return Identity(_source(by, fallback), None)
    if isinstance(by, Claim):
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
    return _address(exchange) if principal.kind == ANONYMOUS.kind else text_of_principal(principal)


def text_of_principal(principal: Principal) -> str:
    """The identity of a principal that is not anonymous."""
    kind, issuer = principal.kind, principal.issuer
    return f"p{len(kind)},{len(issuer)},{kind}{issuer}{principal.id}"


def _api_key(exchange: Exchange) -> str:
    principal = exchange.principal
    return text_of_key(principal) if principal.kind == "api_key" else _principal(exchange)


def text_of_key(principal: Principal) -> str:
    """The identity of an API key: its issuer and id where it has one, else all that tells it from others."""
    key_id = principal.claims.get("key_id")
    if isinstance(key_id, str):
        return "i" + _joined((principal.issuer, key_id))
    return "k" + _joined((principal.issuer, principal.id, principal.client_id or ""))


def text_of_claim(value: object) -> str:
    """The identity of everybody with this value of a claim. Raises TypeError."""
    return "c" + canonical(value)


_NAMED: Final[Mapping[str, Callable[[Exchange], str]]] = {
    "ip": _address,
    "principal": _principal,
    "api_key": _api_key,
    "all": _constant("*"),
}


def _source(source: Source, fallback: Callable[[Exchange], str]) -> Callable[[Exchange], str]:
    read = source.value

    def identify(exchange: Exchange) -> str:
        value = read(exchange.request)
        return "h" + value if value else fallback(exchange)

    return identify


def _claim(name: str) -> Callable[[Exchange], str]:
    def identify(exchange: Exchange) -> str:
        value = exchange.principal.claims.get(name)
        return text_of_claim(value) if value is not None else _principal(exchange)

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
        with pep_479:
            value = yield from function(exchange.request, exchange.principal) if late else function(exchange.request)
            return "f" + canonical(value) if value is not None else fallback(exchange)

    return identify


def _together(parts: list[Identity]) -> Identity:
    plain = [part.now for part in parts if part.now is not None]
    if len(plain) == len(parts):
        return Identity(lambda exchange: "t" + _joined(part(exchange) for part in plain), None)

    def identify(exchange: Exchange) -> Flow[str]:
        with pep_479:
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


_LONGEST: Final = 120


def bounded(identity: str) -> str:
    """The identity itself, or a digest of a long one: what callers send must not cost memory."""
    if len(identity) <= _LONGEST:
        return identity
    return "#" + blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
