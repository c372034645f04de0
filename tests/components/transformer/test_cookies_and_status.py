"""Cookies one by one, statuses, and operations by status."""

from __future__ import annotations

import pytest

from gatekeep.components.transformer import (
    Transform,
    by_status,
    map_body,
    map_status,
    remove_cookie,
    rename_cookie,
    set_cookie,
    set_header,
)
from gatekeep.errors import ConfigurationError

JSON = [("content-type", "application/json")]


@pytest.fixture
def cookie(site):
    def cookie(operation, sent, target="/"):
        got = []

        def view(request):
            got.append(request.headers.get("cookie"))
            return 200, [("content-type", "text/plain")], b"ok"

        answer = site(Transform(request=[operation]), view=view).get(target, headers={"cookie": sent} if sent else {})
        return got[0] if got else answer

    return cookie


@pytest.fixture
def answered(site):
    def answered(response, status=200, headers=(), body=b"ok", method="GET", target="/"):
        client = site(Transform(response=response), view=lambda request: (status, list(headers), body))
        return client.request(method, target)

    return answered


@pytest.mark.parametrize(
    ("operation", "sent", "expected"),
    [
        (set_cookie("a", "1"), None, "a=1"),
        (set_cookie("a", "1"), "a=0; b=2; a=3", "b=2; a=1"),
        (set_cookie("a", "${request.query.none}"), "a=forged; b=2", "b=2"),
        (remove_cookie("a"), "a=0; b=2;a=3", "b=2"),
        (remove_cookie("a"), "a=0", None),
        (remove_cookie("a"), "aa=1;  b=2", "aa=1;  b=2"),
        (rename_cookie("a", "b"), "a=1==; b=2; c", "b=1==; c"),
        (rename_cookie("none", "b"), "b=2", "b=2"),
        (rename_cookie("a", "a"), "a=2", "a=2"),
    ],
)
def test_cookies_of_a_request(cookie, operation, sent, expected):
    assert cookie(operation, sent) == expected


@pytest.mark.parametrize("value", ["a;b=1", "a%20b", "a,b", "%22", "a%0a"])
def test_a_value_can_not_become_two_cookies(cookie, value):
    answer = cookie(set_cookie("a", "${request.query.v}"), None, f"/?v={value}")
    assert (answer.status, answer.json()["code"]) == (400, "invalid_request")


def test_cookies_of_an_answer(answered):
    sent = [("set-cookie", "a=1; Path=/"), ("set-cookie", "b=2; HttpOnly"), ("set-cookie", "c=3")]
    response = [
        remove_cookie("a"),
        rename_cookie("b", "d"),
        set_cookie("c", "4", attributes="Path=/; Secure; HttpOnly"),
    ]
    answer = answered(response, headers=sent)
    assert answer.headers.get_all("set-cookie") == ["d=2; HttpOnly", "c=4; Path=/; Secure; HttpOnly"]
    assert answered([remove_cookie("a")], headers=sent[:1]).headers.get_all("set-cookie") == []


def test_statuses(answered):
    response = [map_status({404: 410, "4xx": 400, r"50[234]": 503})]
    statuses = {status: answered(response, status).status for status in (200, 404, 422, 500, 502, 503)}
    assert statuses == {200: 200, 404: 410, 422: 400, 500: 500, 502: 503, 503: 503}


def test_what_has_a_meaning_of_its_own_keeps_its_status(answered):
    assert answered([map_status({"2xx": 201})], 206, [("content-range", "bytes 0-1/9")]).status == 206
    assert answered([map_status({"[23].*": 201})], 304, body=b"").status == 304


def test_the_first_that_fits_is_chosen(answered):
    response = by_status(
        {
            "default": [set_header("x-case", "default")],
            "404": [set_header("x-case", "404"), map_status({404: 200})],
            "4xx": [set_header("x-case", "4xx"), map_body({"error": "$body"})],
            "5\\d{2}": [map_body({"failed": True})],
        }
    )
    assert answered(response, 200).headers.get("x-case") == "default"
    answer = answered(response, 404, JSON, b"{}")
    assert (answer.status, answer.headers.get("x-case"), answer.body) == (200, "404", b"{}")
    answer = answered(response, 422, JSON, b"1")
    assert (answer.headers.get("x-case"), answer.json()) == ("4xx", {"error": 1})
    answer = answered(response, 500, JSON, b'{"secret": 1}')
    assert (answer.headers.get("x-case"), answer.json()) == (None, {"failed": True})


def test_a_case_in_a_case(answered):
    inner = by_status({"404": [set_header("x-inner", "404")], "default": [set_header("x-inner", "else")]})
    response = [*by_status({"4xx": inner}), set_header("x-all", "1")]
    assert answered(response, 404).headers.get("x-inner") == "404"
    assert answered(response, 410).headers.get("x-inner") == "else"
    assert answered(response, 200).headers.get("x-inner") is None
    assert answered(response, 200).headers.get("x-all") == "1"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"request": [set_cookie("a b", "1")]}, "name of a cookie"),
        ({"request": [set_cookie("a", "1; b=2")]}, "can't stand in a cookie"),
        ({"request": [set_cookie("a", "1", attributes="Path=/")]}, "has no attributes"),
        ({"response": [set_cookie("a", "1", attributes="Path=/\r\nx: 1")]}, "can't stand behind"),
        ({"request": [rename_cookie("a", "b;")]}, "name of a cookie"),
        ({"request": [map_status({404: 200})]}, "no operation on a request"),
        ({"request": [*by_status({404: [set_header("a", "b")]})]}, "for answers"),
        ({"response": [map_status({})]}, "not a map"),
        ({"response": [map_status([404])]}, "not a map"),
        ({"response": [map_status({404: 204})]}, "whether there is a body"),
        ({"response": [map_status({404: "410"})]}, "can't be made"),
        ({"response": [map_status({304: 200})]}, "maps no status"),
        ({"response": [map_status({"(": 200})]}, "no pattern"),
        ({"response": [map_status({700: 200})]}, "fits no status"),
    ],
)
def test_mistakes(fields, reason):
    with pytest.raises(ConfigurationError, match=rf"test_cookies_and_status.py:.*{reason}"):
        Transform(**fields)


def test_a_case_that_is_no_pattern():
    with pytest.raises(ConfigurationError, match=r"test_cookies_and_status.py:.*fits no status"):
        by_status({"6xx": [set_header("a", "b")]})
