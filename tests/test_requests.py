"""The two views of a request: the same answers from a scope and from an environ, bodies read in bounds, and rebuilding."""

from __future__ import annotations

import asyncio
from io import BytesIO
from urllib.parse import quote, unquote, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeep.errors import BadRequest, PayloadTooLarge
from gatekeep.message import Forwarded
from gatekeep.requests import AsgiRequest, WsgiRequest


def as_asgi(method="GET", target="/", headers=(), messages=(), root="", **more):
    raw, _, query = target.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": unquote(raw),
        "raw_path": raw.encode(),
        "root_path": root,
        "query_string": query.encode("latin-1"),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        **more,
    }
    inbox = list(messages)

    async def receive():
        return inbox.pop(0)

    return AsgiRequest(scope, receive)


def as_wsgi(method="GET", target="/", headers=(), stream=None, root="", **more):
    raw, _, query = target.partition("?")
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": root.encode().decode("latin-1"),
        "PATH_INFO": unquote_to_bytes(raw).decode("latin-1").removeprefix(root.encode().decode("latin-1")),
        "RAW_URI": target,
        "QUERY_STRING": query,
        "wsgi.input": stream,
    }
    for name, value in headers:
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        joiner = "; " if name == "cookie" else ", "
        environ[key] = f"{environ[key]}{joiner}{value}" if key in environ else value
    return WsgiRequest({**environ, **more})


def both(*arguments, **options):
    return as_asgi(*arguments, **options), as_wsgi(*arguments, **options)


text = st.text(st.characters(codec="utf-8", exclude_characters="/"), max_size=5)
paths = st.lists(text.map(lambda part: quote(part, safe="")), max_size=4).map(lambda parts: "/" + "/".join(parts))
queries = st.text(st.sampled_from("ab=&+%20;é/?"), max_size=12)
header_values = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=8)
fields = st.lists(
    st.tuples(st.sampled_from(["accept", "cookie", "x-one", "content-type", "host", "authorization"]), header_values), max_size=6
)


def facts(request):
    """What every component may ask of a request."""
    names = sorted({name for name, _ in request.headers})
    return {
        "method": request.method,
        "path": request.path,
        "root": request.root_path,
        "raw": request.raw_path,
        "query string": request.query_string,
        "query": request.query,
        "cookies": request.cookies,
        "content type": request.content_type,
        "headers": {name: ", ".join(request.header_lines(name)) for name in names if name != "cookie"},
        "fields": {name: request.header(name) for name in (*names, "absent")},
    }


@given(st.sampled_from(["GET", "post", "BREW"]), paths, queries, fields, st.sampled_from(["", "/r", "/ré"]))
def test_both_views_say_the_same(method, path, query, headers, root):
    headers = [(name, value) for name, value in headers if name != "content-type" or value]
    one, other = both(method, f"{quote(root)}{path}?{query}", headers, root=root)
    assert facts(one) == facts(other)


@pytest.mark.parametrize("make", [as_asgi, as_wsgi])
class TestViews:
    def test_query_and_query_string(self, make):
        request = make(target="/x?a=1&b=&a=%C3%A9+x&c")
        assert request.query_string == "a=1&b=&a=%C3%A9+x&c"
        assert request.query == [("a", "1"), ("b", ""), ("a", "é x"), ("c", "")]
        assert request.query is request.query
        assert make().query == []

    def test_cookies_are_split_where_apps_split_them(self, make):
        request = make(headers=[("cookie", 'a=1,b=2; a=later; c="quoted"; nameless; d = x=y; e="')])
        assert request.cookies == {"a": "1,b=2", "c": "quoted", "d": "x=y", "e": '"'}
        assert request.cookies is request.cookies
        assert make().cookies == {}

    def test_content_type(self, make):
        assert make(headers=[("content-type", " Application/JSON ; charset=x")]).content_type == "application/json"
        assert make().content_type == ""
        assert make().header("content-type") is None

    def test_host_falls_back_to_the_server_s_name(self, make):
        assert make(headers=[("host", "API.example:81")]).host == "api.example:81"

    def test_raw_path_is_taken_only_where_it_fits(self, make):
        assert make(target="/a%2fb?x=%2f").raw_path == b"/a%2fb"
        assert make(target="/a%2fb", raw_path=b"/other", RAW_URI="/other").raw_path is None

    def test_fields_in_the_native_s_own_form(self, make):
        request = make(headers=[("x-one", "1"), ("host", "h")])
        name, value = (b"x-one", b"1") if request.protocol == "asgi" else ("HTTP_X_ONE", "1")
        assert request.fields[name] == value
        assert request.header("host") == "h"

    def test_a_repeated_header(self, make):
        request = make(headers=[("x-one", "1"), ("x-one", "2")])
        assert request.header("x-one") == "1, 2"
        assert ", ".join(request.header_lines("x-one")) == "1, 2"
        assert request.header_lines("absent") == []

    def test_the_app_s_own_path_is_what_follows_the_root(self, make):
        request = make(target="/v1/x", root="/v1")
        assert (request.root_path, request.path) == ("/v1", "/x")
        assert make(target="/v1", root="/v1").path == ""
        assert "/x" in repr(request)

    def test_under_moves_the_base_from_the_path_to_the_root(self, make):
        request = make(target="/r%C3%A9/v%20%C3%BC/x%2fy?q", root="/ré").under("/v ü")
        assert (request.root_path, request.path, request.query_string) == ("/ré/v ü", "/x/y", "q")
        assert request.raw_path == b"/r%C3%A9/v%20%C3%BC/x%2fy"
        assert make(target="/v1").under("/v1").path == ""


def test_what_only_one_protocol_says():
    asgi = as_asgi(client=("10.0.0.1", 9), server=("h", 80), scheme="https", http_version="2")
    wsgi = as_wsgi(
        REMOTE_ADDR="10.0.0.1",
        SERVER_NAME="h",
        SERVER_PORT="80",
        SERVER_PROTOCOL="HTTP/2",
        **{"wsgi.url_scheme": "https"},
    )
    for request in (asgi, wsgi):
        assert (request.peer, request.server, request.scheme, request.http_version) == ("10.0.0.1", ("h", 80), "https", "2")
        assert request.host == "h"
    for request in both():
        assert (request.peer, request.server, request.scheme, request.http_version) == (None, ("localhost", None), "http", "1.1")
        assert request.host == "localhost"
    assert as_asgi(server=("h", 8080)).host == "h:8080"
    assert as_asgi(server=("/run/app.sock", None)).peer is None


def test_a_root_path_that_the_server_has_cut_off_already():
    request = as_asgi(target="/v1/x", root="/api")
    assert request.path == "/v1/x"
    moved = request.under("/v1")
    assert (moved.root_path, moved.path, moved.native["path"]) == ("/api/v1", "/x", "/api/v1/x")
    assert moved.raw_path is None
    assert as_asgi(target="/apiary", root="/api").path == "/apiary"


@pytest.mark.parametrize(
    ("uri", "raw"),
    [
        ("http://h/a%2fb?x", b"/a%2fb"),
        ("https://h/a%2fb", b"/a%2fb"),
        ("/a%2fb", b"/a%2fb"),
        ("/a/b", b"/a/b"),
        ("/a", None),
        (None, None),
        ("http://h", None),
    ],
)
@pytest.mark.parametrize("key", ["RAW_URI", "REQUEST_URI"])
def test_what_wsgi_servers_call_the_raw_path(uri, raw, key):
    request = as_wsgi(target="/a/b")
    del request.native["RAW_URI"]
    request.native[key] = uri
    assert request.raw_path == raw


def test_raw_path_under_asgi():
    assert as_asgi(target="/%FF").raw_path == b"/%FF"
    assert as_asgi(raw_path=b"/?query=of-some-servers").raw_path == b"/"
    missing = as_asgi()
    del missing.native["raw_path"]
    assert missing.raw_path is None


def test_invalid_utf_8_in_a_wsgi_path_is_shown_as_such():
    assert as_wsgi(target="/%FFx", root="/é").path == "/\ufffdx"


# Bodies.


def reading(protocol, chunks, headers=(), terminated=True):
    """A request whose body comes in these chunks; None is a client that goes away."""
    if protocol == "asgi":
        messages = [
            {"type": "http.disconnect"}
            if chunk is None
            else {"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1}
            for index, chunk in enumerate(chunks)
        ]
        return as_asgi("POST", headers=headers, messages=messages)
    return as_wsgi("POST", headers=headers, stream=Chunks(chunks), **{"wsgi.input_terminated": terminated})


class Chunks:
    """A server's stream: gives what it has, never more than asked."""

    def __init__(self, chunks):
        self.chunks = list(chunks)
        self.asked = 0

    def read(self, size):
        self.asked += size
        if not self.chunks:
            return b""
        chunk = self.chunks.pop(0)
        if chunk is None:
            raise ConnectionResetError
        if len(chunk) > size:
            self.chunks.insert(0, chunk[size:])
        return chunk[:size]


def read(request, limit):
    io = request.read(limit)
    return io.run() if isinstance(request, WsgiRequest) else asyncio.run(io.arun())


class TestBodies:
    @given(st.lists(st.binary(min_size=1, max_size=4), max_size=5), st.booleans())
    def test_a_body_in_bounds_is_read_whole_and_once(self, chunks, declared):
        body = b"".join(chunks)
        headers = [("content-length", str(len(body)))] if declared else [("transfer-encoding", "chunked")]
        for protocol in ("asgi", "wsgi"):
            request = reading(protocol, chunks or [b""], headers)
            assert request.body is None
            assert read(request, max(1, len(body))) == body
            assert request.body == body
            assert read(request, 1) == body  # kept: nothing is read again

    @pytest.mark.parametrize(
        ("chunks", "headers"),
        [
            ([b"12345678901"], [("content-length", "11")]),
            ([b"12345", b"67890", b"1"], [("transfer-encoding", "chunked")]),
            ([b""], [("content-length", "9" * 5000)]),
        ],
    )
    def test_over_the_limit_declared_or_counted(self, protocol, chunks, headers):
        request = reading(protocol, chunks, headers)
        with pytest.raises(PayloadTooLarge, match="10 bytes"):
            read(request, 10)

    def test_a_chunked_body_that_is_held_has_a_length_for_an_app_that_goes_by_it(self):
        request = reading("wsgi", [b"123", b"45"], [("transfer-encoding", "chunked"), ("x-a", "b")])
        assert ("transfer-encoding", "chunked") in request.headers.text()
        assert read(request, 10) == b"12345"
        assert request.native["CONTENT_LENGTH"] == "5"
        assert "HTTP_TRANSFER_ENCODING" not in request.native  # both would be two ends of one body
        assert request.native["wsgi.input"].read() == b"12345"
        assert sorted(request.headers.text()) == [("content-length", "5"), ("x-a", "b")]

    def test_no_more_is_asked_for_than_the_limit_allows(self):
        request = reading("wsgi", [b"x" * 100], [("transfer-encoding", "chunked")])
        with pytest.raises(PayloadTooLarge):
            read(request, 10)
        assert request.native["wsgi.input"].asked == 11

    @pytest.mark.parametrize(
        ("headers", "code"),
        [
            ([("content-length", "5"), ("transfer-encoding", "chunked")], "conflicting_framing"),
            ([("content-length", "5"), ("content-length", "6")], "bad_content_length"),
            ([("content-length", "-5")], "bad_content_length"),
            ([("content-length", "5x")], "bad_content_length"),
        ],
    )
    def test_two_ends_of_a_body_are_one_too_many(self, protocol, headers, code):
        with pytest.raises(BadRequest) as caught:
            read(reading(protocol, [b"12345"], headers), 10)
        assert caught.value.code == code

    @pytest.mark.parametrize(("chunks", "declared"), [([b"12", None], True), ([b"12", None], False)])
    def test_a_client_that_goes_away(self, protocol, chunks, declared):
        headers = [("content-length", "5")] if declared else [("transfer-encoding", "chunked")]
        with pytest.raises(BadRequest) as caught:
            read(reading(protocol, chunks, headers), 10)
        assert caught.value.code == "client_disconnected"

    def test_a_wsgi_body_that_ends_early(self):
        with pytest.raises(BadRequest, match="went away"):
            read(reading("wsgi", [b"12"], [("content-length", "5")]), 10)

    def test_a_wsgi_body_that_the_server_can_t_parse(self):
        class Broken:
            def read(self, size):
                raise ValueError("bad chunk size")

        request = reading("wsgi", [], [("transfer-encoding", "chunked")])
        request.native["wsgi.input"] = Broken()
        with pytest.raises(BadRequest) as caught:
            read(request, 10)
        assert caught.value.code == "malformed_body"

    def test_a_wsgi_stream_of_which_nobody_knows_the_end_is_not_read(self):
        request = reading("wsgi", [b"5\r\n12345\r\n0\r\n\r\n"], [("transfer-encoding", "chunked")], terminated=False)
        with pytest.raises(BadRequest) as caught:
            read(request, 100)
        assert caught.value.code == "length_required"
        assert request.native["wsgi.input"].asked == 0

    def test_no_body_is_an_empty_body(self, protocol):
        assert read(reading(protocol, [b""], terminated=False), 10) == b""
        empty = reading("wsgi", [b"never asked for"], terminated=False)
        empty.native["CONTENT_LENGTH"] = ""
        assert read(empty, 10) == b""

    def test_a_handshake_has_no_body(self):
        request = as_asgi(type="websocket", messages=[{"type": "websocket.connect"}])
        assert read(request, 10) == b""
        assert asyncio.run(request.receive()) == {"type": "websocket.connect"}

    def test_the_app_reads_it_again(self):
        async def main():
            first, last = {"type": "http.request", "body": b"12", "more_body": True}, {"type": "http.request", "body": b"345"}
            request = as_asgi("POST", messages=[first, last, {"type": "http.disconnect"}])
            await request.read(10).arun()
            assert await request.receive() == {"type": "http.request", "body": b"12345", "more_body": False}
            assert await request.receive() == {"type": "http.disconnect"}

        asyncio.run(main())
        request = reading("wsgi", [b"12", b"345"], [("content-length", "5")])
        read(request, 10)
        assert request.native["wsgi.input"].read() == b"12345"

    def test_each_view_reads_in_its_own_colour(self):
        with pytest.raises(RuntimeError):
            reading("asgi", [b""]).read(10).run()
        with pytest.raises(RuntimeError):
            asyncio.run(reading("wsgi", [b""]).read(10).arun())


# What the app sees instead.


def body_of(request):
    """What an app reads: the bytes its server would give it."""
    if isinstance(request, WsgiRequest):
        length = request.native.get("CONTENT_LENGTH")
        stream = request.native["wsgi.input"]
        return stream.read() if length is None else stream.read(int(length))
    return asyncio.run(request.receive())["body"]


@pytest.mark.parametrize("make", [as_asgi, as_wsgi])
class TestRebuild:
    def test_a_new_path_and_query_agree_everywhere(self, make):
        request = make(target="/r/old?a=1", root="/r")
        forwarded = Forwarded(request)
        forwarded.path, forwarded.query_string, forwarded.method = "/new ü/%", "b=2", "PUT"
        rebuilt = request.rebuild(forwarded)
        assert (rebuilt.method, rebuilt.root_path, rebuilt.path, rebuilt.query_string) == ("PUT", "/r", "/new ü/%", "b=2")
        assert rebuilt.raw_path == b"/r/new%20%C3%BC/%25"
        assert rebuilt.query == [("b", "2")]
        assert (request.method, request.path, request.query_string) == ("GET", "/old", "a=1")
        assert request.raw_path == b"/r/old"

    def test_a_new_query_alone_leaves_the_path_as_sent(self, make):
        request = make(target="/a%2fb?a=1")
        forwarded = Forwarded(request)
        forwarded.query_string = "b=%26"
        rebuilt = request.rebuild(forwarded)
        assert rebuilt.raw_path == b"/a%2fb"
        assert rebuilt.native.get("RAW_URI", "/a%2fb?b=%26") == "/a%2fb?b=%26"
        forwarded.query_string = ""
        assert request.rebuild(forwarded).native.get("RAW_URI", "/a%2fb") == "/a%2fb"

    def test_a_new_body_brings_its_length_and_no_framing(self, make):
        request = make("POST", headers=[("transfer-encoding", "chunked"), ("content-type", "text/plain"), ("cookie", "a=1")])
        forwarded = Forwarded(request)
        forwarded.body = b"new body"
        rebuilt = request.rebuild(forwarded)
        assert rebuilt.header("content-length") == "8"
        assert rebuilt.header("transfer-encoding") is None
        assert rebuilt.content_type == "text/plain"
        assert body_of(rebuilt) == b"new body"
        assert rebuilt.body == b"new body"
        assert request.header("transfer-encoding") == "chunked"

    def test_headers_are_replaced_as_a_whole(self, make):
        request = make(headers=[("x-one", "1"), ("x-two", "2"), ("cookie", "a=1")])
        forwarded = Forwarded(request)
        forwarded.headers.remove("X-Two")
        forwarded.headers.add("X-One", "again")
        forwarded.headers.add("Cookie", "b=2")
        forwarded.headers.add("Content-Type", "text/css")
        rebuilt = request.rebuild(forwarded)
        assert rebuilt.header("x-one") == "1, again"
        assert rebuilt.header("x-two") is None
        assert rebuilt.cookies == {"a": "1", "b": "2"}
        assert rebuilt.content_type == "text/css"
        assert request.header("x-two") == "2"


def test_a_body_that_was_read_stays_read(protocol):
    request = reading(protocol, [b"12", b"345"], [("content-length", "5")])
    read(request, 10)
    rebuilt = request.rebuild(Forwarded(request))
    assert rebuilt.body == b"12345"
    assert body_of(rebuilt) == b"12345"


def test_a_rebuilt_handshake_stays_one():
    request = as_asgi(type="websocket")
    del request.native["method"]
    forwarded = Forwarded(request)
    forwarded.headers.add("x-principal", "me")
    rebuilt = request.rebuild(forwarded)
    assert rebuilt.handshake
    assert "method" not in rebuilt.native
    assert rebuilt.header("x-principal") == "me"


def test_what_is_no_header_of_an_environ_is_kept():
    request = as_wsgi(headers=[("x-one", "1")], stream=BytesIO(b""), HTTP_OBJECT=[1], REMOTE_ADDR="10.0.0.1")
    forwarded = Forwarded(request)
    assert [name for name, _ in forwarded.headers] == ["x-one"]
    assert request.rebuild(forwarded).native["HTTP_OBJECT"] == [1]
    assert request.rebuild(forwarded).peer == "10.0.0.1"


def test_asking_for_many_names_fills_no_memory():
    from gatekeep import environ

    request = as_wsgi(headers=[("x-last", "1")])
    for number in range(1100):
        request.header(f"x-{number}")
    assert len(environ._keys) <= 1024
    assert request.header("x-last") == "1"
