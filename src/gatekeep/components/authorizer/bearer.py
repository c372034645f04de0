"""Bearer: the one token of a request, wherever it may stand (RFC 6750 §2), and how a bad one is refused (§3).

A browser sends cookies with whatever any page asks for: a token in one counts where it can do no harm, or the page is ours.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from ...errors import BadRequest, Forbidden, Unauthorized
from ...message import Request
from ...sources import Cookie, Header, Query, Source
from .authenticator import Authenticator, ForeignCredential
from .jws import BadToken, ForeignToken

__all__ = ["Bearer", "Found", "Refusal", "checked_origins", "checked_sources"]

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 §9.2.1
_TLS: Final = {"https": "https", "wss": "https", "http": "http", "ws": "http"}
_PORTS: Final = {"https": ":443", "http": ":80"}


class Found(NamedTuple):
    """A token, and the header field that it came in, which then proves the caller; None for other places."""

    token: str
    field: str | None


class Bearer:
    """Where a verifier looks for tokens, in order; `field` is the one header field where that is all there is, else None."""

    __slots__ = ("_origins", "field", "sources")

    def __init__(self, sources: Sequence[Source], origins: Collection[str] = ()) -> None:
        self.sources = tuple(sources)
        self._origins = frozenset(origins)
        only = self.sources[0]
        self.field = only.name if len(self.sources) == 1 and isinstance(only, Header) else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bearer) and (self.sources, self._origins) == (other.sources, other._origins)

    def __hash__(self) -> int:
        return hash((self.sources, self._origins))

    def find(self, request: Request) -> Found | None:
        """The token of a request; None where it has none.

        Raises BadRequest where there are two that differ, Forbidden for one in a cookie that another site's page may have sent.
        """
        token, field, only_cookies = None, None, True
        for source in self.sources:
            found = self._look(source, request)
            if found is None:
                continue
            if token is not None and found != token:
                raise BadRequest("The request carries two different tokens.", code="ambiguous_credentials")
            token = found
            only_cookies = only_cookies and isinstance(source, Cookie)
            if field is None and isinstance(source, Header):
                field = source.name
        if token is None:
            return None
        if only_cookies and (request.method not in _SAFE_METHODS or _is_handshake(request)):
            self._check_origin(request)
        return Found(token, field)

    def _look(self, source: Source, request: Request) -> str | None:
        if isinstance(source, Header):
            value = request.header(source.name)
            return None if value is None else self.within(source.name, value, request)
        if isinstance(source, Query) and not _is_handshake(request):
            return None  # a browser can't give a handshake a header field; everything else can have one
        return source.credential(request) or None

    @staticmethod
    def within(name: str, value: str, request: Request) -> str | None:
        """The token in a field's value; None for another scheme. Tokens have no commas: one joins two lines (RFC 9110 §5.3)."""
        authorization = name == "authorization"
        if "," in value:
            bearer = not authorization or "bearer" in value.lower()
            if bearer or len(request.header_lines(name)) > 1:
                raise BadRequest(f"The request has several {name} fields.", code="ambiguous_credentials")
        if not authorization:
            return value
        scheme, _, token = value.partition(" ")
        return token if scheme.lower() == "bearer" else None

    def _check_origin(self, request: Request) -> None:
        origin = request.header("origin")
        if origin is None:  # browsers send it with what is unsafe (Fetch, "HTTP-network-or-cache fetch"); old ones only Referer
            origin = _origin_of(request.header("referer") or "")
            if origin is None:
                raise Forbidden("A token in a cookie needs an Origin field here.", code="origin_missing")
        origin = origin.lower()
        if origin in self._origins:
            return
        scheme, _, host = origin.partition("://")
        # The proxy that ended TLS may have told us http. The other way round it would be a page that anybody could have changed.
        known = _PORTS.get(scheme)
        if known is None or (scheme != "https" and _TLS.get(request.scheme) != scheme):
            raise _foreign_origin()
        if host.removesuffix(known) != request.host.removesuffix(known):
            raise _foreign_origin()


def _foreign_origin() -> Forbidden:
    return Forbidden("A token in a cookie is not taken from a page of another origin.", code="origin_refused")


def _is_handshake(request: Request) -> bool:
    # Under WSGI servers speak WebSocket only to apps that ask for it, and to us it is a GET like any other.
    return request.handshake or (request.protocol == "wsgi" and (request.header("upgrade") or "").lower() == "websocket")


def _origin_of(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.scheme and parts.netloc else None


class Refusal(NamedTuple):
    """A bad token's answer, made once for all who send it again."""

    error: type[Unauthorized]
    code: str
    description: str
    headers: tuple[tuple[str, str], ...]

    @staticmethod
    def of(bad: BadToken) -> Refusal:
        return _refusal(isinstance(bad, ForeignToken), bad.code, bad.description)

    def lasting(self) -> Unauthorized:
        """The same one for all, to be returned."""
        return _lasting(self.error is ForeignCredential, self.code, self.description)

    def denied(self) -> Unauthorized:
        return self.error(self.description, code=self.code, headers=self.headers)


@lru_cache(maxsize=256)
def _refusal(foreign: bool, code: str, description: str) -> Refusal:
    error = ForeignCredential if foreign else Unauthorized
    return Refusal(error, code, description, (("www-authenticate", _challenge(description)),))


@lru_cache(maxsize=256)
def _lasting(foreign: bool, code: str, description: str) -> Unauthorized:
    return _refusal(foreign, code, description).denied().lasting()


def _challenge(description: str) -> str:
    return f'Bearer error="invalid_token", error_description="{description}"'


# Configuration.


def checked_sources(owner: Authenticator, given: object) -> tuple[Source, ...]:
    """One or several sources as a tuple. Raises ConfigurationError, naming the owner's line."""
    sources = (given,) if isinstance(given, Source) else given
    if not isinstance(sources, (tuple, list)) or not sources:
        raise owner.mistake(f"sources={given!r} is not a list of sources", fix='[header("Authorization"), cookie("session")]')
    for source in sources:
        if not isinstance(source, Source) or not source.valid:
            raise owner.mistake(f"sources: {source!r} is no place in a request", fix='as cookie("session")')
    if len(set(sources)) != len(sources):
        raise owner.mistake("sources: one stands twice")
    return tuple(sources)


def checked_origins(owner: Authenticator, given: object) -> frozenset[str]:
    """Origins (RFC 6454 §6.2) in lower case. Raises ConfigurationError, naming the owner's line."""
    if isinstance(given, str) or not isinstance(given, Collection):
        raise owner.mistake(f"origins={given!r} is not a collection", fix='origins=["https://app.example.com"]')
    for origin in given:
        if not isinstance(origin, str) or _origin_of(origin) != origin or not origin.startswith(("https://", "http://")):
            raise owner.mistake(f"origins: {origin!r} is no origin", fix='it looks like "https://app.example.com"')
    return frozenset(origin.lower() for origin in given)
