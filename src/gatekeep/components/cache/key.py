"""What makes two requests the same to the cache: the primary key of a route, compiled from its Cache spec."""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from ...component import Plan
from ...exchange import ANONYMOUS, Exchange, Principal
from ...message import Request
from .policy import Header
from .spec import Cache

__all__ = ["Key", "KeyMaker", "identity"]

Key: TypeAlias = tuple[Hashable, ...]
ROUTE, SCHEME, HOST, ROOT, PATH, QUERY = range(6)
"""Where in a key they stand."""

_ADDRESS = ("x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-prefix")
"""Fields that frameworks can be told to take their own address from: one client's must not end up in another's links."""

_TENANT_AND_ACTOR = ("tenant", "tenant_id", "tid", "org_id", "custom:tenant_id", "act")
"""Claims for whom, or in whose name, somebody acts (`act`: RFC 8693 §4.1); the rest of the identity has its own fields."""
_TELLING = frozenset(_TENANT_AND_ACTOR)


def identity(principal: Principal) -> Hashable:
    """Everything about a caller that an answer may depend on; None for an anonymous one."""
    if principal is ANONYMOUS:
        return None
    claims = principal.claims
    return (
        principal.kind,
        principal.issuer,
        principal.id,
        principal.client_id,
        principal.scopes,
        principal.roles,
        ()
        if _TELLING.isdisjoint(claims)
        else tuple([(name, _hashable(claims[name])) for name in _TENANT_AND_ACTOR if name in claims]),
    )


def _hashable(claim: Any) -> Hashable:
    return claim if isinstance(claim, str) else (json.dumps(claim, sort_keys=True, default=repr),)


class KeyMaker:
    """A route's key: method class, stage and route, address, path, query, the caller, and what the spec adds to these."""

    __slots__ = ("_authorized", "_cookies", "_query", "_route", "_shared", "fields")

    def __init__(self, spec: Cache, plan: Plan) -> None:
        # One route, one protocol: the two keep headers in different forms. GET and HEAD read the same entry.
        self._route = f"{plan.protocol} {plan.stage or ''} {plan.id}"
        self._authorized = plan.identified
        self._shared = spec.shared and not plan.personal
        self._query = None if spec.query == "all" else tuple(sorted(set(spec.query)))
        self._cookies = tuple(sorted(set(spec.cookies)))
        self.fields = tuple(sorted({*(name.lower() for name in spec.headers), *_ADDRESS}))
        """The header fields whose values are in the key, beside Host, Cookie and a credential that proved nobody."""

    def __call__(self, exchange: Exchange, header: Header | None) -> Key:
        """`header` looks up the request's fields; None where it has neither one of `fields` nor a Cookie."""
        request = exchange.request
        seen = exchange.forwarded or request
        principal = exchange.principal
        query = seen.query_string
        return (
            self._route,
            request.scheme,
            request.host,
            request.root_path,
            seen.path,
            query if self._query is None else _chosen(self._query, query),
            () if header is None else _present(self.fields, header),
            () if header is None or not self._cookies else _cookies(self._cookies, request.header("cookie") or ""),
            None if self._shared else self._caller(principal, request) if self._authorized else identity(principal),
        )

    def _caller(self, principal: Principal, request: Request) -> Hashable:
        if principal.proof != "authorization":
            # An app may read more from the field than gatekeep did: an API key for gatekeep, the user's token for the app.
            credential = request.header("authorization")
            if credential is not None:
                return (identity(principal), credential)
        return identity(principal)


def _present(names: tuple[str, ...], look_up: Header) -> Hashable:
    return tuple([(name, value) for name in names if (value := look_up(name)) is not None])


# Values are taken as they were sent, all of them: of repeated ones, and of bytes that are no text, each framework makes
# something else, and what two requests have in common for us they need not for the app.


def _cookies(names: tuple[str, ...], sent: str) -> Hashable:
    pairs = [part.partition("=") for part in sent.split(";")]
    return tuple([(name, equals + value.strip()) for raw, equals, value in pairs if (name := raw.strip()) in names])


def _chosen(names: tuple[str, ...], query_string: str) -> Hashable:
    pairs = [piece.partition("=") for piece in query_string.split("&")] if names else []
    query = [(_parameter(raw), equals + value) for raw, equals, value in pairs]
    return tuple([tuple([value for key, value in query if key == name]) for name in names])


def _parameter(raw: str) -> str:
    if raw.isascii() and "%" not in raw and "+" not in raw:
        return raw
    return unquote_to_bytes(raw.replace("+", " ").encode("latin-1", "replace")).decode("utf-8", "replace")
