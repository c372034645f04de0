"""Secrets in URLs: parameters whose values are replaced before a query string or a path leaves the process."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import unquote_plus

__all__ = ["SECRET_PARAMETERS", "names_secrets", "redacted", "without_secrets"]

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


def names_secrets(template: str | None, secret: Collection[str]) -> bool:
    """Whether a path's template has a parameter of such a name."""
    return template is not None and any(f"{{{name}" in template.lower() for name in secret)


def without_secrets(path: str, params: Mapping[str, Any], secret: Collection[str] = SECRET_PARAMETERS) -> str:
    """The path with `REDACTED` for the segments that are values of secret parameters."""
    hidden = {str(value) for name, value in params.items() if name.lower() in secret}
    return "/".join("REDACTED" if segment in hidden else segment for segment in path.split("/")) if hidden else path
