"""Origins for tests of the cache: a view that answers as it is told, run by run, and says how often it ran."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from email.utils import formatdate
from typing import Any, NamedTuple

START = 1_000_000_000.0
"""Where FakeClock's wall time begins."""


def date(seconds: float = 0.0) -> str:
    """The HTTP date so many seconds after the test's beginning."""
    return formatdate(START + seconds, usegmt=True)


class Says(NamedTuple):
    """One answer of an origin; `fields` as text, "name: value"."""

    fields: Sequence[str] = ()
    status: int = 200
    body: bytes | Iterable[bytes] | None = None


class Origin:
    """Gives its answers one after the other, the last again and again. The body says which run it was: "run 2".

    It answers a condition that its own ETag or Last-Modified meets with 304, and notes what it was asked in `seen`.
    """

    def __init__(self, *answers: Says, conditional: bool = True) -> None:
        self.answers = answers or (Says(),)
        self.conditional = conditional
        self.seen: list[Any] = []

    @property
    def runs(self) -> int:
        return len(self.seen)

    def __call__(self, request: Any) -> tuple[int, list[tuple[str, str]], bytes | Iterable[bytes]]:
        self.seen.append(request)
        answer = self.answers[min(self.runs, len(self.answers)) - 1]
        fields = [(name, value.strip()) for name, _, value in (field.partition(":") for field in answer.fields)]
        told = {name.lower(): value for name, value in fields}
        tag, since = request.headers.get("if-none-match"), request.headers.get("if-modified-since")
        if self.conditional and (
            (tag is not None and tag == told.get("etag"))
            or (tag is None and since is not None and since == told.get("last-modified"))
        ):
            return 304, fields, b""
        body = answer.body if answer.body is not None else f"run {self.runs}".encode()
        return answer.status, fields, body
