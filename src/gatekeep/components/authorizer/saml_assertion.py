"""What an assertion must say (SAML V2.0 Core §2.3), and the Principal that it makes. The signature is not looked at here."""

from __future__ import annotations

from math import inf
from typing import Any, NoReturn

from ...exchange import Principal
from .frozen import frozen
from .saml_xml import ASSERTION, BadXml, moment, text_of

__all__ = ["AssertionRules", "BadAssertion"]

_BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
_ENTITY = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
_CONDITIONS = frozenset({f"{ASSERTION}AudienceRestriction", f"{ASSERTION}ProxyRestriction"})


class BadAssertion(Exception):
    """Why an assertion is refused: a stable code, and a sentence for the client that repeats nothing of it."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(code)
        self.code = code
        self.description = description


class AssertionRules:
    """The rules of one SAML authenticator; a recipient of None is not checked."""

    def __init__(
        self,
        *,
        issuer: str,
        audience: frozenset[str],
        recipient: frozenset[str] | None,
        leeway: float,
        roles: str | None,
        scopes: str | None,
    ) -> None:
        self.issuer = issuer
        self._audience = audience
        self._recipient = recipient
        self._leeway = leeway
        self._roles = roles
        self._scopes = scopes

    def check(self, assertion: Any, now: float) -> float:
        """Raise BadAssertion unless it holds at `now`, Unix time; returns until when it does."""
        try:
            if assertion.get("Version") != "2.0":
                _malformed("its version is not 2.0")
            self._check_issuer(assertion)
            until = min(self._conditions(assertion, now), self._confirmation(assertion, now))
            for statement in assertion.findall(f"{ASSERTION}AuthnStatement"):
                until = min(until, self._in_time(statement, now, end="SessionNotOnOrAfter"))
        except BadXml as error:
            _malformed(str(error))
        return until

    def _check_issuer(self, assertion: Any) -> None:
        issuer = _only(assertion, "Issuer")
        if issuer.get("Format", _ENTITY) != _ENTITY or text_of(issuer) != self.issuer:
            raise BadAssertion("invalid_issuer", "The assertion is not from the expected provider.")

    def _in_time(self, element: Any, now: float, *, end: str = "NotOnOrAfter") -> float:
        """Until when, by an element's attributes."""
        start = moment(element, "NotBefore")
        if start is not None and start - self._leeway > now:
            raise BadAssertion("assertion_not_yet_valid", "The assertion is not valid yet.")
        until = moment(element, end)
        if until is None:
            return inf
        if now >= until + self._leeway:
            raise BadAssertion("assertion_expired", "The assertion has expired.")
        return until + self._leeway

    def _conditions(self, assertion: Any, now: float) -> float:
        """Every condition must be met; one that is not known can't be (§2.5.1.1). OneTimeUse can't be met by what is cached."""
        conditions = _only(assertion, "Conditions")
        until = self._in_time(conditions, now)
        meant = False
        for condition in conditions:
            if condition.tag not in _CONDITIONS:
                raise BadAssertion("invalid_condition", "The assertion has a condition that can't be met here.")
            if condition.tag == f"{ASSERTION}AudienceRestriction":
                named = {text_of(audience) for audience in condition.findall(f"{ASSERTION}Audience")}
                meant = not named.isdisjoint(self._audience)
                if not meant:
                    break
        if not meant:
            raise BadAssertion("invalid_audience", "The assertion is meant for another audience.")
        return until

    def _confirmation(self, assertion: Any, now: float) -> float:
        """One bearer confirmation must hold: for whom it is, and in time (Profiles §3.3, §4.1.4.2)."""
        subject = _only(assertion, "Subject")
        late: BadAssertion | None = None
        for confirmation in subject.findall(f"{ASSERTION}SubjectConfirmation"):
            data = confirmation.findall(f"{ASSERTION}SubjectConfirmationData")
            if confirmation.get("Method") != _BEARER or len(data) != 1 or data[0].get("NotBefore") is not None:
                continue
            if self._recipient is not None and data[0].get("Recipient") not in self._recipient:
                continue
            try:
                until = self._in_time(data[0], now)
            except BadAssertion as error:
                late = error
                continue
            if until < inf:
                return until
        raise late or BadAssertion("invalid_confirmation", "The assertion's bearer is not confirmed for this recipient.")

    def principal(self, assertion: Any, proof: str) -> Principal:
        """Whom an assertion that holds is about. Raises BadAssertion where it names nobody."""
        try:
            name = _only(_only(assertion, "Subject"), "NameID")
            who = text_of(name)
            attributes = _attributes(assertion)
        except BadXml as error:
            _malformed(str(error))
        if not who:
            _malformed("its NameID is empty")
        session = [statement.get("SessionIndex") for statement in assertion.findall(f"{ASSERTION}AuthnStatement")]
        claims: dict[str, Any] = {**attributes, "name_id_format": name.get("Format")}
        if session and session[0]:
            claims["session_index"] = session[0]
        scopes = " ".join(attributes.get(self._scopes, ())) if self._scopes is not None else ""
        return Principal(
            "saml",
            self.issuer,
            who,
            scopes=frozenset(scopes.split()),
            roles=frozenset(attributes.get(self._roles, ()) if self._roles is not None else ()),
            claims=frozen(claims),
            proof=proof,
        )


def _attributes(assertion: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for statement in assertion.findall(f"{ASSERTION}AttributeStatement"):
        for attribute in statement.findall(f"{ASSERTION}Attribute"):
            name = attribute.get("Name")
            if not name or name in found:
                raise BadXml("an attribute has no name, or one that another has")
            found[name] = ["".join(value.itertext()).strip() for value in attribute.findall(f"{ASSERTION}AttributeValue")]
    return found


def _only(element: Any, name: str) -> Any:
    found = element.findall(ASSERTION + name)
    if len(found) != 1:
        raise BadXml(f"it does not have one {name}")
    return found[0]


def _malformed(why: str) -> NoReturn:
    raise BadAssertion("assertion_malformed", f"The assertion is malformed: {why}.")
