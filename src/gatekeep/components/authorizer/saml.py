"""SAML: the configuration of SAML 2.0 bearer assertions. What it does at work is in saml_verifier.py."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ...errors import to_install
from ...sources import header
from .authenticator import Authenticator, Opening, Verifier
from .jwt import ANY, Anything, checked_strings

if TYPE_CHECKING:
    from .saml_metadata import Provider

__all__ = ["SAML"]


@dataclass(frozen=True, eq=False)
class SAML(Authenticator):
    """SAML 2.0 assertions of one identity provider, signed, in base64, after the word SAML in Authorization.

    Needs `pip install "gatekeep[saml]"`. `leeway` is seconds. Raises ConfigurationError for metadata of no use.
    """

    idp_metadata: str | bytes | Path = field(repr=False)
    """The provider's metadata (SAML V2.0 Metadata §2.4): the XML itself, or the file that has it."""
    audience: str | Collection[str]
    """Our own entity ids, one of which each AudienceRestriction must name."""
    recipient: str | Collection[str] | Literal[Anything.ANY]
    """Who may be the Recipient of a bearer confirmation (SAML V2.0 Profiles §3.3); ANY checks nothing."""
    header: str = field(default="authorization", kw_only=True)
    """The field that has it; in any other than Authorization the assertion stands bare."""
    roles: str | None = field(default=None, kw_only=True)
    """The attribute whose values are the caller's roles."""
    scopes: str | None = field(default=None, kw_only=True)
    """The attribute whose values, with spaces between them, are the caller's scopes."""
    leeway: float = field(default=10.0, kw_only=True)
    """By how much clocks may differ."""
    remember: int = field(default=10_000, kw_only=True)
    """How many verified assertions are remembered."""

    _provider: Provider = field(init=False, repr=False)

    def check(self) -> None:
        checked_strings(self, "audience", self.audience)
        if self.recipient is not ANY:
            checked_strings(self, "recipient", self.recipient)
        for name in ("roles", "scopes"):
            given: object = getattr(self, name)
            if not (given is None or (isinstance(given, str) and given)):
                raise self.mistake(f"{name}={given!r} is not the name of an attribute")
        for name, least in (("leeway", 0.0), ("remember", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < 1e9:
                raise self.mistake(f"{name}={value!r} is not a number from {least:g} up")
        self.check_field("header")
        try:
            from .saml_metadata import read_metadata
        except ImportError as error:
            raise self.mistake(f"{error.name} is not installed", fix=to_install("saml")) from None
        try:
            text = self.idp_metadata.read_bytes() if isinstance(self.idp_metadata, Path) else self.idp_metadata
            object.__setattr__(self, "_provider", read_metadata(text))
        except (ValueError, OSError) as error:
            raise self.mistake(f"idp_metadata: {error}") from None

    def open(self, opening: Opening) -> Verifier:
        from .saml_assertion import AssertionRules
        from .saml_verifier import AssertionVerifier

        rules = AssertionRules(
            issuer=self._provider.entity_id,
            audience=frozenset([self.audience] if isinstance(self.audience, str) else self.audience),
            recipient=None
            if self.recipient is ANY
            else frozenset([self.recipient] if isinstance(self.recipient, str) else self.recipient),
            leeway=self.leeway,
            roles=self.roles,
            scopes=self.scopes,
        )
        return AssertionVerifier(
            opening.services, source=header(self.header), provider=self._provider, rules=rules, remember=int(self.remember)
        )
