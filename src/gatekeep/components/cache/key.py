"""What makes two requests the same to the cache: the primary key of a route, compiled from its Cache spec."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from hashlib import blake2b
from typing import Any, Final, NamedTuple, TypeAlias, cast
from urllib.parse import unquote_to_bytes

from ...component import Plan
from ...effects import Protocol
from ...exchange import ANONYMOUS, Exchange, Principal
from ...message import Request
from .policy import Header
from .spec import Cache

__all__ = ["Address", "Key", "KeyMaker", "address_of", "identity", "protocol_of"]

Key: TypeAlias = str | tuple[Hashable, ...]
"""A text, as mostly, which is hashed once for all its look-ups; a tuple that begins with one where there is more to tell."""

_ADDRESS = ("x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-prefix")
"""Fields that frameworks can be told to take their own address from: one client's must not end up in another's links."""

_TENANT_AND_ACTOR: Final = frozenset({"tenant", "tenant_id", "tid", "org_id", "custom:tenant_id", "act"})
"""Claims for whom, or in whose name, somebody acts (`act`: RFC 8693 §4.1); the rest of the identity has its own fields."""
_TOKENS: Final = frozenset({"jwt", "introspection", "saml"})
"""Kinds of callers whose claims differ from one token to the next: in dates and ids, at least. All claims of others count."""


_NONE: Final[tuple[Hashable, ...]] = ()

_known: Final[dict[int, tuple[Principal, str]]] = {}
"""Digests by the id() of a principal that is held beside it; an authorizer gives the same one for the same token."""
_MOST_KNOWN: Final = 4096


def identity(principal: Principal) -> str | None:
    """A digest of everything about a caller that an answer may depend on; None for an anonymous one."""
    if principal is ANONYMOUS:
        return None
    known = _known.get(id(principal))
    if known is not None:
        return known[1]
    digest = _digest(principal)
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known[id(principal)] = (principal, digest)
    return digest


def _digest(principal: Principal) -> str:
    claims = principal.claims
    told = _TENANT_AND_ACTOR if principal.kind in _TOKENS else claims.keys()
    whole = (
        principal.kind,
        principal.issuer,
        principal.id,
        principal.client_id,
        sorted(principal.scopes),
        sorted(principal.roles),
        [] if told.isdisjoint(claims) else [(name, _plain(claims[name])) for name in sorted(told) if name in claims],
    )
    return blake2b(repr(whole).encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()


def _plain(claim: Any) -> str:
    return json.dumps(claim, sort_keys=True, default=repr)


class Address(NamedTuple):
    """Where a key's answers come from. `query` as it was sent; None where the key has something else, made of it."""

    scheme: str
    host: str
    root: str
    path: str
    query: str | None


class KeyMaker:
    """A route's key: method class, stage and route, address, path, query, the caller, and what the spec adds to these."""

    __slots__ = ("_authorized", "_cookies", "_origin", "_query", "_route", "fields", "shared")

    def __init__(self, spec: Cache, plan: Plan) -> None:
        # One route, one protocol: the two keep headers in different forms. GET and HEAD read the same entry.
        route = f"{plan.protocol} {plan.stage or ''} {plan.id}"
        self._route = f"{len(route)} {route}"
        self._origin = ("", "", "", "0,0,0;")
        """Scheme, host and root path of the latest request, which the next one mostly has, too, and the text for them."""
        self._authorized = plan.identified
        self.shared = spec.shared and not plan.personal
        """Whether all callers share one entry, but for those whom the route that sent them here has told the app of."""
        self._query = _QUERIES[spec.query] if isinstance(spec.query, str) else partial(_chosen, tuple(sorted(set(spec.query))))
        self._cookies = tuple(sorted(set(spec.cookies)))
        self.fields = tuple(sorted({*(name.lower() for name in spec.headers), *_ADDRESS}))
        """The header fields whose values are in the key, beside Host, Cookie and a credential that proved nobody."""

    def make(self, exchange: Exchange, header: Header | None) -> Key:
        """`header` looks up the request's fields; None where it has neither one of `fields` nor a Cookie."""
        request = exchange.request
        seen = exchange.forwarded
        query: Hashable
        if seen is None:
            path, query = request.path, request.query_string
        else:
            path, query = seen.path, seen.query_string
        if self._query is not None:
            query = self._query(query)
        if request.escaped and path == request.path:
            query = _with_escapes(query, request.raw_path)
        principal = exchange.principal
        caller: Hashable
        if self.shared and ((outer := exchange.outer) is None or not outer.pipeline.personal):
            caller = ""
        elif principal.proof == "authorization" or not self._authorized:
            caller = identity(principal) or ""
        else:
            caller = _caller(principal, request)
        fields = cookies = _NONE
        if header is not None:
            fields = _present(self.fields, header)
            if self._cookies:
                cookies = _cookies(self._cookies, request.header("cookie") or "")
        if isinstance(query, str) and isinstance(caller, str) and not fields and not cookies:
            return self._text(request, path, query, caller)
        return (self._text(request, path, "", ""), query, caller, fields, cookies)

    def _text(self, request: Request, path: str, query: str, caller: str) -> str:
        # No two of them make one text: the lengths say where each part ends, and no digest has a semicolon.
        scheme, host, root = request.scheme, request.host, request.root_path
        origin = self._origin
        if origin[1] != host or origin[0] != scheme or origin[2] != root:
            text = f"{len(scheme)},{len(host)},{len(root)};{scheme}{host}{root}"
            origin = self._origin = (scheme, host, root, text)
        return f"{self._route}{caller};{origin[3]}{len(path)};{path}{query}"

    def __call__(self, exchange: Exchange, header: Header | None) -> Key:
        return self.make(exchange, header)


def address_of(key: Key) -> Address:
    """What a key says of the address; a pair is a key and what the user's function has added to it."""
    if isinstance(key, tuple) and len(key) == 2:
        key = cast(Key, key[0])
    text = key if isinstance(key, str) else cast(str, key[0])
    _, lengths, rest = _behind_route(text)[1].split(";", 2)
    origin = []
    for length in map(int, lengths.split(",")):
        origin.append(rest[:length])
        rest = rest[length:]
    size, _, rest = rest.partition(";")
    path, rest = rest[: int(size)], rest[int(size) :]
    query = rest if isinstance(key, str) else key[1]
    if isinstance(query, tuple) and len(query) == 2 and isinstance(query[1], bytes):
        query = query[0]  # with the path as it was escaped
    scheme, host, root = origin
    return Address(scheme, host, root, path, query if isinstance(query, str) else None)


def protocol_of(key: Key) -> Protocol:
    """Whose form the answers have that a key stands for."""
    while isinstance(key, tuple):
        key = cast(Key, key[0])
    return "asgi" if _behind_route(key)[0].startswith("asgi ") else "wsgi"


def _behind_route(text: str) -> tuple[str, str]:
    length, _, rest = text.partition(" ")
    return rest[: int(length)], rest[int(length) :]


def _caller(principal: Principal, request: Request) -> Hashable:
    # An app may read more from the field than gatekeep did: an API key for gatekeep, the user's token for the app.
    credential = request.header("authorization")
    if credential is not None:
        return (identity(principal), credential)
    return identity(principal)


def _present(names: tuple[str, ...], look_up: Header) -> tuple[Hashable, ...]:
    return tuple([(name, value) for name in names if (value := look_up(name)) is not None])


# Values are taken as they were sent, all of them: of repeated ones, and of bytes that are no text, each framework makes
# something else, and what two requests have in common for us they need not for the app.


def _cookies(names: tuple[str, ...], sent: str) -> tuple[Hashable, ...]:
    pairs = [part.partition("=") for part in sent.split(";")]
    return tuple([(name, equals + value.strip()) for raw, equals, value in pairs if (name := raw.strip()) in names])


def _chosen(names: tuple[str, ...], query_string: str) -> Hashable:
    pairs = [piece.partition("=") for piece in query_string.split("&")]
    query = [(_parameter(raw), equals + value) for raw, equals, value in pairs]
    return tuple([tuple([value for key, value in query if key == name]) for name in names])


def _sorted(query_string: str) -> str:
    """In the order of names; repeated ones stay in theirs."""
    return "&".join(sorted(query_string.split("&"), key=lambda piece: _parameter(piece.partition("=")[0])))


_QUERIES: Mapping[str, Callable[[str], Hashable] | None] = {"all": None, "sorted": _sorted, "none": lambda _: ""}


def _parameter(raw: str) -> str:
    if raw.isascii() and "%" not in raw and "+" not in raw:
        return raw
    return unquote_to_bytes(raw.replace("+", " ").encode("latin-1", "replace")).decode("utf-8", "replace")


# A decoded path says less than an escaped one: "/a%2Fb" is not "/a/b" to an app that looks at what was sent. Other escapes
# are ways to write the same (RFC 3986 §6.2.2).
_TELLING_ESCAPE: Final = re.compile(rb"%(?:2[1-9A-Fa-f]|3[A-Fa-f]|40|5[B-Eb-e]|60|7[B-Db-d])")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def _with_escapes(query: Hashable, raw: bytes | None) -> Hashable:
    if raw is None or _TELLING_ESCAPE.search(raw) is None:
        return query
    return (query, _ESCAPE.sub(_normal, raw))


def _normal(escape: re.Match[bytes]) -> bytes:
    octet = int(escape[1], 16)
    return bytes((octet,)) if octet in _UNRESERVED else escape[0].upper()
