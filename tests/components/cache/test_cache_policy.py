"""The cache's decisions, as tables; each row names the section that asks for it."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeep.components.cache.entry import Entry
from gatekeep.components.cache.form import FORMS
from gatekeep.components.cache.head import Answered
from gatekeep.components.cache.memory import Record
from gatekeep.components.cache.policy import age, bypass, bypass_fields, matches, refusal, select

PROTOCOLS = pytest.mark.parametrize("protocol", ["asgi", "wsgi"])
NOT_KEYED = {"authorization": False, "cookie": False}


def head_of(protocol: Any, status: int, pairs: list[tuple[str, str]]) -> Answered:
    """The head as an app of that protocol gives it, its names in any case."""
    native: Any = pairs if protocol == "wsgi" else [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    return Answered(status, native, FORMS[protocol])


def lookup(**fields: str) -> Any:
    return {name.replace("_", "-"): value for name, value in fields.items()}.get


@pytest.mark.parametrize(
    ("method", "fields", "expected"),
    [
        ("GET", {}, None),
        ("HEAD", {}, None),
        ("POST", {}, "method"),
        ("OPTIONS", {}, "method"),
        ("get", {}, "method"),
        ("GET", {"authorization": "Basic x"}, "authorization"),
        ("GET", {"cookie": "a=b"}, "cookie"),
        ("GET", {"range": "bytes=0-1"}, "range"),
        ("GET", {"content_length": "3"}, "body"),
        ("GET", {"content_length": "0"}, None),
        ("GET", {"content_length": ""}, None),
        ("GET", {"transfer_encoding": "chunked"}, "body"),
        ("GET", {"cache_control": "no-cache", "pragma": "no-cache"}, None),
        ("GET", {"cache_control": "no-store"}, None),
        ("GET", {"if_match": '"x"', "if_none_match": '"y"'}, None),
    ],
)
def test_bypass(method: str, fields: dict[str, str], expected: str | None) -> None:
    assert bypass(method, "/", lookup(**fields), authorized=False, keyed=NOT_KEYED) == expected


def test_bypass_depends_on_what_gatekeep_and_the_key_know() -> None:
    token, cookie = lookup(authorization="Bearer x"), lookup(cookie="a=b")
    assert bypass("GET", "/", token, authorized=True, keyed=NOT_KEYED) is None
    assert bypass("GET", "/", token, authorized=False, keyed={"authorization": True, "cookie": False}) is None
    assert bypass("GET", "/", cookie, authorized=True, keyed=NOT_KEYED) == "cookie"
    assert bypass("GET", "/", cookie, authorized=False, keyed={"authorization": False, "cookie": True}) is None


def test_paths_that_are_not_utf_8_bypass() -> None:
    assert bypass("GET", "/a\ufffd", lookup(), authorized=False, keyed=NOT_KEYED) == "path"


ASKED = ("authorization", "cookie", "range", "content-length", "transfer-encoding")


@pytest.mark.parametrize("authorized", [True, False])
@pytest.mark.parametrize("keyed", [{"authorization": a, "cookie": c} for a in (True, False) for c in (True, False)])
def test_bypass_asks_for_no_field_but_those_named(authorized: bool, keyed: dict[str, bool]) -> None:
    named = bypass_fields(authorized=authorized, keyed=keyed)
    assert set(named) <= set(ASKED)
    for name in ASKED:
        reason = bypass("GET", "/", {name: "1"}.get, authorized=authorized, keyed=keyed)
        assert (reason is not None) is (name in named)
    for method, path in (("GET", "/"), ("HEAD", "/a\ufffd"), ("POST", "/")):
        assert bypass(method, path, None, authorized=authorized, keyed=keyed) == bypass(
            method, path, lookup(), authorized=authorized, keyed=keyed
        )


@pytest.mark.parametrize(
    ("status", "pairs", "expected"),
    [
        (200, [], None),
        (201, [], None),
        (204, [], None),
        (206, [], "status"),
        (304, [], "status"),
        (301, [], "status"),
        (404, [], "status"),
        (500, [], "status"),
        (200, [("Cache-Control", "max-age=5, PRIVATE")], "private"),
        (200, [("cache-control", 'private="x-user, x-mail"')], "private"),
        (200, [("cache-control", "public"), ("cache-control", "no-store")], "no-store"),
        (200, [("cache-control", "no-cache")], "no-cache"),
        (200, [("cache-control", 'no-cache="set-cookie"')], "no-cache"),
        (200, [("cache-control", "public, max-age=0, must-revalidate")], None),
        (200, [("Set-Cookie", "a=b")], "set-cookie"),
        (200, [("vary", "*")], "vary"),
        (200, [("vary", "accept, *")], "vary"),
        (200, [("vary", ",".join(f"x-{n}" for n in range(9)))], "vary"),
        (200, [("vary", "accept")], None),
        (200, [("content-type", "Text/Event-Stream; charset=utf-8")], "event-stream"),
        (200, [("content-length", "10")], None),
        (200, [("content-length", "101")], "too-large"),
        (200, [("content-length", "-1")], "length"),
        (200, [("content-length", "5"), ("content-length", "6")], "length"),
        (200, [("content-length", "\u00b2")], "length"),
    ],
)
@PROTOCOLS
def test_refusal(protocol: str, status: int, pairs: list[tuple[str, str]], expected: str | None) -> None:
    assert refusal("GET", head_of(protocol, status, pairs), 100) == expected


def test_an_answer_to_head_is_not_stored() -> None:
    assert refusal("HEAD", head_of("wsgi", 200, []), 100) == "head"


@PROTOCOLS
def test_answered_reads_what_a_cache_needs(protocol: str) -> None:
    head = head_of(
        protocol,
        200,
        [
            ("Vary", "Accept, accept-language"),
            ("vary", "ACCEPT"),
            ("ETag", '"x"'),
            ("Age", " 12 "),
            ("Connection", "close, X-Hop"),
            ("Content-Type", "text/html; charset=utf-8"),
        ],
    )
    assert head.vary == ("accept", "accept-language")
    assert head.etag == '"x"'
    assert head.age == 12
    assert head.media_type == "text/html"
    assert head.length is None
    assert [FORMS[protocol].named(name) for name in ("Vary", "vary", "ETag", "Content-Type")] == [name for name, _ in head.pairs]
    assert head.size == sum(len(name) + len(value) for name, value in head.pairs)
    assert head_of(protocol, 200, [("age", "soon")]).age == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("content-type", True),
        ("date", True),
        ("cache-control", True),
        ("x-hop", False),
        ("connection", False),
        ("transfer-encoding", False),
        ("keep-alive", False),
        ("proxy-authenticate", False),
        ("age", False),
        ("x-request-id", False),
    ],
)
@PROTOCOLS
@pytest.mark.parametrize("case", [str, str.upper, str.title])
def test_kept_rfc9111_3_1(name: str, expected: bool, case: Any, protocol: str) -> None:
    sent = [(case(name), "x"), ("connection", "close, X-Hop"), ("x-other", "y")]
    head = head_of(protocol, 200, sent)
    assert ((FORMS[protocol].named(case(name)), FORMS[protocol].named("x")) in head.pairs) is expected
    assert len(head.pairs) == 1 + expected


@pytest.mark.parametrize(
    ("sent", "etag", "expected"),
    [
        (None, '"a"', False),
        ('"a"', '"a"', True),
        ('W/"a"', '"a"', True),
        ('"a"', 'W/"a"', True),
        ('W/"a"', 'W/"a"', True),
        ('"b", W/"a" ,"c"', '"a"', True),
        ('"a,b"', '"a,b"', True),
        ('"b"', '"a"', False),
        ('"a', '"a"', False),
        ("a", "a", False),
        ('"a"', None, False),
        ("*", '"a"', True),
        (" * ", None, True),
    ],
)
def test_if_none_match_rfc9110_13_1_2(sent: str | None, etag: str | None, expected: bool) -> None:
    assert matches(sent, etag) is expected


def test_age_rfc9111_4_2_3() -> None:
    assert age(0, 100.0, 100.9) == 0
    assert age(0, 100.0, 101.0) == 1
    assert age(7, 100.0, 103.5) == 10
    assert age(0, 100.0, 99.0) == 0  # a request that came before the answer was stored


def test_select_rfc9111_4() -> None:
    entry = Entry(Answered(200, [], FORMS["wsgi"]), b"", FORMS["wsgi"], 100.0, 30.0)
    record = Record(("accept",))
    record.put(("a",), entry, 1_000_000)
    assert select(None, lookup(), 100.0) == "miss"
    assert select(record, lookup(accept="a"), 129.9) is entry
    assert select(record, lookup(accept="a"), 130.0) == "stale"
    assert select(record, lookup(accept="b"), 100.0) == "vary-miss"
    assert select(record, lookup(), 100.0) == "vary-miss"
