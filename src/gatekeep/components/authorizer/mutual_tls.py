"""MutualTLS: the configuration of client certificates as credentials. What it does at work is in mutual_tls_verifier.py."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ...proxies import TrustedProxies
from ...sources import Header, header
from .authenticator import Authenticator, Opening, Verifier
from .certificate import TrustStore
from .certificate_rules import CertificateRules
from .certificate_sources import FORMATS, HeaderCertificate, server_certificate
from .jwt import ANY, Anything
from .mutual_tls_verifier import CertificateVerifier

__all__ = ["MutualTLS"]

Rules: TypeAlias = Collection[str] | Mapping[str, Any]
"""Rules alone, or rules and whom each stands for: a name, or {"owner": ..., "scopes": ..., "roles": ...}."""
_DEFAULT_FORMATS = {"client-cert": "rfc9440", "x-forwarded-client-cert": "xfcc"}


@dataclass(frozen=True, eq=False)
class MutualTLS(Authenticator):
    """Callers known by their client certificate, which the TLS server has verified, or a trusted proxy, or `trust` verifies here.

    One of the rules must hold; ANY for `subjects` takes every certificate that was verified.
    """

    subjects: Rules | Literal[Anything.ANY] = ()
    """Distinguished names (RFC 4514), whole; "*" for a value stands for any."""
    names: Rules = ()
    """Subject alternative names: "dns:*.example.com" (one label), "uri:spiffe://acme/*" (a prefix), "email:…", "ip:…"."""
    fingerprints: Rules = ()
    """SHA-256 of the certificate in hexadecimal digits, with or without colons."""
    trust: str | bytes | Path | None = field(default=None, kw_only=True, repr=False)
    """Certificates of authorities, PEM or a file of it: chains are verified here, whoever else has."""
    header: str | None = field(default=None, kw_only=True)
    """The field in which a proxy says the certificate; None takes that of the server's own TLS connection."""
    proxies: Collection[str] = field(default=(), kw_only=True)
    """Addresses or networks of proxies that may say it; from anybody else the field is nothing."""
    format: Literal["rfc9440", "pem", "der", "xfcc"] | None = field(default=None, kw_only=True)
    """How the field has it; by default as its name says: Client-Cert, X-Forwarded-Client-Cert, else "pem"."""
    verify_header: str | None = field(default=None, kw_only=True)
    """A field of the proxy that must say SUCCESS."""
    remember: int = field(default=10_000, kw_only=True)
    """How many certificates are remembered."""

    _rules: CertificateRules = field(init=False, repr=False)
    _trust: TrustStore | None = field(init=False, repr=False)

    def check(self) -> None:
        if isinstance(self.remember, bool) or not isinstance(self.remember, int) or self.remember < 1:
            raise self.mistake(f"remember={self.remember!r} is not a number from 1 up")
        everybody = self.subjects is ANY
        given: dict[str, Any] = {"subjects": self.subjects, "names": self.names, "fingerprints": self.fingerprints}
        if everybody:
            given["subjects"] = ()
        if not everybody and not any(given.values()):
            raise self.mistake("nothing says which certificates are taken", fix='names=["dns:*.example.com"], or subjects=ANY')
        try:
            object.__setattr__(self, "_rules", CertificateRules(given, everybody=everybody))
        except ValueError as error:
            raise self.mistake(str(error)) from None
        try:
            text = self.trust.read_bytes() if isinstance(self.trust, Path) else self.trust
            object.__setattr__(self, "_trust", None if text is None else TrustStore(text))
        except (ValueError, OSError) as error:
            raise self.mistake(f"trust: {error}") from None
        self._check_header()

    def _check_header(self) -> None:
        if self.header is None:
            if self.proxies or self.format is not None or self.verify_header is not None:
                raise self.mistake("proxies, format and verify_header are for a header", fix='header="Client-Cert"')
            return
        self.check_field("header")
        if self.verify_header is not None:
            self.check_field("verify_header")
        if self.format not in (None, *FORMATS):
            raise self.mistake(f"format={self.format!r} is none of {', '.join(FORMATS)}")
        if isinstance(self.proxies, str) or not self.proxies:
            raise self.mistake("a header is worth something from trusted proxies only", fix='proxies=["10.0.0.0/8"]')
        try:
            TrustedProxies(self.proxies)
        except ValueError as error:
            raise self.mistake(f"proxies: {error}") from None

    def open(self, opening: Opening) -> Verifier:
        reads: list[Header] = []
        if self.header is None:
            source = server_certificate(opening.protocol)
        else:
            name = header(self.header)
            check = None if self.verify_header is None else header(self.verify_header)
            form = self.format or _DEFAULT_FORMATS.get(name.name, "pem")
            source = HeaderCertificate(name, form, TrustedProxies(self.proxies), check)
            reads = [name, *([check] if check else []), *([header("client-cert-chain")] if form == "rfc9440" else [])]
        return CertificateVerifier(
            opening.services, source=source, rules=self._rules, trust=self._trust, reads=reads, remember=self.remember
        )
