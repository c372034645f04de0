"""SigV4: requests signed with AWS Signature Version 4, as clients of API Gateway with IAM authorization sign them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import inf

from ....effects import Blocking, Either, lift
from ....sources import header
from ....stores import BucketStore
from ....stores.workers import known_workers
from ..authenticator import Authenticator, Opening, Verifier
from .credential import Credential, Credentials, Lookup, is_access_key
from .rules import Rules
from .verifier import SignatureVerifier

__all__ = ["SigV4"]

_WEEK = 604_800.0
_BOUNDS = (
    ("max_expires", 1.0, _WEEK, "a number of seconds from 1 to 604800"),
    ("skew", 1.0, 86_400.0, "a number of seconds from 1 to 86400"),
    ("ttl", 0.0, 86_400.0, "a number of seconds from 0 to 86400"),
    ("remember", 1, inf, "a positive number"),
)


@dataclass(frozen=True, eq=False)
class SigV4(Authenticator):
    """Requests signed with a secret that both sides know (AWS4-HMAC-SHA256), in the Authorization field or presigned.

    `credentials`: by access key id a secret or a Credential; or a function (access key id, session token or None) that gives
    one, or None, whose answers are remembered for `ttl` seconds. `region` is one, or several.
    """

    credentials: Mapping[str, str | Credential] | Lookup = field(repr=False)
    region: str | Collection[str]
    service: str = "execute-api"
    presigned: bool = field(default=True, kw_only=True)
    """Whether a signature may stand in the query."""
    max_expires: float = field(default=_WEEK, kw_only=True)
    """The most seconds that a presigned request may ask for."""
    skew: float = field(default=300.0, kw_only=True)
    """Seconds by which clocks may differ, and that a signature in a field is good for."""
    unsigned_payload: bool = field(default=False, kw_only=True)
    """Whether UNSIGNED-PAYLOAD may stand for the body's hash."""
    stream: bool = field(default=True, kw_only=True)
    """Whether a body whose hash is signed is checked while the app reads it; else before the app is called."""
    strict: bool = field(default=True, kw_only=True)
    """Whether path and query must be spelled as they were signed; else what comes to the same canonical form will do."""
    normalize: bool = field(default=True, kw_only=True)
    """Whether paths are signed without dot segments and empty segments; S3's never are."""
    once: bool = field(default=False, kw_only=True)
    """Whether a signature is good for one request, and remembered in the gateway's store for as long as it could be replayed."""
    require_signed: Collection[str] = field(default=(), kw_only=True)
    """Fields that must be signed where they are, besides Host and x-amz-*."""
    ttl: float = field(default=5.0, kw_only=True)
    """Seconds that the answers of a look-up function are remembered."""
    remember: int = field(default=10_000, kw_only=True)
    """How many of them."""

    def check(self) -> None:
        self._check_credentials()
        regions: object = (self.region,) if isinstance(self.region, str) else self.region
        if not isinstance(regions, Collection) or not regions or not all(isinstance(one, str) and one for one in regions):
            raise self.mistake(f"region={self.region!r} is no region", fix='SigV4(credentials, "eu-west-1")')
        if not isinstance(self.service, str) or not self.service:
            raise self.mistake(f"service={self.service!r} is no service", fix='service="execute-api"')
        for name, least, most, unit in _BOUNDS:
            value: object = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
                raise self.mistake(f"{name}={value!r} is not {unit}")
        names: object = self.require_signed
        if isinstance(names, str) or not all(isinstance(name, str) and header(name).valid for name in self.require_signed):
            raise self.mistake(f"require_signed={names!r} are no header fields", fix='require_signed={"content-type"}')
        object.__setattr__(self, "require_signed", frozenset(name.lower() for name in self.require_signed))

    def _check_credentials(self) -> None:
        given = self.credentials
        if isinstance(given, Mapping):
            if not given:
                raise self.mistake("there are no credentials", fix='SigV4({"AKIA...": "secret"}, region="eu-west-1")')
            credentials: dict[str, Credential] = {}
            for place, (key, value) in enumerate(given.items()):
                # What is said of one names its place: no secret gets into a message.
                if not isinstance(key, str) or is_access_key(key) is None:
                    raise self.mistake(f"access key {place} is not up to 128 letters, digits and _.:@+=-")
                if isinstance(value, str) and value:
                    value = Credential(value)  # noqa: PLW2901
                if not isinstance(value, Credential):
                    raise self.mistake(f"access key {place} has neither a secret nor a Credential")
                credentials[key] = value
            object.__setattr__(self, "credentials", credentials)
        elif not (callable(given) or isinstance(given, (Either, Blocking))):
            raise self.mistake("credentials is neither a mapping nor a function", fix="lambda access_key, token: ...")

    def open(self, opening: Opening) -> Verifier:
        given = self.credentials
        if self.once:
            self._check_store(opening)
        if isinstance(given, Mapping):
            credentials = Credentials(dict(given), None, self.ttl, self.remember)  # type: ignore[arg-type]
        else:
            credentials = Credentials(None, lift(given, opening.protocol, origin=self.origin), self.ttl, self.remember)
        return SignatureVerifier(opening.services, credentials, self._rules())

    def _check_store(self, opening: Opening) -> None:
        store = opening.services.store
        if not isinstance(store, BucketStore):
            raise self.mistake(f"once: {store!r} can't remember signatures", fix='Gateway(..., store="memory://")')
        workers = known_workers(opening.services.workers) or 1
        if not store.shared and workers > 1:
            raise self.mistake(
                f"once: each of {workers} workers remembers for itself, so a signature is good for {workers} requests",
                fix='give them one store: Gateway(..., store="redis://..."), or store="host://" on one machine',
            )

    def _rules(self) -> Rules:
        s3 = self.service == "s3"
        return Rules(
            regions=frozenset((self.region,) if isinstance(self.region, str) else self.region),
            service=self.service,
            presigned=self.presigned,
            max_expires=self.max_expires,
            skew=self.skew,
            unsigned_payload=self.unsigned_payload,
            stream=self.stream,
            strict=self.strict,
            normalize=self.normalize and not s3,
            encode_once=s3,
            once=self.once,
            require=frozenset(self.require_signed),
        )
