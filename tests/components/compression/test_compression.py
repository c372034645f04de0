"""Compress: which answers are encoded, how the head stays right, streams, and what a cache keeps."""

from __future__ import annotations

import sys
import zlib

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from gatekeep.components.cache import Cache
from gatekeep.components.compression import Compress
from gatekeep.components.compression.encoders import LEVELS, maker
from gatekeep.components.compression.negotiation import chooser, matcher
from gatekeep.errors import ConfigurationError
from gatekeep.routing import Route

TEXT = b"The same line, again and again.\n" * 100
DECODERS = {
    "gzip": lambda body: zlib.decompress(body, 31),
    "br": brotli.decompress,
    "zstd": zstd.decompress,
}


@pytest.fixture
def get(site):
    """An answer of an app behind Compress."""

    def get(accept="gzip", *, spec=None, status=200, fields=(), body=TEXT, method="GET", kind="text/plain", length=True):
        headers = [("content-type", kind)] if kind else []
        if length and isinstance(body, bytes):
            headers.append(("content-length", str(len(body))))
        view = lambda request: (status, [*headers, *fields], b"" if request.method == "HEAD" else body)  # noqa: E731
        sent = {} if accept is None else {"accept-encoding": accept}
        return site(spec or Compress(), view=view).request(method, "/", headers=sent)

    return get


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_answers_are_encoded(get, encoding):
    answer = get(encoding)
    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers.get("vary") == "Accept-Encoding"
    assert answer.headers.get("content-length") in (None, str(len(answer.body)))
    assert len(answer.body) < len(TEXT) / 4
    assert DECODERS[encoding](answer.body) == TEXT


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        (None, None),
        ("", None),
        ("identity", None),
        ("deflate", None),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("GZIP;Q=1.0", "gzip"),
        ("x-gzip", "gzip"),
        ("br;q=0.5, gzip;q=0.8, zstd;q=0.1", "gzip"),
        ("zstd;q=0, *", "br"),
        ("*;q=0", None),
        ("gzip;q=0", None),
        ("gzip;q=0.000, br;q=0.001", "br"),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip", "gzip"),
        ("gzip;q=2, br;q=x, ;, zstd;q=1.1", None),
        ("gzip;level=9, br", "br"),
        ("," * 1000 + "gzip", None),
    ],
)
def test_what_a_client_takes(accept, encoding):
    assert chooser(("zstd", "br", "gzip"))(accept or "") == encoding


def test_a_client_that_says_nothing_gets_it_plain(get):
    for accept in (None, "identity", "gzip;q=0, br;q=0, zstd;q=0"):
        answer = get(accept)
        assert answer.body == TEXT
        assert "content-encoding" not in answer.headers
        assert answer.headers.get("vary") == "Accept-Encoding"  # another client may get something else
        assert answer.headers.get("content-length") == str(len(TEXT))


@pytest.mark.parametrize(
    "options",
    [
        {"body": b"small"},
        {"kind": "image/png"},
        {"kind": "text/event-stream"},
        {"kind": "text/event-stream; charset=utf-8", "spec": Compress(types=["text/*"])},
        {"kind": None},
        {"fields": [("content-encoding", "br")]},
        {"fields": [("cache-control", "public, No-Transform")]},
        {"spec": Compress(min_size=len(TEXT) + 1)},
        {"spec": Compress(types=["application/json"])},
    ],
)
def test_what_is_left_alone(get, options):
    answer = get(**options)
    assert answer.body == options.get("body", TEXT)
    assert answer.headers.get("content-encoding") == dict(options.get("fields", ())).get("content-encoding")
    assert "vary" not in answer.headers


@pytest.mark.parametrize("status", [204, 205, 304])
def test_answers_without_a_body(get, status):
    answer = get(status=status, body=b"", length=False, fields=[("etag", '"a"')])
    assert "content-encoding" not in answer.headers
    assert answer.headers.get("etag") == '"a"'
    assert answer.headers.get("vary") == ("Accept-Encoding" if status == 304 else None)


def test_a_part_is_left_as_it_is(get):
    answer = get(status=206, fields=[("content-range", f"bytes 0-{len(TEXT) - 1}/9999")])
    assert (answer.body, answer.headers.get("vary")) == (TEXT, "Accept-Encoding")


def test_the_head_stays_right(get):
    fields = [
        *[("etag", '"abc"'), ("accept-ranges", "bytes"), ("content-md5", "x"), ("digest", "x"), ("repr-digest", "x")],
        *[("vary", "Origin"), ("content-encoding", "identity"), ("x-other", "kept")],
    ]
    answer = get(fields=fields)
    assert answer.headers.get("etag") == 'W/"abc"'
    assert answer.headers.get_all("content-encoding") == ["gzip"]
    assert answer.headers.get_all("vary") == ["Origin", "Accept-Encoding"]
    assert not {"accept-ranges", "content-md5", "digest", "repr-digest"} & {name.lower() for name, _ in answer.headers}
    assert answer.headers.get("x-other") == "kept"
    plain = get("identity", fields=fields)
    assert plain.headers.get("etag") == '"abc"'
    assert get(fields=[("etag", 'W/"abc"')]).headers.get("etag") == 'W/"abc"'


@pytest.mark.parametrize("vary", ["*", "origin, ACCEPT-ENCODING"])
def test_what_varies_already(get, vary):
    assert get(fields=[("vary", vary)]).headers.get_all("vary") == [vary]


def test_head_says_what_get_would(get):
    long = get(method="HEAD", fields=[("content-length", str(len(TEXT))), ("etag", '"a"')], length=False)
    assert (long.headers.get("content-encoding"), long.headers.get("content-length")) == ("gzip", None)
    assert (long.headers.get("etag"), long.body) == ('W/"a"', b"")
    unknown = get(method="HEAD", length=False)
    assert ("content-encoding" in unknown.headers, unknown.headers.get("vary")) == (False, "Accept-Encoding")


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("kind", ["text/event-stream", "application/x-ndjson"])
def test_a_stream_is_flushed(get, encoding, kind):
    """Each piece can be read as soon as it came."""
    pieces = [b"data: %d\n\n" % number for number in range(5)]
    spec = Compress(types=["text/event-stream", "application/x-ndjson"])
    answer = get(encoding, spec=spec, kind=kind, body=list(pieces))
    read = {"gzip": lambda: zlib.decompressobj(31).decompress, "br": lambda: brotli.Decompressor().process}
    read["zstd"] = lambda: zstd.ZstdDecompressor().decompress
    decode = read[encoding]()
    chunks = [chunk for chunk in answer.chunks if chunk]
    assert [decode(chunk) for chunk in chunks[:5]] == pieces


def test_a_long_body_whose_length_is_known_is_not_flushed(get):
    body = [TEXT] * 50
    flushed = get(body=body)
    whole = get(body=body, fields=[("content-length", str(len(TEXT) * 50))])
    assert DECODERS["gzip"](flushed.body) == DECODERS["gzip"](whole.body) == TEXT * 50
    assert len([chunk for chunk in whole.chunks if chunk]) < len([chunk for chunk in flushed.chunks if chunk])


def test_a_body_that_breaks_off_does_not_look_whole(site, protocol):
    fields = [("content-type", "text/plain"), ("content-length", "5000")]
    client = site(Compress(), view=lambda request: (200, fields, [TEXT]))
    with pytest.raises(Exception, match=r"not process|not as long|too short|fewer") as caught:
        DECODERS["gzip"](client.get("/", headers={"accept-encoding": "gzip"}).body)
    assert caught.value is not None


def test_an_entry_is_kept_plain_and_encoded_for_each(site):
    calls = []

    def view(request):
        calls.append(request)
        return 200, [("content-type", "text/plain"), ("content-length", str(len(TEXT)))], TEXT

    client = site(Compress(), routes=[Route("/", Cache(ttl=60), methods={"GET"})], view=view)
    for encoding in ("gzip", "br", "gzip"):
        answer = client.get("/", headers={"accept-encoding": encoding})
        assert DECODERS[encoding](answer.body) == TEXT
        if "age" in answer.headers:  # from an entry, at hand as a whole
            assert answer.headers.get("content-length") == str(len(answer.body))
    plain = client.get("/")
    assert (plain.body, plain.headers.get("content-length")) == (TEXT, str(len(TEXT)))
    assert len(calls) == 1
    tag = client.get("/", headers={"accept-encoding": "gzip"}).headers.get("etag")
    assert tag.startswith("W/")
    again = client.get("/", headers={"accept-encoding": "gzip", "if-none-match": tag})
    assert (again.status, again.body) == (304, b"")
    part = client.get("/", headers={"accept-encoding": "gzip", "range": "bytes=0-9"})
    assert (part.status, part.body) == (206, TEXT[:10])


def test_the_strongest_replaces_the_weaker(site):
    fields = [("content-type", "text/plain")]
    client = site(
        Compress(),
        routes=[Route("/off", Compress.off()), Route("/br", Compress(encodings=["br"]))],
        view=lambda request: (200, fields, TEXT),
    )
    sent = {"accept-encoding": "gzip, br"}
    assert client.get("/off", headers=sent).body == TEXT
    assert client.get("/br", headers={"accept-encoding": "gzip"}).body == TEXT
    assert DECODERS["br"](client.get("/br", headers=sent).body) == TEXT


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["gzip", "br", "zstd"]), st.lists(st.binary(max_size=300), max_size=6), st.booleans())
def test_what_is_encoded_can_be_decoded(encoding, chunks, flush):
    encoder = maker(encoding, None)()
    body = b"".join(encoder.feed(chunk) + (encoder.flush() if flush else b"") for chunk in chunks) + encoder.finish()
    assert DECODERS[encoding](body) == b"".join(chunks)


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_every_level_is_one(encoding):
    for level in (LEVELS[encoding][0], LEVELS[encoding][-1]):
        encoder = maker(encoding, level)()
        assert DECODERS[encoding](encoder.feed(TEXT) + encoder.finish()) == TEXT


@pytest.mark.parametrize(
    ("kind", "among"),
    [
        ("application/json", True),
        ("Application/Problem+JSON; charset=utf-8", True),
        ("application/jsonx", False),
        ("text/html;charset=utf-8", True),
        ("text/", False),
        ("image/svg+xml", True),
        ("", False),
    ],
)
def test_types(kind, among):
    assert matcher(Compress().types)(kind) is among


def test_any_type():
    matches = matcher(["*/*"])
    assert matches("image/png")
    assert not matches("text/event-stream")
    assert matcher(["text/event-stream"])("text/event-stream; charset=utf-8")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"mode": "report"}, "only be reported"),
        ({"min_size": -1}, "number of bytes"),
        ({"min_size": "1kb"}, "number of bytes"),
        ({"encodings": "gzip"}, "not a list"),
        ({"encodings": ["deflate"]}, "not an encoding"),
        ({"level": 10, "encodings": ["gzip"]}, "levels from 1 to 9"),
        ({"level": True}, "levels from"),
        ({"types": "text/*"}, "not a list"),
        ({"types": []}, "not a list"),
        ({"types": ["text"]}, "not a media type"),
    ],
)
def test_mistakes(options, reason):
    with pytest.raises(ConfigurationError, match=rf"test_compression.py:.*{reason}"):
        Compress(**options)


def test_an_encoding_that_is_not_installed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert Compress().usable == ("gzip",)
    with pytest.raises(ConfigurationError, match=r"not installed.*gatekeep\[formats\]"):
        Compress(encodings=["br"])
