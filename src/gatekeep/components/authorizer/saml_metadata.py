"""An identity provider's metadata: its name and the certificates that its assertions are signed with."""

from __future__ import annotations

import base64
import binascii
from math import inf
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from .saml_xml import METADATA, SIGNATURE, BadXml, moment, parse

__all__ = ["Provider", "read_metadata"]

_LARGEST = 1_000_000
_WEAKEST_RSA = 2048


class Provider(NamedTuple):
    """An identity provider."""

    entity_id: str
    certificates: tuple[x509.Certificate, ...]
    until: float
    """Unix time: how long the metadata holds."""


def read_metadata(text: str | bytes) -> Provider:
    """Read an EntityDescriptor with an IDPSSODescriptor. Raises ValueError."""
    root = parse(text.encode() if isinstance(text, str) else text, _LARGEST)
    if root.tag != f"{METADATA}EntityDescriptor" or not root.get("entityID"):
        raise BadXml("there is no EntityDescriptor with an entityID at its root")
    roles = root.findall(f"{METADATA}IDPSSODescriptor")
    if len(roles) != 1:
        raise BadXml("there is not one IDPSSODescriptor")
    found = [
        _certificate(element)
        for descriptor in roles[0].findall(f"{METADATA}KeyDescriptor")
        if descriptor.get("use") in (None, "signing")
        for element in descriptor.iter(f"{SIGNATURE}X509Certificate")
    ]
    if not found:
        raise BadXml("there is no certificate to verify signatures with")
    ends = [end for end in (moment(root, "validUntil"), moment(roles[0], "validUntil")) if end is not None]
    return Provider(root.get("entityID"), tuple(found), min(ends, default=inf))


def _certificate(element: Any) -> x509.Certificate:
    try:
        certificate = x509.load_der_x509_certificate(base64.b64decode("".join((element.text or "").split()), validate=True))
        key = certificate.public_key()
    except (ValueError, binascii.Error):
        raise BadXml("a certificate can't be read") from None
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _WEAKEST_RSA:
            raise BadXml(f"a certificate has an RSA key of {key.key_size} bits; {_WEAKEST_RSA} is the least")
    elif not isinstance(key, ec.EllipticCurvePublicKey):
        raise BadXml("a certificate's key is neither RSA nor EC")
    return certificate
