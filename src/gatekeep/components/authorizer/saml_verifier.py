"""AssertionVerifier: SAML assertions at work. What is believed is what the signature covers, and nothing beside it."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple

from cryptography import x509
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.exceptions import SignXMLException
from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier

from ...component import Services
from ...errors import BadRequest, Unauthorized, Unavailable
from ...exchange import Exchange, Principal
from ...memo import Memo
from ...sources import Header
from .authenticator import ForeignCredential, Verdict, Verifier
from .saml_assertion import AssertionRules, BadAssertion
from .saml_metadata import Provider
from .saml_xml import ASSERTION, SIGNATURE, BadXml, parse

__all__ = ["AssertionVerifier"]

_LONGEST = 64_000
"""Bytes of an assertion."""
_REFUSED = 10_000
_PASSING = frozenset({"assertion_not_yet_valid"})
_is_base64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}").fullmatch
_EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
_TRANSFORMS = [["http://www.w3.org/2000/09/xmldsig#enveloped-signature", _EXCLUSIVE]]
_METHODS = frozenset(
    {
        SignatureMethod.RSA_SHA256,
        SignatureMethod.RSA_SHA384,
        SignatureMethod.RSA_SHA512,
        SignatureMethod.SHA256_RSA_MGF1,
        SignatureMethod.SHA384_RSA_MGF1,
        SignatureMethod.SHA512_RSA_MGF1,
        SignatureMethod.ECDSA_SHA256,
        SignatureMethod.ECDSA_SHA384,
        SignatureMethod.ECDSA_SHA512,
    }
)
_DIGESTS = frozenset({DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512})


class _Known(NamedTuple):
    principal: Principal
    until: float


class AssertionVerifier(Verifier):
    """Assertions in one header field; one seen before costs a digest and a look-up."""

    def __init__(self, services: Services, *, source: Header, provider: Provider, rules: AssertionRules, remember: int) -> None:
        self.challenges = {"saml": "SAML"}
        self.missing = ("assertion_missing", "The request carries no SAML assertion.")
        self.reads = (source,)
        self._wall = services.clock.wall
        self._source = source
        self._provider = provider
        self._rules = rules
        self._known: Memo[bytes, _Known] = Memo(remember)
        self._refused: Memo[bytes, BadAssertion] = Memo(_REFUSED)

    def verify(self, exchange: Exchange) -> Verdict:
        value = self._source.credential(exchange.request)
        if value is None:
            return None
        if self._source.name == "authorization":
            scheme, _, value = value.partition(" ")
            if scheme.lower() != "saml":
                return None
        elif "," in value:
            raise BadRequest(f"The request has several {self._source.name} fields.", code="ambiguous_credentials")
        digest = sha256(value.encode("latin-1")).digest()
        now = self._wall()
        known = self._known.get(digest)
        if known is not None and now < known.until:
            return known.principal
        if now >= self._provider.until:
            raise Unavailable("The provider's metadata is out of date.", code="keys_unavailable")
        refused = self._refused.get(digest)
        if refused is not None:
            raise _refusal(refused)
        try:
            known = self._read(value.strip(), now)
        except BadAssertion as bad:
            if bad.code not in _PASSING:
                self._refused.put(digest, bad)
            raise _refusal(bad) from None
        self._known.put(digest, known)
        return known.principal

    def _read(self, text: str, now: float) -> _Known:
        try:
            root = parse(_decoded(text), _LONGEST)
            self._check_shape(root)
        except BadXml as error:
            raise BadAssertion("assertion_malformed", f"The assertion is malformed: {error}.") from None
        # Asked before the signature, so that a stranger's assertion costs no verification.
        issuer = root.find(f"{ASSERTION}Issuer")
        if issuer is None or (issuer.text or "").strip() != self._rules.issuer:
            raise BadAssertion("invalid_issuer", "The assertion is not from the expected provider.")
        signed = self._signed(root, now)
        until = self._rules.check(signed, now)
        return _Known(self._rules.principal(signed, self._source.name), until)

    def _check_shape(self, root: Any) -> None:
        """One assertion, one signature in its place, over all of it: nothing is left to wrap another assertion in or around."""
        if root.tag != f"{ASSERTION}Assertion":
            raise BadXml("its root is no assertion")
        identifier = root.get("ID")
        if not identifier or sum(node.get("ID") == identifier for node in root.iter()) != 1:
            raise BadXml("its ID is not its own")
        if sum(node.tag == f"{ASSERTION}Assertion" for node in root.iter()) != 1:
            raise BadXml("there are assertions in it")
        signatures = list(root.iter(f"{SIGNATURE}Signature"))
        if len(signatures) != 1 or signatures[0].getparent() is not root:
            raise BadXml("it does not have one signature, of its own")
        references = list(signatures[0].iter(f"{SIGNATURE}Reference"))
        if [reference.get("URI") for reference in references] != [f"#{identifier}"]:
            raise BadXml("its signature does not cover it")
        if list(signatures[0].iter(f"{SIGNATURE}Object")):
            raise BadXml("there is more in its signature than a signature")
        transforms = [
            [one.get("Algorithm") for one in every.findall(f"{SIGNATURE}Transform")]
            for every in signatures[0].iter(f"{SIGNATURE}Transforms")
        ]
        if transforms != _TRANSFORMS:
            raise BadXml("its signature transforms it in an unusual way")

    def _signed(self, root: Any, now: float) -> Any:
        """What the signature covers, anew from its canonical form. Raises BadAssertion where no certificate verifies it."""
        data = etree.tostring(root)
        config = SignatureConfiguration(
            location="./",
            expect_references=1,
            signature_methods=_METHODS,
            digest_algorithms=_DIGESTS,
            verification_time=datetime.fromtimestamp(now, UTC),
        )
        for certificate in self._provider.certificates:
            signed = _verified(data, certificate, config)
            if signed is not None and signed.tag == root.tag and signed.get("ID") == root.get("ID"):
                return signed
        raise BadAssertion("invalid_signature", "The assertion's signature does not hold.")


def _verified(data: bytes, certificate: x509.Certificate, config: SignatureConfiguration) -> Any:
    try:
        # The certificate is the metadata's own; what the signature says of its key is not trusted.
        found = XMLVerifier().verify(data, x509_cert=certificate, id_attribute="ID", expect_config=config)
    except (SignXMLException, etree.LxmlError, ValueError, TypeError):
        return None
    return found.signed_xml if isinstance(found, VerifyResult) else None


def _decoded(text: str) -> bytes:
    if len(text) > _LONGEST * 4 // 3 + 4:
        raise BadXml("it is too long")
    if _is_base64(text) is None:
        raise BadXml("it is not base64")
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error:
        raise BadXml("it is not base64") from None


def _refusal(bad: BadAssertion) -> Unauthorized:
    error = ForeignCredential if bad.code == "invalid_issuer" else Unauthorized
    challenge = f'SAML error="invalid_assertion", error_description="{bad.description}"'
    return error(bad.description, code=bad.code, headers=[("www-authenticate", challenge)])
