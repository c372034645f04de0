"""An identity provider for tests: metadata, and assertions of any content, signed well or badly."""

from __future__ import annotations

import base64
import functools
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from lxml import etree
from signxml import CanonicalizationMethod, DigestAlgorithm, SignatureMethod, XMLSigner

from components.authorizer.minting import NOW

ENTITY = "https://idp.example.com/metadata"
AUDIENCE = "https://orders.example.com"
RECIPIENT = "https://orders.example.com/token"
SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"


@functools.cache
def key(name: str) -> Any:
    if name == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    if name == "ed":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 1024 if name == "weak" else 2048)


@functools.cache
def certificate(name: str, *, days: float = 10_000) -> x509.Certificate:
    start = datetime.fromtimestamp(NOW, UTC) - timedelta(days=1)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp")])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key(name).public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start + timedelta(days=days))
    return builder.sign(key(name), None if name == "ed" else hashes.SHA256())


def metadata(*names: str, entity: str = ENTITY, until: str = "", use: str = ' use="signing"', days: float = 10_000) -> str:
    keys = "".join(
        f"<md:KeyDescriptor{use}><ds:KeyInfo><ds:X509Data><ds:X509Certificate>"
        f"{base64.b64encode(certificate(name, days=days).public_bytes(serialization.Encoding.DER)).decode()}"
        "</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
        for name in names
    )
    return (
        '<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:ds="http://www.w3.org/2000/09/xmldsig#"'
        f' entityID="{entity}"{until}><md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">'
        f"{keys}</md:IDPSSODescriptor></md:EntityDescriptor>"
    )


def date(seconds: float) -> str:
    return datetime.fromtimestamp(NOW + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


GOOD: dict[str, str] = {
    "root": f'Version="2.0" ID="_a1" IssueInstant="{date(0)}"',
    "issuer": f"<saml:Issuer>{ENTITY}</saml:Issuer>",
    "name": '<saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">alice</saml:NameID>',
    "confirmation": f'<saml:SubjectConfirmation Method="{BEARER}"><saml:SubjectConfirmationData '
    f'NotOnOrAfter="{date(300)}" Recipient="{RECIPIENT}"/></saml:SubjectConfirmation>',
    "conditions": f'<saml:Conditions NotBefore="{date(-60)}" NotOnOrAfter="{date(600)}"><saml:AudienceRestriction>'
    f"<saml:Audience>{AUDIENCE}</saml:Audience></saml:AudienceRestriction></saml:Conditions>",
    "authn": f'<saml:AuthnStatement AuthnInstant="{date(0)}" SessionIndex="s1"/>',
    "attributes": '<saml:AttributeStatement><saml:Attribute Name="groups"><saml:AttributeValue>staff</saml:AttributeValue>'
    '<saml:AttributeValue>admin</saml:AttributeValue></saml:Attribute><saml:Attribute Name="scope"><saml:AttributeValue>'
    "orders:read orders:write</saml:AttributeValue></saml:Attribute></saml:AttributeStatement>",
}


def xml(**changes: str) -> str:
    parts = {**GOOD, **changes}
    return (
        f'<saml:Assertion xmlns:saml="{SAML}" {parts["root"]}>{parts["issuer"]}<saml:Subject>{parts["name"]}'
        f"{parts['confirmation']}</saml:Subject>{parts['conditions']}{parts['authn']}{parts['attributes']}</saml:Assertion>"
    )


def signed(
    text: str,
    name: str = "idp",
    *,
    method: SignatureMethod | None = None,
    digest: DigestAlgorithm = DigestAlgorithm.SHA256,
    c14n: CanonicalizationMethod = CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    uri: str | None = "_a1",
) -> Any:
    """The assertion as an element, signed."""
    signer = XMLSigner(
        signature_algorithm=method or (SignatureMethod.ECDSA_SHA256 if name == "ec" else SignatureMethod.RSA_SHA256),
        digest_algorithm=digest,
        c14n_algorithm=c14n,
    )
    pem = certificate(name).public_bytes(serialization.Encoding.PEM).decode()
    private = key(name).private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return signer.sign(etree.fromstring(text), key=private, cert=pem, reference_uri=uri, id_attribute="ID")


def encoded(assertion: Any) -> str:
    data = (
        assertion
        if isinstance(assertion, bytes)
        else assertion.encode()
        if isinstance(assertion, str)
        else etree.tostring(assertion)
    )
    return base64.b64encode(data).decode()


def credential(assertion: Any) -> dict[str, str]:
    return {"authorization": f"SAML {encoded(assertion)}"}


def assertion(**changes: str) -> dict[str, str]:
    """The header of a signed assertion, good but for the changes."""
    return credential(signed(xml(**changes)))
