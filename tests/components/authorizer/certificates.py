"""An authority for tests, and the client certificates that it or somebody else gives out."""

from __future__ import annotations

import functools
import ipaddress
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from components.authorizer.minting import NOW

DAY = 86_400.0


@functools.cache
def key(name: str) -> Any:
    return ec.generate_private_key(ec.SECP256R1())


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@functools.cache
def authority(name: str = "ca", signer: str | None = None, *, now: float = NOW) -> x509.Certificate:
    """A root, or an intermediate of another authority."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = subject if signer is None else authority(signer, now=now).subject
    public = key(name).public_key()
    above = key(signer or name)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_at(now - DAY))
        .not_valid_after(_at(now + 100 * DAY))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(True, False, False, False, False, True, True, False, False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), critical=False)
        .sign(above, hashes.SHA256())
    )


def leaf(
    subject: str = "CN=alice,O=Acme",
    *,
    names: tuple[x509.GeneralName, ...] = (),
    signer: str = "ca",
    start: float = -DAY,
    end: float = 10 * DAY,
    usage: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.CLIENT_AUTH,
    now: float = NOW,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name.from_rfc4514_string(subject))
        .issuer_name(authority(signer, now=now).subject)
        .public_key(key("leaf").public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_at(now + start))
        .not_valid_after(_at(now + end))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key(signer).public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not subject)
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return builder.sign(key(signer), hashes.SHA256())


def dns(name: str) -> x509.GeneralName:
    return x509.DNSName(name)


def uri(name: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(name)


def email(name: str) -> x509.GeneralName:
    return x509.RFC822Name(name)


def ip(name: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(name))


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def private_pem(name: str) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key(name).private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
