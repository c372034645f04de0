"""Certificate: what a client certificate says. TrustStore: authorities that certificates must come from, where that is asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError

__all__ = ["Certificate", "TrustStore", "read_certificate"]

_LONGEST_CHAIN = 4


class Certificate(NamedTuple):
    """A certificate as rules and principals need it. Names are texts such as "dns:api.example.com"."""

    x509: x509.Certificate
    subject: str
    issuer: str
    names: tuple[str, ...]
    fingerprint: str
    """SHA-256 in hexadecimal digits."""
    start: float
    """Unix time."""
    end: float


def read_certificate(certificate: x509.Certificate) -> Certificate:
    """Raises ValueError for one with names or extensions that can't be read."""
    return Certificate(
        certificate,
        certificate.subject.rfc4514_string(),
        certificate.issuer.rfc4514_string(),
        _names(certificate),
        certificate.fingerprint(hashes.SHA256()).hex(),
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
    )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return (
        *(f"dns:{name.lower()}" for name in names.get_values_for_type(x509.DNSName)),
        *(f"uri:{name}" for name in names.get_values_for_type(x509.UniformResourceIdentifier)),
        *(f"email:{name}" for name in names.get_values_for_type(x509.RFC822Name)),
        *(f"ip:{name}" for name in names.get_values_for_type(x509.IPAddress)),
    )


class TrustStore:
    """Authorities, from PEM text. Raises ValueError."""

    def __init__(self, text: str | bytes) -> None:
        authorities = x509.load_pem_x509_certificates(text.encode() if isinstance(text, str) else text)
        # Names are the rules' business: unlike on the web, a client's certificate may have none but its subject.
        client = ExtensionPolicy.permit_all().may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _for_clients)
        authority = ExtensionPolicy.webpki_defaults_ca()
        self._builder = (
            PolicyBuilder()
            .store(Store(authorities))
            .max_chain_depth(_LONGEST_CHAIN)
            .extension_policies(ee_policy=client, ca_policy=authority)
        )

    def vouches(self, leaf: x509.Certificate, chain: Sequence[x509.Certificate], now: float) -> bool:
        """Whether the chain leads to one of the authorities, at `now`, Unix time (RFC 5280 §6)."""
        verifier = self._builder.time(datetime.fromtimestamp(now, UTC)).build_client_verifier()
        try:
            verifier.verify(leaf, list(chain[:_LONGEST_CHAIN]))
        except VerificationError:
            return False
        return True


def _for_clients(_: object, __: x509.Certificate, usage: x509.ExtendedKeyUsage | None) -> None:
    wanted = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    if usage is not None and not any(one in usage for one in wanted):
        raise ValueError("the certificate is not for clients")
