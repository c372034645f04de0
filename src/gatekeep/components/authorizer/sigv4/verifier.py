"""SignatureVerifier: Signature Version 4 at work. Cheap checks first: a body is read only for a known key, in time and scope."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from hashlib import sha256
from hmac import compare_digest
from typing import cast

from ....component import Services
from ....effects import Flow, is_flow
from ....errors import BadRequest, Unauthorized
from ....exchange import Exchange, Principal
from ....message import Request
from ....sources import Header, Query
from ....stores import Bucket, BucketStore, LocalBucketStore, Taken
from ..authenticator import Verdict, Verifier
from .canonical import (
    canonical_query,
    canonical_request,
    normal_path,
    quoted_path,
    respelled_path,
    respelled_query,
    signature,
)
from .credential import Credentials, Known, is_access_key
from .payload import EMPTY, UNSIGNED, PayloadCheck, bodiless, is_digest, mismatch
from .presented import CHALLENGE, TOKEN, Presented, presented, refusal
from .rules import Rules

__all__ = ["SignatureVerifier"]

_log = logging.getLogger("gatekeep.authorizer")

_is_plain = re.compile(rb"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?|/").fullmatch
"""A path that is its own canonical form."""
_needs_no_escape = re.compile(r"[/A-Za-z0-9._~-]*").fullmatch


class SignatureVerifier(Verifier):
    """Requests signed in the Authorization field, or presigned in the query."""

    def __init__(self, services: Services, credentials: Credentials, rules: Rules) -> None:
        self.challenges = {"sigv4": CHALLENGE}
        self.missing = ("signature_missing", "The request is not signed.")
        self.reads = (Header("authorization"), Header("x-amz-security-token"), Query("X-Amz-Signature"), Query(TOKEN))
        self._wall = services.clock.wall
        self._store = services.store
        self._credentials = credentials
        self._rules = rules

    def verify(self, exchange: Exchange) -> Verdict | Flow[Verdict]:
        rules = self._rules
        # What was signed is the request as it came, whatever components have made of it since.
        request = exchange.original
        found = presented(request, rules.require, in_query=rules.presigned)
        if found is None:
            return None
        now = self._wall()
        self._check_claims(found, now)
        known = self._credentials.find(found.claim.access_key, found.token, exchange.monotonic)
        if is_flow(known):
            return self._look_up(exchange, found, known)
        return self._judge(exchange, found, cast("Known | None", known))

    def _look_up(self, exchange: Exchange, found: Presented, looking: Flow[Known | None]) -> Flow[Verdict]:
        known = yield from looking
        verdict = self._judge(exchange, found, known)
        return (yield from verdict) if is_flow(verdict) else cast(Verdict, verdict)

    def _check_claims(self, found: Presented, now: float) -> None:
        rules = self._rules
        claim = found.claim
        if claim.region not in rules.regions:
            raise refusal("invalid_scope", "The scope of the credential is of another region.")
        if claim.service != rules.service:
            raise refusal("invalid_scope", "The scope of the credential is of another service.")
        if found.moment - rules.skew > now:
            raise refusal("signature_not_yet_valid", "The signature is of a time that has not come yet.")
        if found.expires is not None and found.expires > rules.max_expires:
            raise refusal("signature_malformed", f"X-Amz-Expires is more than {rules.max_expires:g} seconds.")
        if now > self._until(found):
            raise refusal("signature_expired", "The signature is too old.")
        if is_access_key(claim.access_key) is None:
            raise _unknown()

    def _until(self, found: Presented) -> float:
        return found.moment + (self._rules.skew if found.expires is None else found.expires)

    def _judge(self, exchange: Exchange, found: Presented, known: Known | None) -> Verdict | Flow[Verdict]:
        known = self._good(found, known)
        payload = self._payload(found)
        if payload == UNSIGNED:
            self._check_signature(exchange, found, known, payload)
            return self._conclude(exchange, found, known)
        request = _unread(exchange)
        if request.body is not None:
            self._check_whole(exchange, found, known, payload, request.body)
            return self._conclude(exchange, found, known)
        if bodiless(request, found.fields):
            payload = payload or EMPTY
            self._check_signature(exchange, found, known, payload)
            if payload != EMPTY:  # not left to the reading: apps don't read where there is nothing to be read
                raise mismatch()
            if request.protocol == "wsgi":  # whose servers give no more than the head says
                return self._conclude(exchange, found, known)
        elif payload is None or not self._rules.stream:
            return self._read(exchange, found, known, payload, request)
        else:
            self._check_signature(exchange, found, known, payload)
        if not request.handshake:
            request.inspect(PayloadCheck(payload))
        return self._conclude(exchange, found, known)

    def _good(self, found: Presented, known: Known | None) -> Known:
        """What is known of the access key, if it holds for this request."""
        if known is None:
            raise _unknown()
        if known.expires <= self._wall():
            raise refusal("session_token_expired", "The credentials have expired.")
        if not known.takes(found.token):
            raise refusal("session_token_invalid", "The session token is not that of the access key.")
        return known

    def _payload(self, found: Presented) -> str | None:
        """The hash that is said to be the body's, or UNSIGNED; None where it is signed without being told."""
        payload = found.payload
        if payload is None:
            return self._rules.absent_payload(presigned=found.expires is not None)
        if payload == UNSIGNED:
            if not self._rules.unsigned_payload:
                raise refusal("payload_not_signed", "The body must be signed.")
        elif is_digest(payload) is None:
            raise refusal("unsupported_payload", "The body is signed in a way that is not accepted: send its SHA-256.")
        return payload

    def _read(self, exchange: Exchange, found: Presented, known: Known, payload: str | None, request: Request) -> Flow[Verdict]:
        if payload is not None:  # a forged signature is not worth a body
            self._check_signature(exchange, found, known, payload)
        body = yield from request.read(exchange.site.max_body)
        self._check_whole(exchange, found, known, payload, body)
        verdict = self._conclude(exchange, found, known)
        return (yield from verdict) if is_flow(verdict) else cast(Verdict, verdict)

    def _check_whole(self, exchange: Exchange, found: Presented, known: Known, payload: str | None, body: bytes) -> None:
        digest = sha256(body).hexdigest()
        self._check_signature(exchange, found, known, payload or digest)
        if payload is not None and not compare_digest(digest, payload):
            raise mismatch()

    def _check_signature(self, exchange: Exchange, found: Presented, known: Known, payload: str) -> None:
        request = exchange.original
        claim = found.claim
        key = known.key(claim.date, claim.region, claim.service)
        path = self._path(request)
        lines = found.lines
        for query in self._queries(found):
            canonical = canonical_request(request.method, path, query, lines, claim.signed, payload)
            if compare_digest(signature(key, found.time, found.scope, canonical), found.signature):
                return
        raise refusal("signature_mismatch", "The signature does not hold.")

    def _queries(self, found: Presented) -> Iterator[str]:
        """The canonical forms that the query may have been signed in: as it was sent, or spelled anew."""
        query = found.query
        without = ("X-Amz-Signature",) if found.expires is not None else ()
        # A session token may have been added to a presigned request afterwards.
        forms = (without, (*without, TOKEN)) if without and found.token is not None else (without,)
        for form in forms:
            yield canonical_query(query, form)
        if not self._rules.strict:
            query = respelled_query(query)
            for form in forms:
                yield canonical_query(query, form)

    def _path(self, request: Request) -> str:
        raw = request.raw_path
        if raw is None:
            path = request.native_path if request.protocol == "asgi" else request.root_path + request.path
            if _needs_no_escape(path) is None:
                _log.warning(
                    "SigV4: the server does not say how the path %r was spelled (no RAW_URI, REQUEST_URI or raw_path that fits), "
                    "so its signature can't be checked",
                    path,
                )
                raise refusal("path_unverifiable", "The signature over this path can't be checked here.")
            raw = path.encode()
        if _is_plain(raw) is not None:
            return raw.decode("ascii")
        rules = self._rules
        if rules.normalize:
            normal = normal_path(raw)
            if rules.strict and normal != (raw or b"/"):
                # Other paths come to the same signature, but not to the same view.
                raise refusal("path_not_normal", "A signed path has no dot segments and no empty ones.")
            raw = normal
        if rules.encode_once:
            return (raw or b"/").decode("latin-1") if rules.strict else respelled_path(raw)
        return quoted_path(raw)

    def _conclude(self, exchange: Exchange, found: Presented, known: Known) -> Principal | Flow[Verdict]:
        principal = known.of_field if found.expires is None else known.of_query
        if not self._rules.once or self._asked_before(exchange):
            return principal
        exchange.state[self] = True
        left = self._until(found) - self._wall() + 1.0
        # One token, and the next when the signature has expired.
        bucket = Bucket(f"sigv4:{found.signature}", 1.0 / left, 1.0)
        store = self._store
        if isinstance(store, LocalBucketStore):
            _check_first(store.take_now([bucket], exchange.monotonic))
            return principal
        return self._take(principal, cast(BucketStore, store), bucket)

    def _asked_before(self, exchange: Exchange) -> bool:
        """Whether this is the second half of a request whose path was rewritten, and the first half has used the signature up."""
        return exchange.outer is not None and self in exchange.outer.state

    def _take(self, principal: Principal, store: BucketStore, bucket: Bucket) -> Flow[Verdict]:
        _check_first((yield from store.take([bucket])))
        return principal


def _check_first(taken: Taken) -> None:
    if taken.refused is not None:
        raise refusal("signature_replayed", "The signature was used already.")


def _unknown() -> Unauthorized:
    return refusal("unknown_access_key", "The access key is not known.")


def _unread(exchange: Exchange) -> Request:
    """The request whose body is the client's, and what the app will read from."""
    request = exchange.original
    if request.body is None and exchange.request is not request:
        request = exchange.request
        if request.body is not None:
            raise BadRequest("The body was replaced before its signature was checked.", code="body_unverifiable")
    return request
