"""Answers of the user's own in place of refusals: by which names they may be given, and what is wrong with others."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches

from .errors import ConfigurationError, Denied, Origin
from .message import Response

__all__ = ["GatewayResponse", "checked_responses", "known_codes", "unknown_codes"]

GatewayResponse = Callable[[Denied, Response], Response]
"""Of the refusal and the standard answer it makes another."""

_CLASS = re.compile("[1-5]xx")
_STATUS = re.compile("[1-5][0-9][0-9]")
_NEAR = 0.87
"""How like a known code another is that is taken for a slip: two of eight letters in the wrong order."""

_CODES = frozenset(
    {
        "ambiguous_credentials",
        "ambiguous_path",
        "api_key_disabled",
        "api_key_expired",
        "api_key_invalid",
        "api_key_missing",
        "assertion_expired",
        "assertion_malformed",
        "assertion_missing",
        "assertion_not_yet_valid",
        "authorizer_failed",
        "bad_content_length",
        "body_unverifiable",
        "cache_wait",
        "certificate_expired",
        "certificate_malformed",
        "certificate_missing",
        "certificate_not_yet_valid",
        "certificate_unknown",
        "certificate_untrusted",
        "client_disconnected",
        "conflicting_framing",
        "credentials_invalid",
        "credentials_missing",
        "explicit_deny",
        "field_not_signed",
        "identity_missing",
        "implicit_deny",
        "insufficient_claims",
        "insufficient_role",
        "insufficient_scope",
        "introspection_unavailable",
        "invalid_audience",
        "invalid_claim",
        "invalid_condition",
        "invalid_confirmation",
        "invalid_issuer",
        "invalid_scope",
        "invalid_signature",
        "ip_denied",
        "keys_unavailable",
        "length_required",
        "malformed_body",
        "no_usage_plan",
        "origin_missing",
        "origin_refused",
        "overloaded",
        "path_not_normal",
        "path_unverifiable",
        "payload_mismatch",
        "payload_not_signed",
        "quota_exceeded",
        "refresh_forbidden",
        "response_too_large",
        "revocations_unavailable",
        "session_token_expired",
        "session_token_invalid",
        "signature_expired",
        "signature_malformed",
        "signature_mismatch",
        "signature_missing",
        "signature_not_yet_valid",
        "signature_replayed",
        "token_expired",
        "token_inactive",
        "token_malformed",
        "token_missing",
        "token_not_yet_valid",
        "token_revoked",
        "token_too_old",
        "too_many_in_flight",
        "unknown_access_key",
        "unknown_client",
        "unknown_key",
        "unsupported_algorithm",
        "unsupported_payload",
        "unsupported_signature",
        "wrong_type",
    }
)
"""The codes that refusals are made with beside those of their classes."""


def known_codes() -> frozenset[str]:
    """Every code of gatekeep's own, and those of all classes of refusals that there are by now."""
    codes, kinds = set(_CODES), [Denied]
    while kinds:
        kind = kinds.pop()
        codes.add(kind.code)
        kinds += kind.__subclasses__()
    return frozenset(codes)


def checked_responses(given: Mapping[str, GatewayResponse] | None, origin: Origin) -> dict[str, GatewayResponse]:
    """The functions by code or class. Raises ConfigurationError for what is none, and for what is nearly a known code.

    Any other code may be that of a component of the user's, and is taken as it is.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f"Gateway: gateway_responses={given!r} is not a mapping",
            origin=origin,
            fix='gateway_responses={"throttled": function}',
        )
    for name, function in given.items():
        if not callable(function):
            raise ConfigurationError(
                f"Gateway: gateway_responses[{name!r}]={function!r} is not callable",
                origin=origin,
                fix="a function of the Denied and the standard Response",
            )
        fix = _meant(name)
        if fix is not None:
            raise ConfigurationError(f"Gateway: gateway_responses: {name!r} is no code", origin=origin, fix=fix)
    return dict(given)


def unknown_codes(responses: Mapping[str, GatewayResponse]) -> list[str]:
    """Names that no refusal known by now has: misspelt, or the codes of components of the user's."""
    known = known_codes()
    return [name for name in responses if name not in known and not _CLASS.fullmatch(name)]


def _meant(name: object) -> str | None:
    """What a name was meant to be that can't be right; None where it may be."""
    status = str(name)
    if _STATUS.fullmatch(status):
        return f'"{status[0]}xx", or a code such as "throttled"'
    if not isinstance(name, str):
        return 'a string, such as "throttled" or "4xx"'
    known = known_codes()
    lower = name.lower()
    if name in known or _CLASS.fullmatch(name):
        return None
    if _CLASS.fullmatch(lower):
        return f'"{lower}"'
    nearest = get_close_matches(lower, known, 1, _NEAR)
    if not nearest:
        return None
    return f'"{nearest[0]}"; a code of your own is known once a subclass of Denied has it'
