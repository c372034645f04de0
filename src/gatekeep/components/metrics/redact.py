"""Secrets in query strings: parameters whose values are replaced before a query string leaves the process."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import unquote_plus

__all__ = ["SECRET_PARAMETERS", "redacted"]

SECRET_PARAMETERS = frozenset(
    {
        # OpenTelemetry semantic conventions, url.query
        "awsaccesskeyid",
        "signature",
        "sig",
        "x-goog-signature",
        # Signature Version 4 in the query
        "x-amz-credential",
        "x-amz-security-token",
        "x-amz-signature",
        # OAuth 2.0 (RFC 6749, RFC 6750 §2.3), OpenID Connect, SAML
        "access_token",
        "client_secret",
        "code",
        "id_token",
        "refresh_token",
        "samlresponse",
        # What APIs call theirs
        "api_key",
        "apikey",
        "auth",
        "key",
        "jwt",
        "password",
        "passwd",
        "secret",
        "token",
    }
)
"""Lower case."""


def redacted(query_string: str, secret: Collection[str] = SECRET_PARAMETERS) -> str:
    """The query string with `REDACTED` for the values of secret parameters, everything else as it was sent."""
    if "=" not in query_string:
        return query_string
    return "&".join([_redacted(pair, secret) for pair in query_string.split("&")])


def _redacted(pair: str, secret: Collection[str]) -> str:
    name, equals, _ = pair.partition("=")
    plain = unquote_plus(name) if "%" in name or "+" in name else name
    return f"{name}=REDACTED" if equals and plain.lower() in secret else pair
