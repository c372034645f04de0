"""CertificateVerifier: client certificates at work. One seen before costs a digest and a look-up."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple, NoReturn

from ...component import Services
from ...errors import Unauthorized
from ...exchange import Exchange, Principal
from ...memo import Memo
from ...sources import Source
from .authenticator import Verdict, Verifier
from .certificate import TrustStore, read_certificate
from .certificate_rules import CertificateRules
from .certificate_sources import Presented, ReadCertificate

__all__ = ["CertificateVerifier"]


class _Known(NamedTuple):
    principal: Principal
    start: float
    end: float


class CertificateVerifier(Verifier):
    """Finds the certificate, judges it, and remembers whom it stands for."""

    def __init__(
        self,
        services: Services,
        *,
        source: ReadCertificate,
        rules: CertificateRules,
        trust: TrustStore | None,
        reads: Sequence[Source],
        remember: int,
    ) -> None:
        self.challenges = {"mtls": "ClientCertificate"}
        self.missing = ("certificate_missing", "The request came without a client certificate.")
        self.reads = tuple(reads)
        self._wall = services.clock.wall
        self._source = source
        self._rules = rules
        self._trust = trust
        self._known: Memo[bytes, _Known] = Memo(remember)

    def verify(self, exchange: Exchange) -> Verdict:
        presented = self._source(exchange.request)
        if presented is None:
            return None
        if not presented.verified and self._trust is None:
            _refuse("certificate_untrusted", "The client certificate was not verified.")
        key = _digest(presented.raw)
        now = self._wall()
        known = self._known.get(key)
        if known is None:
            known = self._judge(presented, now)
            if known.start <= now <= known.end:
                self._known.put(key, known)
        if now < known.start:
            _refuse("certificate_not_yet_valid", "The client certificate is not valid yet.")
        if now > known.end:
            _refuse("certificate_expired", "The client certificate has expired.")
        return known.principal

    def _judge(self, presented: Presented, now: float) -> _Known:
        try:
            leaf, *chain = presented.parse(presented.raw)
            certificate = read_certificate(leaf)
            end = min([certificate.end, *(one.not_valid_after_utc.timestamp() for one in chain)])
        except ValueError:  # UnicodeError is one, too
            _refuse("certificate_malformed", "The client certificate can't be read.")
        in_time = certificate.start <= now <= certificate.end
        if self._trust is not None and in_time and not self._trust.vouches(leaf, chain, now):
            _refuse("certificate_untrusted", "The client certificate is not of a trusted authority.")
        principal = self._rules.principal(certificate)
        if principal is None:
            _refuse("certificate_unknown", "The client certificate is not known here.")
        return _Known(principal, certificate.start, end)


def _digest(raw: Sequence[str | bytes]) -> bytes:
    digest = sha256()
    for one in raw:
        digest.update(one if isinstance(one, bytes) else one.encode("utf-8", "surrogatepass"))
        digest.update(b"\0")
    return digest.digest()


def _refuse(code: str, detail: str) -> NoReturn:
    challenge = f'ClientCertificate error="{code}"'
    raise Unauthorized(detail, code=code, headers=[("www-authenticate", challenge)])
