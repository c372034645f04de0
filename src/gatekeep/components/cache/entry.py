"""Entry: one stored answer, ready-made in the form of its protocol, and the Response that it gives a client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from math import floor, inf
from typing import Any, Final, Literal

from ...message import Response
from .conditions import not_modified, range_holds
from .form import Form, Pair, overhead
from .policy import Header
from .ranges import partial, read_ranges

__all__ = ["Entry", "narrowed"]

_VALIDATABLE: Final = 600.0
"""Seconds that an entry is worth keeping past its time because the app may say that it still holds."""


class Entry:
    """A stored answer. `born`, `expires` and `due` are monotonic seconds (see Life).

    `etag` and `modified` are the app's validators. `epoch` counts the purges that it has outlived, `tags` name it to them.
    """

    # What most answers have in common stands in the class: to write all of it anew would cost every answer that is stored.
    status = 200
    etag: str | None = None
    modified: str | None = None
    tags: frozenset[str]
    revalidate_within = 0.0
    error_within = 0.0
    strict = False
    tag: str | None = None
    """The entity tag that clients see: the app's, or one of our own making, from the first hit on."""
    ready: list[Pair]
    """The fields of a hit, as they are until `until`; to be copied."""
    until = 0.0
    """When a look at the entry is due: its Age changes, or it is no longer fresh. At once, before there is anything ready."""

    _brief: tuple[list[Pair], list[Pair]] | None = None
    """What was `ready`, and what a 304 tells of it."""

    # As what is filed under a key (see Memory): where nothing varies an entry is all there is.
    names: tuple[str, ...] = ()
    size: int
    """Bytes that it takes, once it is filed with its key, as estimated."""
    made = 0.0
    """Monotonic seconds of its filing, where somebody asks."""
    used = False
    """Whether it was asked for since the last look."""
    kept = False
    """Whether it has left probation."""

    def __init__(
        self,
        form: Form,
        pairs: Sequence[Pair],
        body: bytes,
        status: int,
        etag: str | None,
        modified: str | None,
        tags: frozenset[str],
        epoch: int,
        born: float,
        expires: float,
        due: float,
        revalidate_within: float,
        error_within: float,
        strict: bool,
    ) -> None:
        self.form = form
        self.pairs = pairs
        self.body = body
        self.tags = tags
        self.epoch = epoch
        self.size = overhead(pairs) + len(body)
        self.says(status, etag, modified)
        self.lives(born, expires, due, revalidate_within, error_within, strict)

    def says(self, status: int, etag: str | None, modified: str | None) -> None:
        """Status and validators."""
        self.status = status
        self.etag = self.tag = etag
        self.modified = modified

    def lives(self, born: float, expires: float, due: float, revalidate_within: float, error_within: float, strict: bool) -> None:
        """Its times; says() comes first."""
        self.born = born
        self.expires = expires
        self.due = due
        self.revalidate_within = revalidate_within
        self.error_within = error_within
        self.strict = strict
        self.useless = expires + max(revalidate_within, error_within, _VALIDATABLE if self.validators else 0.0)
        """When nothing can be done with it any more; monotonic seconds."""

    @property
    def variants(self) -> Mapping[tuple[str | None, ...], Entry]:
        """By what a request says in the fields of `names`: there are none, and so it is the only one."""
        return {(): self}

    @property
    def validators(self) -> bool:
        """Whether the app can be asked if it still holds."""
        return self.etag is not None or self.modified is not None

    def field(self, name: str) -> str | None:
        """The first value of a field, by its lower-case name."""
        wanted = self.form.named(name)
        return next((_text(value) for key, value in self.pairs if key.lower() == wanted), None)

    def identify(self, kind: Literal["strong", "weak"] | None) -> None:
        """Give it an entity tag where it has none (RFC 9110 §8.8.3): a hash of the body, the same in every process."""
        pairs = self.pairs  # read first and written last: two threads that do this at once come to the same
        if self.tag is None and kind is not None and self.status == 200:
            digest = blake2b(self.body, digest_size=12).hexdigest()
            self.tag = f'"{digest}"' if kind == "strong" else f'W/"{digest}"'
            self.pairs = [*pairs, self.form.field("etag", self.tag)]

    def spoil(self) -> None:
        """Something newer is known of it: it is stale from now on."""
        self.until = self.due = self.expires = self.useless = -inf

    def prepare(self, now: float, extra: list[Pair]) -> None:
        """Make `ready` what a hit tells at `now`, and `until` when that changes."""
        born, expires = self.born, self.expires
        age = int(now - born) if now > born else 0
        left = floor(expires - now)  # RFC 9211 §2.4: less than zero for a stale one
        form = self.form
        self.ready = [*self.pairs, *extra, form.age(age), form.hit(left)]
        self.until = min(self.due, born + age + 1.0, max(now, expires - left))

    def told(self, now: float, status: Pair, extra: list[Pair]) -> list[Pair]:
        """Its fields with Age and another Cache-Status than a hit's."""
        return [*self.pairs, *extra, self.form.age(int(now - self.born) if now > self.born else 0), status]

    def hit(self, method: str, header: Header) -> Response:
        """The answer to a GET or HEAD before `until`, whose `header` has conditions (RFC 9110 §13.2.2) and no Range."""
        form, ready = self.form, self.ready
        if self.status == 200:
            modified = self.modified
            if modified is None and header("if-none-match") is None:
                modified = self.field("date")
            if not_modified(header, self.tag, modified):
                known = self._brief
                if known is None or known[0] is not ready:
                    known = self._brief = (ready, _untold(ready, form))
                return Response(304, form.headers.adopt(known[1].copy()), b"")
        return Response(self.status, form.headers.adopt(ready.copy()), self.body if method == "GET" else b"")

    def answer(self, method: str, header: Header | None, pairs: list[Pair]) -> Response:
        """The answer to a GET or HEAD with these fields, which it takes over; see narrowed."""
        status, body = self.status, self.body
        if header is not None and status == 200:
            modified = self.modified if self.modified is not None else self.field("date")
            status, pairs, body = narrowed(method, header, self.form, pairs, body, self.tag, modified)
        elif method != "GET":
            body = b""
        return Response(status, self.form.headers.adopt(pairs), body)


def narrowed(
    method: str, header: Header, form: Form, pairs: list[Pair], body: bytes, etag: str | None, modified: str | None
) -> tuple[int, list[Pair], bytes]:
    """A 200 as the client's conditions leave it (RFC 9110 §13.2.2): 304, 206, 416, or as it is; to HEAD without its body."""
    if not_modified(header, etag, modified):
        return 304, _untold(pairs, form), b""
    if method != "GET":
        return 200, pairs, b""
    wanted = header("range")
    if wanted is not None and range_holds(header("if-range"), etag, modified):
        parts = read_ranges(wanted, len(body))
        if parts is not None:
            return partial(pairs, body, parts, form)
    return 200, pairs, body


def _untold(pairs: list[Pair], form: Form) -> list[Pair]:
    """The fields without those that a 304 leaves with the client."""
    return [pair for pair in pairs if pair[0].lower() not in form.untold]


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
