"""Where a client certificate comes from: the server's own TLS connection, or what a trusted proxy says in a field.

The ASGI TLS extension (https://asgi.readthedocs.io/en/latest/specs/tls.html); mod_ssl's and werkzeug's SSL_CLIENT_* and
gunicorn's socket under WSGI; RFC 9440, Envoy's x-forwarded-client-cert, and fields with PEM or DER.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import unquote

from cryptography import x509

from ...effects import Protocol
from ...errors import BadRequest
from ...message import Request
from ...proxies import TrustedProxies, parse_address
from ...sources import Header

__all__ = ["FORMATS", "HeaderCertificate", "Presented", "ReadCertificate", "server_certificate"]

_LONGEST = 64_000
"""Characters of a certificate and its chain."""


class Presented(NamedTuple):
    """A certificate as it was handed over: PEM, DER or what a field says, unread; and whether somebody has verified it."""

    raw: tuple[str | bytes, ...]
    verified: bool
    parse: Callable[[tuple[str | bytes, ...]], Sequence[x509.Certificate]]
    """The certificate and its chain. Raises ValueError."""


ReadCertificate: TypeAlias = Callable[[Request], Presented | None]


def server_certificate(protocol: Protocol) -> ReadCertificate:
    """What finds it on the server's connection."""
    return _from_scope if protocol == "asgi" else _from_environ


def _from_scope(request: Request) -> Presented | None:
    tls = (request.native.get("extensions") or {}).get("tls")
    chain = tuple(tls.get("client_cert_chain") or ()) if tls is not None else ()
    return Presented(chain, not tls.get("client_cert_error"), _parse_pems) if tls is not None and chain else None


def _from_environ(request: Request) -> Presented | None:
    environ = request.native
    said = environ.get("SSL_CLIENT_VERIFY")
    pem = environ.get("SSL_CLIENT_CERT")
    if pem:
        if said == "NONE":
            return None
        # Werkzeug says no more than the certificate: Python's ssl has none that it did not verify.
        verified = said == "SUCCESS" or (said is None and "werkzeug.socket" in environ)
        chain = [environ[name] for number in range(4) if (name := f"SSL_CLIENT_CERT_CHAIN_{number}") in environ]
        return Presented((pem, *chain), verified, _parse_pems)
    getpeercert = getattr(environ.get("gunicorn.socket"), "getpeercert", None)
    der = getpeercert(True) if getpeercert is not None else None
    return Presented((der,), True, _parse_ders) if der else None


class HeaderCertificate:
    """What a trusted proxy says in a field; `check` is a field of the proxy's that must say SUCCESS."""

    def __init__(self, source: Header, form: str, proxies: TrustedProxies, check: Header | None) -> None:
        self._source = source
        self._form = FORMATS[form]
        self._with_chain = form == "rfc9440"
        self._one_line = form != "xfcc"
        self._proxies = proxies
        self._check = check

    def __call__(self, request: Request) -> Presented | None:
        value = request.header(self._source.name)
        if not value or not self._proxies.trusts(parse_address(request.peer)):
            return None
        if len(request.header_lines(self._source.name)) > 1 or (self._one_line and "," in value):
            raise BadRequest(f"The request has several {self._source.name} fields.", code="ambiguous_credentials")
        raw: tuple[str | bytes, ...] = (value,)
        if self._with_chain:
            chain = request.header("client-cert-chain")
            raw = (value, chain) if chain else raw
        return Presented(raw, self._check is None or self._check.value(request) == "SUCCESS", self._form)


# The forms.


def _parse_pems(raw: Sequence[str | bytes]) -> Sequence[x509.Certificate]:
    return [_pem(one)[0] for one in raw]


def _parse_ders(raw: Sequence[str | bytes]) -> Sequence[x509.Certificate]:
    return [x509.load_der_x509_certificate(one) for one in raw if isinstance(one, bytes)]


def _pem(text: str | bytes) -> Sequence[x509.Certificate]:
    if len(text) > _LONGEST:
        raise ValueError("it is too long")
    return x509.load_pem_x509_certificates(text if isinstance(text, bytes) else text.encode("latin-1"))


def _parse_escaped_pem(raw: Sequence[Any]) -> Sequence[x509.Certificate]:
    """PEM, percent-encoded, maybe with its chain: nginx' $ssl_client_escaped_cert, X-Amzn-Mtls-Clientcert."""
    return _pem(unquote(raw[0]))


def _parse_base64(raw: Sequence[Any]) -> Sequence[x509.Certificate]:
    return [_der(raw[0])]


def _parse_structured(raw: Sequence[Any]) -> Sequence[x509.Certificate]:
    """RFC 9440 §2: a byte sequence of RFC 8941, and for the chain a list of them."""
    items = [raw[0], *(raw[1].split(",") if len(raw) > 1 else [])]
    found = []
    for item in items[:5]:
        text = item.strip()
        if len(text) < 3 or text[0] != ":" or text[-1] != ":":
            raise ValueError("it is no byte sequence")
        found.append(_der(text[1:-1]))
    return found


def _der(text: str) -> x509.Certificate:
    if len(text) > _LONGEST:
        raise ValueError("it is too long")
    try:
        return x509.load_der_x509_certificate(base64.b64decode(text, validate=True))
    except binascii.Error:
        raise ValueError("it is not base64") from None


_PAIR = re.compile(r'([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^;,"]*)([;,]|$)')


def _parse_xfcc(raw: Sequence[Any]) -> Sequence[x509.Certificate]:
    """Envoy's field. Each proxy appends an element: the last is the word of the nearest, on who called it."""
    text = raw[0].strip()
    if len(text) > _LONGEST:
        raise ValueError("it is too long")
    place, pairs = 0, {}
    while place < len(text):
        found = _PAIR.match(text, place)
        if found is None:
            raise ValueError("it is no list of elements")
        name, value, end = found.groups()
        pairs[name.lower()] = value[1:-1] if value.startswith('"') else value
        place = found.end()
        while place < len(text) and text[place] == " ":
            place += 1
        if end == "," and place < len(text):
            pairs = {}
    if not pairs.get("cert"):
        raise ValueError("it has no Cert")
    return [*_pem(unquote(pairs["cert"]))[:1], *(_pem(unquote(pairs["chain"])) if pairs.get("chain") else ())]


FORMATS: Mapping[str, Callable[[Sequence[Any]], Sequence[x509.Certificate]]] = {
    "rfc9440": _parse_structured,
    "pem": _parse_escaped_pem,
    "der": _parse_base64,
    "xfcc": _parse_xfcc,
}
