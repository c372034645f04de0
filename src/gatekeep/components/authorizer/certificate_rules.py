"""CertificateRules: which certificates are taken, and whom they stand for."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from cryptography import x509

from ...exchange import Principal
from .certificate import Certificate

__all__ = ["BadRule", "CertificateRules"]

_MEMBERS = frozenset({"owner", "scopes", "roles"})
_is_digest = re.compile(r"(?:[0-9a-f]{2}:?){31}[0-9a-f]{2}").fullmatch
_KINDS = ("dns", "uri", "email", "ip")


class BadRule(ValueError):
    """What is no rule, and why."""


class _Grant(NamedTuple):
    """Whom a rule stands for: by its own name where it has one."""

    owner: str | None = None
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()


class _Subject(NamedTuple):
    """A distinguished name, attribute by attribute; None for any value."""

    parts: tuple[frozenset[tuple[x509.ObjectIdentifier, str | None]], ...]
    grant: _Grant

    def holds(self, name: x509.Name) -> bool:
        rdns = name.rdns
        return len(rdns) == len(self.parts) and all(
            len(rdn) == len(part) and all((one.oid, one.value) in part or (one.oid, None) in part for one in rdn)
            for rdn, part in zip(rdns, self.parts, strict=True)
        )


class CertificateRules:
    """Rules by kind ("subjects", "names", "fingerprints"), the exact ones first. Raises ValueError for what is none."""

    def __init__(self, given: Mapping[str, Collection[str] | Mapping[str, Any]], *, everybody: bool) -> None:
        self._everybody = _Grant() if everybody else None
        self._fingerprints = {_digest(rule): grant for rule, grant in _granted("fingerprints", given["fingerprints"])}
        self._names: dict[str, _Grant] = {}
        self._suffixes: list[tuple[str, _Grant]] = []
        self._prefixes: list[tuple[str, _Grant]] = []
        for rule, grant in _granted("names", given["names"]):
            self._add_name(rule, grant)
        self._subjects = [_Subject(_parts(rule), grant) for rule, grant in _granted("subjects", given["subjects"])]

    def _add_name(self, rule: str, grant: _Grant) -> None:
        kind, _, name = rule.partition(":")
        if kind not in _KINDS or not name:
            raise BadRule(f"names: {rule!r} does not start with one of {', '.join(f'{kind}:' for kind in _KINDS)}")
        if kind == "dns":
            name = name.lower()
            if name.startswith("*."):
                self._suffixes.append((name[1:], grant))
                return
        elif kind == "uri" and name.endswith("/*"):
            self._prefixes.append((f"uri:{name[:-1]}", grant))
            return
        elif kind == "ip":
            name = str(ipaddress.ip_address(name))
        if "*" in name:
            raise BadRule(f'names: {rule!r}: a "*" is a whole first label of dns:, or the last part of uri:')
        self._names[f"{kind}:{name}"] = grant

    def principal(self, certificate: Certificate) -> Principal | None:
        """Whom it stands for, by the first rule that holds; None by none."""
        grant = self._fingerprints.get(certificate.fingerprint) or self._by_name(certificate) or self._by_subject(certificate)
        if grant is None:
            return None
        fallback = (certificate.subject, *certificate.names, f"sha256:{certificate.fingerprint}")
        return Principal(
            "mtls",
            # An owner is the same whoever signed for it; a name is its authority's word.
            "" if grant.owner else certificate.issuer,
            grant.owner or next(filter(None, fallback)),
            scopes=grant.scopes,
            roles=grant.roles,
            claims=_claims(certificate),
        )

    def _by_name(self, certificate: Certificate) -> _Grant | None:
        for name in certificate.names:
            if name in self._names:
                return self._names[name]
            if name.startswith("dns:"):
                rest = name[4:].partition(".")[1:]
                for suffix, grant in self._suffixes:
                    if "".join(rest) == suffix:
                        return grant
            for prefix, grant in self._prefixes:
                if name.startswith(prefix) and "/../" not in f"{name}/":
                    return grant
        return None

    def _by_subject(self, certificate: Certificate) -> _Grant | None:
        name = certificate.x509.subject
        return next((rule.grant for rule in self._subjects if rule.holds(name)), self._everybody)


def _claims(certificate: Certificate) -> Mapping[str, Any]:
    claims: dict[str, Any] = {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "serial": f"{certificate.x509.serial_number:x}",
        "fingerprint": certificate.fingerprint,
        "not_before": certificate.start,
        "not_after": certificate.end,
    }
    for kind in _KINDS:
        found = tuple(name.partition(":")[2] for name in certificate.names if name.startswith(f"{kind}:"))
        if found:
            claims[kind] = found
    return MappingProxyType(claims)


def _granted(kind: str, rules: object) -> list[tuple[str, _Grant]]:
    if isinstance(rules, str) or not isinstance(rules, Collection):
        raise BadRule(f"{kind}={rules!r} is not a collection")
    for rule in rules:
        if not isinstance(rule, str) or not rule:
            raise BadRule(f"{kind}: {rule!r} is not a string")
    return [(rule, _grant(kind, rules[rule]) if isinstance(rules, Mapping) else _Grant()) for rule in rules]


def _grant(kind: str, whose: object) -> _Grant:
    if isinstance(whose, str) and whose:
        return _Grant(whose)
    if not isinstance(whose, Mapping) or not _MEMBERS.issuperset(whose):
        raise BadRule(f'{kind}: {whose!r} is neither a name nor {{"owner": ..., "scopes": ..., "roles": ...}}')
    owner = whose.get("owner")
    if not (owner is None or (isinstance(owner, str) and owner)):
        raise BadRule(f"{kind}: the owner {owner!r} is not a name")
    several = [whose.get(name, ()) for name in ("scopes", "roles")]
    for values in several:
        if isinstance(values, str) or not isinstance(values, Collection) or not all(isinstance(one, str) for one in values):
            raise BadRule(f"{kind}: scopes and roles are collections of strings")
    return _Grant(owner, frozenset(several[0]), frozenset(several[1]))


def _digest(text: str) -> str:
    digest = text.lower()
    if _is_digest(digest) is None:
        raise BadRule(f"fingerprints: {text!r} is not a SHA-256 of 64 hexadecimal digits")
    return digest.replace(":", "")


def _parts(text: str) -> tuple[frozenset[tuple[x509.ObjectIdentifier, str | None]], ...]:
    try:
        name = x509.Name.from_rfc4514_string(text)
    except ValueError:
        raise BadRule(f"subjects: {text!r} is not a distinguished name such as CN=alice,O=Acme") from None
    return tuple(frozenset((one.oid, None if one.value == "*" else str(one.value)) for one in rdn) for rdn in name.rdns)
