"""Compressor: the running component; encodes an answer on its way out, whole or chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable

from ...component import Component, Hooks, Plan
from ...exchange import Exchange
from ...message import Headers
from .encoders import Encoder, maker
from .negotiation import chooser, matcher
from .spec import Compress

__all__ = ["Compressor"]


class Compressor(Component):
    """Outside of the cache: an entry is kept once, plain, and encoded for each client as that client takes it."""

    spec = Compress
    gates = False

    def bind(self, plan: Plan) -> Hooks | None:
        if not plan.specs:
            return None
        return Hooks(on_response=_Route(plan.specs[-1].spec).hook, filters_response_body=True)


# No body; a part of one, which is a part of the plain representation; and what says that the client has it already.
_BODILESS = frozenset({204, 205})
_NOT_MODIFIED = 304
_PARTIAL = 206

# What was said about the plain bytes. A weak ETag may stay: it says the same of what means the same (RFC 9110 §8.8.1).
_OF_THE_BYTES = ("accept-ranges", "content-digest", "content-md5", "digest", "repr-digest")


class _Route:
    """The response side of one route."""

    __slots__ = ("_choose", "_makers", "_matches", "_min_size")

    def __init__(self, spec: Compress) -> None:
        encodings = spec.usable
        self._choose = chooser(encodings)
        self._makers = {encoding: maker(encoding, spec.level) for encoding in encodings}
        self._matches = matcher(spec.types)
        self._min_size = spec.min_size

    def hook(self, exchange: Exchange) -> None:
        response = exchange.response
        assert response is not None
        headers, status, body = response.headers, response.status, response.body
        if status == _NOT_MODIFIED:
            _vary(headers)  # as on the answer that it stands for (RFC 9110 §15.4.5)
            return
        content_type = headers.get("content-type")
        if content_type is None or status < 200 or status in _BODILESS or not self._matches(content_type):
            return
        size = _size(headers) if body is None or exchange.request.method == "HEAD" else len(body)
        if size is not None and size < self._min_size:
            return
        if headers.get("content-encoding") not in (None, "", "identity") or _kept_as_it_is(headers):
            return
        _vary(headers)
        accepted = exchange.request.header("accept-encoding")
        if accepted is None or status == _PARTIAL:
            return
        encoding = self._choose(accepted)
        if encoding is None:
            return
        if exchange.request.method == "HEAD":
            if size is not None:  # else GET may be answered by something smaller
                _describe(headers, encoding)
        elif body is not None:
            encoder = self._makers[encoding]()
            response.body = encoder.feed(body) + encoder.finish()
            _describe(headers, encoding)
            headers.put("content-length", str(len(response.body)))
        else:
            _describe(headers, encoding)
            response.attach(_Encoding(self._makers[encoding], size))


class _Encoding:
    """The body filter. A body whose length was not said may be one that somebody waits for piece by piece: it is flushed."""

    __slots__ = ("_encoder", "_left")

    def __init__(self, make: Callable[[], Encoder], size: int | None) -> None:
        self._encoder: Encoder | None = make()
        self._left = size

    def feed(self, chunk: bytes) -> bytes:
        encoder = self._encoder
        assert encoder is not None
        encoded = encoder.feed(chunk)
        if self._left is None:
            return encoded + encoder.flush()
        self._left -= len(chunk)
        return encoded

    def end(self) -> bytes:
        encoder, self._encoder = self._encoder, None
        assert encoder is not None
        if self._left:
            # Plain, the client would have seen that bytes are missing; the end of an encoded body would hide it.
            raise ValueError("the app's answer is not as long as its Content-Length says")
        return encoder.finish()

    def abort(self) -> None:
        self._encoder = None


def _size(headers: Headers) -> int | None:
    length = headers.get("content-length")
    return int(length) if length is not None and length.isdecimal() and len(length) < 19 else None


def _kept_as_it_is(headers: Headers) -> bool:
    control = headers.get("cache-control")
    return control is not None and any("no-transform" in line.lower() for line in headers.get_all("cache-control"))


def _describe(headers: Headers, encoding: str) -> None:
    headers.remove("content-length")
    headers.stamp("content-encoding", encoding)
    for name in _OF_THE_BYTES:
        headers.remove(name)
    etag = headers.get("etag")
    if etag is not None and not etag.startswith("W/"):
        headers.stamp("etag", f"W/{etag}")


def _vary(headers: Headers) -> None:
    known = headers.get_all("vary")
    if not known:
        headers.put("vary", "Accept-Encoding")
        return
    names = {name.strip().lower() for line in known for name in line.split(",")}
    if "accept-encoding" not in names and "*" not in names:
        headers.add("vary", "Accept-Encoding")
