"""Answers that are made between the cache and the app, by components and by functions of the user's, which write fields as text.

Under ASGI the cache reads bytes: what such an answer says to caches must count there, too.
"""

from __future__ import annotations

from itertools import count

import pytest

from gatekeep import Cache, Route
from gatekeep.components import STANDARD
from gatekeep.errors import NotFound
from gatekeep.message import Response
from probes import probe


def inside(site, request, *, path="/x", cache=None, **options):
    """A client of a route whose component inside the cache answers so."""
    inner = probe("inner", request=request)
    specs = (cache or Cache(ttl=60), inner.spec)
    return site(routes=[Route(path, *specs)], order=[*STANDARD, inner.component], **options)


def session(number, **fields):
    return {"set-cookie": f"sid=of-{number}", "content-type": "text/plain", **fields}


@pytest.mark.parametrize("forbids", ["private", "no-store", None])
def test_what_it_forbids_to_keep_is_not_kept(site, forbids):
    numbers = count()
    said = {} if forbids is None else {"cache-control": forbids}
    client = inside(site, lambda exchange: Response(200, session(n := next(numbers), **said), b"secret of %d" % n))
    answers = [client.get("/x") for _ in range(3)]
    assert [answer.body for answer in answers] == [b"secret of 0", b"secret of 1", b"secret of 2"]
    assert [answer.headers.get("set-cookie") for answer in answers] == ["sid=of-0", "sid=of-1", "sid=of-2"]
    assert all("detail=" in answer.headers.get("cache-status") for answer in answers)


def test_what_it_allows_to_keep_comes_back_whole(site):
    numbers = count()
    client = inside(site, lambda exchange: Response(200, {"content-type": "text/plain", "x-a": "b"}, b"%d" % next(numbers)))
    first, again = client.get("/x"), client.get("/x")
    assert "stored" in first.headers.get("cache-status")
    assert "hit" in again.headers.get("cache-status")
    assert first.body == again.body == b"0"
    assert (again.headers.get("content-type"), again.headers.get("x-a")) == ("text/plain", "b")
    assert again.headers.get_all("x-request-id") != first.headers.get_all("x-request-id")


def test_what_it_varies_by_tells_answers_apart(site):
    def answer(exchange):
        who = exchange.request.header("x-who") or ""
        return Response(200, {"vary": "x-who"}, who.encode())

    client = inside(site, answer)
    asked = ["ann", "bob", "ann", "bob"]
    assert [client.get("/x", headers={"x-who": who}).body.decode() for who in asked] == asked


def test_a_refusal_in_words_of_ones_own_is_kept_as_they_allow(site):
    numbers = count()

    def refuse(exchange):
        raise NotFound("It is not there.")

    def own(denied, standard):
        return Response(denied.status, session(n := next(numbers), **{"cache-control": "no-store"}), b"not there, %d" % n)

    cache = Cache(ttl=60, negative_ttl=60)
    client = inside(site, refuse, cache=cache, gateway_responses={"4xx": own})
    assert [client.get("/x").headers.get("set-cookie") for _ in range(3)] == ["sid=of-0", "sid=of-1", "sid=of-2"]
