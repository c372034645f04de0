"""Conditions and ranges that a cached route answers by itself, under WSGI and ASGI (RFC 9110 §13, §14)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from origins import Origin, Says, date

from gatekeep.components.cache import Cache
from gatekeep.testing import FakeClock

BODY = b"0123456789"
FIELDS = ('ETag: "v1"', f"Last-Modified: {date(-100)}", "Content-Type: text/plain")


def filled(site: Any, *fields: str, status: int = 200, body: bytes = BODY, **options: Any) -> tuple[Any, Origin]:
    """A client of a route whose answer is stored."""
    origin = Origin(Says(fields, status, body))
    client = site(Cache(ttl=30, **options), view=origin, clock=FakeClock())
    client.get("/a")
    assert origin.runs == 1
    return client, origin


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-none-match": '"v1"'}, 304),
        ({"if-none-match": '"v0", W/"v1"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"v0"'}, 200),
        ({"if-modified-since": date(-100)}, 304),
        ({"if-modified-since": date(-101)}, 200),
        ({"if-modified-since": "soon"}, 200),
        ({"if-none-match": '"v0"', "if-modified-since": date()}, 200),
        ({"if-none-match": '"v1"', "range": "bytes=0-1"}, 304),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_hit_answers_conditions(site: Any, method: str, headers: dict[str, str], status: int) -> None:
    client, origin = filled(site, *FIELDS)
    answer = client.request(method, "/a", headers=headers)
    assert answer.status == status
    assert answer.body == (BODY if method == "GET" and status == 200 else b"")
    assert answer.headers.get("etag") == '"v1"'
    assert ("content-type" in answer.headers) is (status == 200)
    assert origin.runs == 1


def test_without_last_modified_the_date_counts(site: Any) -> None:
    client, _ = filled(site, f"Date: {date(-10)}")
    assert client.get("/a", headers={"if-modified-since": date(-10)}).status == 304
    assert client.get("/a", headers={"if-modified-since": date(-11)}).status == 200


@pytest.mark.parametrize(("kind", "prefix"), [("strong", '"'), ("weak", 'W/"')])
def test_an_entry_without_an_etag_gets_one(site: Any, kind: Any, prefix: str) -> None:
    client, origin = filled(site, etag=kind)
    tag = client.get("/a").headers.get("etag")
    assert tag is not None
    assert tag.startswith(prefix)
    assert client.get("/a").headers.get_all("etag") == [tag]
    assert client.get("/a", headers={"if-none-match": tag}).status == 304
    other, _ = filled(site, body=b"other", etag=kind)
    assert other.get("/a").headers.get("etag") != tag
    same, _ = filled(site, etag=kind)
    assert same.get("/a").headers.get("etag") == tag
    assert origin.runs == 1


def test_or_none_where_none_is_wanted(site: Any) -> None:
    client, _ = filled(site, etag=None)
    assert "etag" not in client.get("/a").headers


def test_what_is_no_200_gets_none(site: Any) -> None:
    client, _ = filled(site, status=404, negative_ttl=5)
    assert "etag" not in client.get("/a").headers
    assert client.get("/a", headers={"if-none-match": "*"}).status == 404


def test_a_miss_with_a_condition_fills_the_cache(site: Any) -> None:
    origin = Origin(Says(FIELDS, body=BODY))
    client = site(Cache(ttl=30), view=origin, clock=FakeClock())
    first = client.get("/a", headers={"if-none-match": '"v1"', "if-modified-since": date()})
    assert (first.status, first.body, first.headers.get("etag")) == (304, b"", '"v1"')
    assert "content-type" not in first.headers
    assert "content-length" not in first.headers
    assert origin.seen[0].headers.get("if-none-match") is None
    assert origin.seen[0].headers.get("if-modified-since") is None
    assert client.get("/a").body == BODY
    assert origin.runs == 1


def test_a_miss_with_a_condition_that_does_not_hold_gets_the_whole(site: Any) -> None:
    origin = Origin(Says(FIELDS, body=[b"01234", b"56789"]))
    client = site(Cache(ttl=30), view=origin)
    assert client.get("/a", headers={"if-none-match": '"v0"'}).body == BODY
    assert client.get("/a", headers={"if-none-match": '"v1"'}).status == 304
    assert origin.runs == 1


def test_a_condition_is_answered_for_an_answer_that_is_not_stored_either(site: Any) -> None:
    origin = Origin(Says([*FIELDS, "Cache-Control: no-store"], body=[b"01234", b"56789"]))
    client = site(Cache(ttl=30), view=origin)
    for _ in range(2):
        answer = client.get("/a", headers={"if-none-match": '"v1"'})
        assert (answer.status, answer.body) == (304, b"")
    assert origin.runs == 2


@pytest.mark.parametrize(
    ("headers", "status", "content_range", "body"),
    [
        ({"range": "bytes=2-4"}, 206, "bytes 2-4/10", b"234"),
        ({"range": "bytes=8-"}, 206, "bytes 8-9/10", b"89"),
        ({"range": "bytes=-1"}, 206, "bytes 9-9/10", b"9"),
        ({"range": "bytes=10-"}, 416, "bytes */10", b""),
        ({"range": "bytes=x"}, 200, None, BODY),
        ({"range": "lines=1-2"}, 200, None, BODY),
        ({"range": "bytes=2-4", "if-range": '"v1"'}, 206, "bytes 2-4/10", b"234"),
        ({"range": "bytes=2-4", "if-range": '"v0"'}, 200, None, BODY),
        ({"range": "bytes=2-4", "if-range": date(-100)}, 206, "bytes 2-4/10", b"234"),
    ],
)
def test_ranges_of_a_hit(site: Any, headers: dict[str, str], status: int, content_range: str | None, body: bytes) -> None:
    client, origin = filled(site, *FIELDS)
    answer = client.get("/a", headers=headers)
    assert (answer.status, answer.headers.get("content-range"), answer.body) == (status, content_range, body)
    assert answer.headers.get_all("content-length") == [str(len(body))]
    assert answer.headers.get("etag") == '"v1"'
    assert origin.runs == 1
    assert client.request("HEAD", "/a", headers=headers).status == 200


def test_several_ranges_of_a_hit(site: Any) -> None:
    client, _ = filled(site, *FIELDS)
    answer = client.get("/a", headers={"range": "bytes=0-1,-2"})
    assert answer.status == 206
    kind, _, boundary = answer.headers.get("content-type").partition("; boundary=")
    assert kind == "multipart/byteranges"
    assert answer.headers.get("content-length") == str(len(answer.body))
    part = "--{}\r\nContent-Type: text/plain\r\nContent-Range: bytes {}/10\r\n\r\n{}\r\n"
    assert answer.body.decode() == part.format(boundary, "0-1", "01") + part.format(boundary, "8-9", "89") + f"--{boundary}--\r\n"
    assert "content-range" not in answer.headers


def test_a_range_of_what_is_not_stored_is_the_app_s(site: Any) -> None:
    def view(request: Any) -> Any:
        seen.append(request.headers.get("if-none-match"))
        if request.headers.get("range") is not None:
            return 206, [("content-range", "bytes 0-1/10")], b"01"
        return 200, [("etag", '"v1"')], BODY

    seen: list[str | None] = []
    client = site(Cache(ttl=30), view=view)
    part = client.get("/a", headers={"range": "bytes=0-1", "if-none-match": '"v0"'})
    assert (part.status, part.body, part.headers.get("cache-status")) == (206, b"01", "gatekeep; fwd=miss; detail=status")
    assert client.get("/a").body == BODY
    assert client.get("/a", headers={"range": "bytes=0-1"}).headers.get("content-range") == "bytes 0-1/10"
    assert seen == ['"v0"', None]


def test_a_stale_answer_that_still_holds_serves_ranges_and_conditions(site: Any) -> None:
    clock = FakeClock()
    origin = Origin(Says(FIELDS, body=BODY))
    client = site(Cache(ttl=30), view=origin, clock=clock)
    client.get("/a")
    clock.advance(30)
    assert client.get("/a", headers={"range": "bytes=0-1"}).body == b"01"
    clock.advance(30)
    assert client.get("/a", headers={"if-none-match": '"v1"'}).status == 304
    clock.advance(30)
    head = client.request("HEAD", "/a")
    assert (head.status, head.body, head.headers.get("content-length")) == (200, b"", "10")
    assert [request.headers.get("if-none-match") for request in origin.seen] == [None, '"v1"', '"v1"', '"v1"']


def test_an_answer_that_streams_is_cut_like_any_other(site: Any) -> None:
    def chunks() -> Iterable[bytes]:
        yield b"01234"
        yield b"56789"

    client = site(Cache(ttl=30), view=Origin(Says(body=chunks())))
    client.get("/a")
    assert client.get("/a", headers={"range": "bytes=4-5"}).body == b"45"
