"""Webhook: an alarm's change of state as a signed JSON message to a URL, as Standard Webhooks say (standardwebhooks.com)."""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import json
import logging
import ssl
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event
from types import MappingProxyType

import httpx2

from ....component import caller
from ....errors import ConfigurationError, DependencyError, Origin
from ....showing import Shown
from .change import AlarmChange

__all__ = ["Webhook"]

_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which to try again."""
_LONGEST_PAUSE = 60.0
_PREFIX = "whsec_"


@functools.cache
def _tls() -> ssl.SSLContext:
    return httpx2.create_ssl_context()  # reads the certificate store: once per process


_unlogged: ContextVar[bool] = ContextVar("_unlogged", default=False)


def _is_anothers(_: logging.LogRecord) -> bool:
    return not _unlogged.get()


@contextmanager
def _without_httpx2_log() -> Iterator[None]:
    """httpx2 logs the URL of each request, which may be a secret here: nothing of it in this context, for others as ever."""
    logging.getLogger("httpx2").addFilter(_is_anothers)  # once, however often it is said
    token = _unlogged.set(True)
    try:
        yield
    finally:
        _unlogged.reset(token)


@dataclass(frozen=True)
class Webhook(Shown):
    """POSTs `{"type": "gatekeep.alarm", "timestamp": …, "data": {…}}`; data has the fields of AlarmChange.

    With a secret, the fields `webhook-id`, `webhook-timestamp` and `webhook-signature` (v1, HMAC-SHA256) stand with it. No
    redirect is followed. Raises ConfigurationError.
    """

    url: str = field(repr=False)
    """Not in repr() or logs: with some receivers whoever knows it may write."""
    secret: str | bytes | None = field(default=None, kw_only=True, repr=False)
    """ "whsec_" and base64, as receivers' libraries take it; or the key itself as bytes. At least 24 bytes."""
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), kw_only=True, repr=False)
    """Further header fields, such as Authorization."""
    timeout: float = field(default=5.0, kw_only=True)
    """Seconds for connecting, for sending and for the answer's head, each."""
    pauses: Sequence[float] = field(default=(1.0, 5.0, 25.0), kw_only=True)
    """Seconds before each further try, where the first failed; a receiver's `Retry-After` up to a minute is waited for."""
    key: bytes | None = field(init=False, repr=False, compare=False)
    origin: Origin = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "origin", caller())
        try:
            parsed = httpx2.URL(self.url)
        except (httpx2.InvalidURL, TypeError):
            parsed = httpx2.URL("")
        if parsed.scheme not in ("https", "http") or not parsed.host:
            raise self._mistake("it has no http or https URL", fix='Webhook("https://ops.example.com/alarms")')
        if self.timeout <= 0 or any(pause < 0 for pause in self.pauses):
            raise self._mistake("timeout and pauses are seconds")
        object.__setattr__(self, "key", self._key())

    def _key(self) -> bytes | None:
        secret = self.secret
        if isinstance(secret, str):
            try:
                if not secret.startswith(_PREFIX):
                    raise binascii.Error
                secret = base64.b64decode(secret[len(_PREFIX) :], validate=True)
            except binascii.Error:
                raise self._mistake("secret is neither bytes nor whsec_ and base64") from None
        if secret is not None and len(secret) < 24:
            raise self._mistake(f"secret has {len(secret)} bytes", fix="secrets.token_bytes(32)")
        return secret

    def _mistake(self, message: str, fix: str = "") -> ConfigurationError:
        return ConfigurationError(f"Webhook: {message}", origin=self.origin, fix=fix)

    def __str__(self) -> str:
        return f"webhook {httpx2.URL(self.url).host}"

    def send(self, change: AlarmChange, stop: Event) -> None:
        """Deliver, waiting as long as that takes; once `stop` is set nothing is waited for. Raises DependencyError."""
        at = datetime.fromtimestamp(change.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        message = {"type": "gatekeep.alarm", "timestamp": at, "data": change.as_dict()}
        body = json.dumps(message, separators=(",", ":")).encode()
        message_id = f"msg_{uuid.uuid4().hex}"  # the same in every try: so a receiver knows a second one
        here = httpx2.URL(self.url).host in ("localhost", "127.0.0.1", "::1")
        client = httpx2.Client(timeout=self.timeout, follow_redirects=False, verify=_tls(), trust_env=not here)
        with _without_httpx2_log(), client:
            for pause in (*self.pauses, None):
                failure = self._try(client, message_id, body)
                if failure is None:
                    return
                why, asked = failure
                if pause is None or stop.wait(max(pause, asked)):
                    break
        raise DependencyError(f"{self}: {why}")

    def _try(self, client: httpx2.Client, message_id: str, body: bytes) -> tuple[str, float] | None:
        """None when it has arrived, else why not, and how many seconds to wait at least. Raises DependencyError for a refusal."""
        fields = {"content-type": "application/json", "user-agent": "gatekeep", **self.headers, **self._signed(message_id, body)}
        try:
            with client.stream("POST", self.url, content=body, headers=fields) as response:  # its body is of no interest
                status, retry_after = response.status_code, response.headers.get("retry-after", "")
        except httpx2.HTTPError as error:
            return f"{type(error).__name__}: {error}", 0.0
        if 200 <= status < 300:
            return None
        if status not in _AGAIN:
            raise DependencyError(f"{self} answered {status}")
        asked = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0
        return f"answered {status}", min(asked, _LONGEST_PAUSE)

    def _signed(self, message_id: str, body: bytes) -> Mapping[str, str]:
        # The time of the try, which receivers compare with their own clock: not that of the gateway's.
        now = int(datetime.now(UTC).timestamp())
        fields = {"webhook-id": message_id, "webhook-timestamp": str(now)}
        if self.key is not None:
            digest = hmac.digest(self.key, b"%s.%d.%s" % (message_id.encode(), now, body), hashlib.sha256)
            fields["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
        return fields
