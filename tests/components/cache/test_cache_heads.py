"""The short ways of a head and of a conditional hit come to what the long ones do."""

from __future__ import annotations

from typing import Any

import pytest
from cache_kit import terms
from hypothesis import given
from hypothesis import strategies as st

from gatekeep import Cache, Route
from gatekeep.components.cache.form import FORMS
from gatekeep.components.cache.head import UNTOLD, Answered, plain_reader
from gatekeep.components.cache.policy import refusal
from gatekeep.testing import FakeClock

MAX_ENTRY = 1_000
TERMS = terms(ttl=30.0, max_entry=MAX_ENTRY)
VALUES = {
    "content-type": ["application/json", "text/event-stream", "Text/Event-Stream; charset=utf-8", ""],
    "content-length": ["0", "1000", "1001", "-1", "ten", "", " 12 "],
    "cache-control": ["no-store", "max-age=60"],
    "set-cookie": ["a=b"],
    "vary": ["accept", "*"],
    "x-served": ["1", "2"],
    "connection": ["x-served"],
    "x-request-id": ["abc"],
    "age": ["7"],
}
FIELDS = [(name, value) for name, values in VALUES.items() for value in values]
SPELLINGS = st.sampled_from([str, str.title, str.upper])


def native(protocol: str, pairs: list[tuple[str, str]]) -> tuple[Any, ...]:
    if protocol == "wsgi":
        return tuple(pairs)
    return tuple([(name.encode(), value.encode()) for name, value in pairs])


@pytest.mark.parametrize("protocol", ["asgi", "wsgi"])
@given(st.lists(st.tuples(st.sampled_from(FIELDS), SPELLINGS), max_size=5))
def test_what_a_plain_head_keeps_is_what_reading_all_of_it_keeps(protocol: Any, fields: list[Any]) -> None:
    form = FORMS[protocol]
    pairs = native(protocol, [(spell(name), value) for (name, value), spell in fields])
    kept = plain_reader(form, MAX_ENTRY)(pairs)
    if kept is None:
        return
    whole = Answered(200, list(pairs), form)
    assert refusal("GET", whole, TERMS, 30.0) is None
    assert not whole.vary
    assert whole.age == 0
    assert list(kept.pairs) == whole.pairs
    assert (None if kept.length == UNTOLD else kept.length) == whole.length


@pytest.mark.parametrize(
    ("pairs", "length"),
    [
        ([], UNTOLD),
        ([("content-type", "text/plain"), ("content-length", "12")], 12),
        ([("X-Served", "1"), ("Content-Length", "0")], 0),
        ([("content-length", str(MAX_ENTRY))], MAX_ENTRY),
        ([("content-length", str(MAX_ENTRY + 1))], None),
        ([("content-length", "12"), ("Content-Length", "12")], None),
        ([("Content-Type", "text/event-stream")], None),
        ([("SET-COOKIE", "a=b")], None),
        ([("Vary", "accept")], None),
    ],
)
@pytest.mark.parametrize("protocol", ["asgi", "wsgi"])
def test_plain_heads(protocol: Any, pairs: list[tuple[str, str]], length: int | None) -> None:
    for _ in range(2):  # known the second time
        kept = plain_reader(FORMS[protocol], MAX_ENTRY)(native(protocol, pairs))
        assert (None if kept is None else kept.length) == length


def test_a_conditional_hit(site) -> None:
    clock = FakeClock()
    runs = []

    def view(request):
        runs.append(request)
        return (200, [("content-type", "text/plain"), ("content-language", "en"), ("x-kept", "1")], b"body")

    client = site(clock=clock, view=view, routes=[Route("/orders/{id}", Cache(ttl=30))])
    client.get("/orders/1")
    tag = client.get("/orders/1").headers.get("etag")
    assert tag
    for sent in (tag, f'"other", {tag}', "*", f"W/{tag}"):
        answer = client.get("/orders/1", headers={"if-none-match": sent})
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers.get("x-kept") == "1"
        assert answer.headers.get("etag") == tag
        assert answer.headers.get("content-language") is None
        assert answer.headers.get("age") == "0"
    clock.advance(2)
    assert client.get("/orders/1", headers={"if-none-match": tag}).headers.get("age") == "2"
    assert client.get("/orders/1", headers={"if-none-match": tag}).headers.get("age") == "2"
    other = client.get("/orders/1", headers={"if-none-match": '"other"'})
    assert (other.status, other.body) == (200, b"body")
    head = client.request("HEAD", "/orders/1", headers={"if-none-match": '"other"'})
    assert (head.status, head.body) == (200, b"")
    assert client.request("HEAD", "/orders/1", headers={"if-none-match": tag}).status == 304
    assert len(runs) == 1


@pytest.mark.parametrize("field", ["last-modified", "date"])
def test_a_hit_that_is_asked_for_by_its_date(site, field) -> None:
    clock = FakeClock()
    made = "Tue, 15 Nov 1994 12:45:26 GMT"
    client = site(
        clock=clock, view=lambda request: (200, [(field, made)], b"body"), routes=[Route("/orders/{id}", Cache(ttl=30))]
    )
    for _ in range(2):
        client.get("/orders/1")
    assert client.get("/orders/1", headers={"if-modified-since": made}).status == 304
    assert client.get("/orders/1", headers={"if-modified-since": "Tue, 15 Nov 1994 12:45:25 GMT"}).status == 200
    # An entity tag beats a date (RFC 9110 §13.2.2).
    both = {"if-modified-since": made, "if-none-match": '"other"'}
    assert client.get("/orders/1", headers=both).status == 200


def test_an_app_whose_heads_never_repeat(site) -> None:
    runs = iter(range(10_000))

    def view(request):
        return (200, [("content-type", "text/plain"), ("x-run", str(next(runs)))], b"body")

    client = site(clock=FakeClock(), view=view, routes=[Route("/orders/{id}", Cache(ttl=30))])
    for number in range(600):
        assert client.get(f"/orders/{number}").headers.get("cache-status") == "gatekeep; fwd=miss; stored"
    assert client.get("/orders/599").headers.get("x-run") == "599"
    assert client.get("/orders/0").headers.get("x-run") == "0"
