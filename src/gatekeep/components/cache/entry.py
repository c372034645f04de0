"""Entry: one stored answer, ready-made in the form of its protocol, and the Response that it gives a client."""

from __future__ import annotations

from ...message import Response
from .form import Form
from .head import Answered
from .policy import age, matches

__all__ = ["Entry"]

_PER_FIELD = 150
_PER_ENTRY = 1_000
"""Bytes that Python's objects take beside the text that they hold, roughly."""


class Entry:
    """A stored answer. `stored` and `expires` are monotonic seconds; `size` is an estimate in bytes of what it occupies."""

    __slots__ = ("_age", "_form", "_pairs", "body", "etag", "expires", "size", "status", "stored", "used")

    def __init__(self, head: Answered, body: bytes, form: Form, stored: float, ttl: float) -> None:
        """Takes over the head's list of fields."""
        pairs = head.pairs
        if head.length is None and head.status != 204:  # RFC 9110 §8.6: never on a 204
            pairs.append(form.length(len(body)))
        self.status = head.status
        self.body = body
        self.etag = head.etag
        self.stored = stored
        self.expires = stored + ttl
        self.used = False
        """Whether it was ever served."""
        self.size = len(body) + head.size + len(pairs) * _PER_FIELD + _PER_ENTRY
        self._age = head.age
        self._form = form
        self._pairs = pairs

    def answer(self, method: str, if_none_match: str | None, now: float) -> Response:
        """The answer to a GET or HEAD at `now`: the whole, or 304 for a client that has it. Its header list is the caller's."""
        form = self._form
        pairs = self._pairs
        status = self.status
        body = self.body if method == "GET" else b""
        if if_none_match is not None and matches(if_none_match, self.etag):
            status, body = 304, b""
            pairs = [pair for pair in pairs if pair[0].lower() not in form.untold]
        told = form.age(age(self._age, self.stored, now))
        left = form.hit(int(self.expires - now))  # seconds, rounded down
        return Response(status, form.headers.adopt([*pairs, told, left]), body)
