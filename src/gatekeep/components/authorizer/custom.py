"""CustomAuthorizer: a function of the user's own that says who asks. What it does at work is in custom_verifier.py.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ...iam import LOCAL, Api
from ...sources import Header, Source
from .authenticator import Authenticator, Opening, Verifier
from .callables import UserCallable, is_callable
from .custom_events import EventFormat
from .custom_identity import Identity, identity_of
from .custom_verifier import CustomVerifier

__all__ = ["CustomAuthorizer"]

_LONGEST_TTL = 3600.0
_FORMATS = (None, "TOKEN", "1.0", "2.0")
_is_challenge = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+( [\x21-\x7e][\x20-\x7e]*)?").fullmatch  # RFC 9110 §11.6.1

Event: TypeAlias = Literal["TOKEN", "1.0", "2.0"]


@dataclass(frozen=True, eq=False)
class CustomAuthorizer(Authenticator):
    """Ask a function. What it answers is remembered for `ttl` seconds by the values of `identity`.

    It gets the Request, or with `event` the event that AWS' Lambda authorizers get, and answers a Principal, a bool, None
    (credentials unknown), {"isAuthorized": …} or an IAM policy. An error, a timeout or anything else is a 500.
    """

    function: UserCallable
    identity: Sequence[Source | str] | str = ()
    """header(…), query(…), cookie(…), or as AWS writes it. Where one is missing: 401, without a call."""
    ttl: float | None = None
    """Seconds from 0 (never remembered) to 3600; by default 300 with an identity, else 0."""
    event: Event | None = None
    """The format of the event: "TOKEN", or REQUEST in format "1.0" or "2.0"; None gives the Request itself."""
    timeout: float = 10.0
    """Seconds; for async and blocking functions."""
    validation: str | None = None
    """A regular expression that the whole first identity value must match, else 401 without a call."""
    challenge: str | None = None
    """WWW-Authenticate of its 401; by default Bearer where Authorization is in the identity, else Custom."""
    arn: str = LOCAL
    """The API's own ARN, which policies speak of: `{arn}/{stage}/{METHOD}/{path}`."""
    remember: int = 10_000
    """How many answers are remembered, and as many refusals."""

    def check(self) -> None:
        if not is_callable(self.function):
            raise self.mistake(f"{self.function!r} can't be called")
        ttl = (300.0 if self.identity else 0.0) if self.ttl is None else self.ttl
        for name, value, least, most in (
            ("ttl", ttl, 0.0, _LONGEST_TTL),
            ("timeout", self.timeout, 0.001, _LONGEST_TTL),
            ("remember", self.remember, 1, 10_000_000),
        ):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
                raise self.mistake(f"{name}={value!r} is not a number from {least:g} to {most:g}")
        if self.event not in _FORMATS:
            raise self.mistake(f"event={self.event!r} is no format", fix='"TOKEN", "1.0", "2.0", or None for the Request')
        identity = self._identity()
        if ttl and not identity:
            raise self.mistake(
                "answers can't be remembered without an identity", fix='identity=[header("Authorization")], or ttl=0'
            )
        if self.event == "TOKEN" and not (len(identity) == 1 and isinstance(identity[0].source, Header)):
            raise self.mistake("a TOKEN event has one header as its identity", fix='identity=[header("Authorization")]')
        if self.validation is not None:
            if not identity:
                raise self.mistake("validation needs an identity")
            try:
                re.compile(self.validation)
            except (re.error, TypeError) as error:
                raise self.mistake(f"validation={self.validation!r}: {error}") from None
        if self.challenge is not None and (not isinstance(self.challenge, str) or _is_challenge(self.challenge) is None):
            raise self.mistake(
                f"challenge={self.challenge!r} is not a scheme with or without parameters", fix='challenge="Bearer"'
            )
        try:
            Api(self.arn)
        except ValueError as error:
            raise self.mistake(f"arn: {error}") from None

    def _identity(self) -> tuple[Identity, ...]:
        given = [part.strip() for part in self.identity.split(",")] if isinstance(self.identity, str) else self.identity
        if isinstance(given, Source) or not isinstance(given, Sequence):
            raise self.mistake(f"identity={given!r} is not a list", fix='identity=[header("Authorization")]')
        try:
            return tuple(identity_of(one) for one in given)
        except ValueError as error:
            raise self.mistake(f"identity: {error}", fix='header("X-Tenant"), query("t"), cookie("session")') from None

    def open(self, opening: Opening) -> Verifier:
        identity = self._identity()
        by_authorization = any(one.source == Header("authorization") for one in identity)
        return CustomVerifier(
            opening,
            function=self.function,
            origin=self.origin,
            identity=identity,
            ttl=(300.0 if identity else 0.0) if self.ttl is None else self.ttl,
            event=None if self.event is None else EventFormat(self.event),
            timeout=self.timeout,
            validation=None if self.validation is None else re.compile(self.validation),
            challenge=self.challenge or ("Bearer" if by_authorization else "Custom"),
            api=Api(self.arn),
            remember=int(self.remember),
        )
