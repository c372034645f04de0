"""Sources: what stands where, what stands there twice, and what is left when it is taken out."""

from __future__ import annotations

import pytest

from gatekeep.errors import BadRequest
from gatekeep.message import Forwarded
from gatekeep.requests import AsgiRequest, WsgiRequest
from gatekeep.sources import cookie, header, query


def requests(headers, query_string=""):
    """The same request in both protocols; a WSGI server has joined what stands twice."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": query_string.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
    }
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": query_string}
    for name, value in headers:
        key = f"HTTP_{name.upper().replace('-', '_')}"
        environ[key] = f"{environ[key]}{'; ' if name == 'cookie' else ','}{value}" if key in environ else value
    return AsgiRequest(scope, None), WsgiRequest(environ)


SIGNED = "AWS4-HMAC-SHA256 Credential=A/20240101/eu/execute-api/aws4_request, SignedHeaders=host;x-amz-date, Signature=ab=="
DIGEST = 'Digest username="a, b", realm="x\\"y", nc=1,qop=auth'


@pytest.mark.parametrize("value", ["Bearer abc", "abc", "", SIGNED, DIGEST, "Basic YTpi=="])
def test_one_field_is_one_credential(value):
    for request in requests([("authorization", value)]):
        assert header("Authorization").credential(request) == value
        assert header("Authorization").value(request) == value


@pytest.mark.parametrize(
    ("first", "second"),
    [("Bearer a", "Bearer b"), ("Bearer a", "Bearer a"), ("a", "b"), (SIGNED, "Bearer a"), (SIGNED, SIGNED), (DIGEST, DIGEST)],
)
def test_two_fields_are_none(first, second):
    for request in requests([("authorization", first), ("authorization", second)]):
        with pytest.raises(BadRequest) as caught:
            header("authorization").credential(request)
        assert caught.value.code == "ambiguous_credentials"


def test_other_fields_may_have_several_lines():
    for request in requests([("x-tag", "a"), ("x-tag", "b")]):
        assert header("X-Tag").credential(request).replace(" ", "") == "a,b"


def test_a_parameter_and_a_cookie_stand_there_once():
    for request in requests([("cookie", "s=1; t=2; u"), ("cookie", "t=3")], "t=1&u=&u=2"):
        assert query("t").credential(request) == query("t").value(request) == "1"
        assert query("x").credential(request) is None
        assert query("u").value(request) == ""
        assert cookie("s").credential(request) == "1"
        assert cookie("x").credential(request) is None
        assert cookie("t").value(request) == "2"
        for twice in (query("u"), cookie("t")):
            with pytest.raises(BadRequest, match="several"):
                twice.credential(request)


def test_what_is_taken_out_is_gone_in_every_spelling():
    fields = [("authorization", "a"), ("x_key", "b"), ("x-key", "c"), ("cookie", "s=1;t=2"), ("cookie", "s=3"), ("x-other", "d")]
    for request in requests(fields, "a=1&%74=2&t&b=%74&t=3"):
        forwarded = Forwarded(request)
        for source in (header("Authorization"), header("X-Key"), query("t"), cookie("s")):
            source.remove(forwarded)
        rebuilt = request.rebuild(forwarded)
        assert {name for name, _ in rebuilt.headers} == {"x-other", "cookie"}
        assert rebuilt.cookies == {"t": "2"}
        assert rebuilt.query == [("a", "1"), ("b", "t")]
        cookie("t").remove(forwarded)
        cookie("t").remove(forwarded)
        assert request.rebuild(forwarded).cookies == {}


def test_what_an_app_may_find_is_told_in_every_spelling():
    for request in requests([("x_key", "b"), ("other-key", "c"), ("cookie", "s=1")], "%74=2"):
        for source in (header("X-Key"), header("x_key"), header("other-key"), query("t"), cookie("s")):
            assert source.sent(request), source
        for source in (header("key"), header("other"), header("x-key-2"), query("T"), cookie("t")):
            assert not source.sent(request), source


def test_what_can_be_a_place():
    assert header("x-a").valid
    assert not header("x a").valid
    assert not header("").valid
    assert query("a b").valid
    assert not query("").valid
    assert cookie("s").valid
    assert not cookie("a=b").valid
