"""One set of test bodies for what a client sees, at every place: Flask, FastAPI and Django under WSGI and ASGI, put behind the

gateway in each way, in this process and behind gunicorn and uvicorn.

A place stays open for all of them, so each body has a view or a caller of its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from acceptance.places import Place, served
from acceptance.shop import ORIGIN, bearer
from components.authorizer.minting import mint
from gatekeep.testing import Answer, FakeClock

JSON = {"content-type": "application/json"}


def is_problem(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """That an answer is a refusal as RFC 9457 has it; gives its members."""
    assert answer.status == status, answer
    assert answer.headers.get("content-type") == "application/problem+json"
    assert answer.headers.get_all("content-length") == [str(len(answer.body))]
    problem = answer.json()
    assert problem.keys() >= {"type", "title", "status", "detail", "code", "request_id"}
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == answer.headers.get("x-request-id")
    assert isinstance(problem, dict)
    return problem


# Authorize.


def test_a_caller_without_a_token(place: Place) -> None:
    answer = place.get("/orders/7")
    is_problem(answer, 401, "token_missing")
    assert answer.headers.get("www-authenticate") == "Bearer"


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("not.a.token", "token_malformed"),
        (bearer("mallory", "orders:read", aud="other")["authorization"][7:], "invalid_audience"),
        (bearer("mallory", "orders:read", exp=1)["authorization"][7:], "token_expired"),
        (mint("secret", "HS256", sub="mallory", exp=4_000_000_000)[:-4] + "AAAA", "invalid_signature"),
    ],
)
def test_a_caller_with_a_bad_token(place: Place, token: str, code: str) -> None:
    answer = place.get("/orders/7", headers={"authorization": f"Bearer {token}"})
    is_problem(answer, 401, code)
    challenge = answer.headers.get("www-authenticate")
    assert challenge is not None
    assert challenge.startswith('Bearer error="invalid_token"')


def test_a_caller_with_a_good_token(place: Place) -> None:
    answer = place.get("/orders/7", headers=bearer("alice", "orders:read"))
    assert answer.status == 200
    assert answer.json() == {
        "id": 7,
        "caller": "alice",
        "route": answer.json()["route"],
        "stage": "live",
        "warehouse": "main",
    }
    assert answer.json()["route"].startswith("/orders/{order_id")


def test_a_caller_without_the_scope(place: Place) -> None:
    answer = place.get("/orders/7", headers=bearer("alice", "orders:write"))
    is_problem(answer, 403, "insufficient_scope")
    description = "The caller lacks a scope that this needs."
    challenge = f'Bearer error="insufficient_scope", error_description="{description}", scope="orders:read"'
    assert answer.headers.get("www-authenticate") == challenge


def test_head_has_the_policy_of_get(place: Place) -> None:
    refused = place.request("HEAD", "/orders/7")
    assert (refused.status, refused.body) == (401, b"")
    assert place.request("HEAD", "/orders/7", headers=bearer("alice")).status == 403
    assert place.request("HEAD", "/orders/7", headers=bearer("alice", "orders:read")).status == 200


def test_off_opts_out(place: Place) -> None:
    assert place.get("/health").json() == {"ok": True}


def test_what_is_no_route_is_the_frameworks_behind_the_defaults(place: Place) -> None:
    is_problem(place.get("/nowhere"), 401, "token_missing")
    assert place.get("/nowhere", headers=bearer()).status == 404
    assert place.request("DELETE", "/health", headers=bearer()).status == 405


def test_a_policy_over_paths_adds_to_the_views(place: Place) -> None:
    is_problem(place.get("/vault/gold"), 401, "token_missing")
    is_problem(place.get("/vault/gold", headers=bearer()), 403, "insufficient_scope")
    assert place.get("/vault/gold", headers=bearer("alice", "vault")).json() == {"name": "gold"}


# Throttle.


def test_more_requests_than_the_limit(place: Place) -> None:
    answers = [place.get("/limited") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert [(answer.headers.get("ratelimit") or "").partition(";t=")[0] for answer in answers] == [
        '"ip";r=2',
        '"ip";r=1',
        '"ip";r=0',
        '"ip";r=0',
    ]
    assert {answer.headers.get("ratelimit-policy") for answer in answers} == {'"ip";q=3;w=3600'}
    is_problem(answers[-1], 429, "throttled")
    assert 1 <= int(answers[-1].headers.get("retry-after") or "") <= 1200


def test_each_caller_has_a_bucket(place: Place) -> None:
    alice, bob = bearer(), bearer()
    assert [place.get("/metered", headers=alice).status for _ in range(3)] == [200, 200, 429]
    assert place.get("/metered", headers=bob).status == 200
    is_problem(place.get("/metered"), 401, "token_missing")


def test_report_mode_lets_through_and_says_so(place: Place) -> None:
    caller = bearer()
    first, second = place.get("/watched", headers=caller), place.get("/watched", headers=caller)
    assert (first.status, second.status) == (200, 200)
    assert second.json() == {"ok": True}
    assert "throttler:report:throttled" not in place.logged(first)["decisions"]
    assert "throttler:report:throttled" in place.logged(second)["decisions"]


def test_a_bucket_fills_with_time(open_shop: Any) -> None:
    clock, caller = FakeClock(), bearer()
    shop = open_shop(clock=clock)
    assert [shop.get("/metered", headers=caller).status for _ in range(3)] == [200, 200, 429]
    clock.advance(1799.0)
    refused = shop.get("/metered", headers=caller)
    assert (refused.status, refused.headers.get("retry-after")) == (429, "1")
    clock.advance(1.0)
    assert [shop.get("/metered", headers=caller).status for _ in range(2)] == [200, 429]


# Validate.


def test_a_valid_body_reaches_the_view_as_it_was_sent(place: Place) -> None:
    order = {"item": "tea, \u00e9", "amount": 3, "more": [1, None]}
    answer = place.post("/orders", body=json.dumps(order).encode(), headers={**bearer(), **JSON})
    assert (answer.status, answer.json()) == (201, order)


def test_every_violation_is_listed(place: Place) -> None:
    answer = place.post("/orders", body=b'{"item": 7, "amount": 0}', headers={**bearer(), **JSON})
    errors = is_problem(answer, 400, "invalid_request")["errors"]
    assert [(error["in"], error["pointer"], error["keyword"]) for error in errors] == [
        ("body", "/item", "type"),
        ("body", "/amount", "minimum"),
    ]
    assert "7" not in json.dumps([error["detail"] for error in errors])


def test_a_violated_parameter(place: Place) -> None:
    caller = bearer()
    [error] = is_problem(place.get("/search?limit=101", headers=caller), 400, "invalid_request")["errors"]
    assert (error["in"], error["pointer"], error["keyword"]) == ("query", "/limit", "maximum")
    assert place.get("/search?limit=100", headers=caller).json() == {"limit": "100"}


def test_a_content_type_that_the_route_does_not_take(place: Place) -> None:
    answer = place.post("/orders", body=b"<order/>", headers={**bearer(), "content-type": "text/xml"})
    is_problem(answer, 415, "unsupported_media_type")


def test_nobody_unknown_learns_what_is_valid(place: Place) -> None:
    is_problem(place.post("/orders", body=b"{", headers=JSON), 401, "token_missing")


# Transform.


def test_requests_and_answers_are_transformed(place: Place) -> None:
    sent = {**bearer("alice"), **JSON, "x-region": "us", "x-caller": "somebody else"}
    answer = place.post("/relay?limit=1&limit=2", body=b'{"a": 1}', headers=sent)
    said = {"region": "eu", "caller": "alice", "limit": ["5"], "body": {"a": 1}}
    assert (answer.status, answer.json()) == (200, {"wrapped": said})
    assert answer.headers.get("x-for") == "alice"
    assert "x-internal" not in answer.headers
    assert answer.headers.get_all("content-length") == [str(len(answer.body))]


# Cache.


def kept(answer: Answer) -> str:
    return answer.headers.get("cache-status") or ""


def test_an_answer_is_kept_for_its_caller_alone(place: Place) -> None:
    alice, bob = bearer(), bearer()
    first = place.get("/mine", headers=alice)
    assert kept(first) == "gatekeep; fwd=miss; stored"
    again = [place.get("/mine", headers=alice) for _ in range(5)]
    # A server's thread may keep its copy a moment after the client has the answer.
    assert any(kept(answer).startswith("gatekeep; hit") and "age" in answer.headers for answer in again)
    assert all(answer.body in {first.body, *(each.body for each in again)} for answer in again)
    others = place.get("/mine", headers=bob)
    assert kept(others) == "gatekeep; fwd=miss; stored"
    assert others.json()["caller"] != first.json()["caller"]
    assert {answer.json()["caller"] for answer in again} == {first.json()["caller"]}
    is_problem(place.get("/mine"), 401, "token_missing")


def test_one_caller_with_other_scopes_is_another(place: Place) -> None:
    few, many = place.get("/mine", headers=bearer("carol", "a")), place.get("/mine", headers=bearer("carol", "a", "b"))
    assert few.json()["run"] != many.json()["run"]


def test_both_chunks_of_a_stream_are_kept(place: Place) -> None:
    answers = [place.get("/news?of=today") for _ in range(6)]
    hits = [answer for answer in answers if kept(answer).startswith("gatekeep; hit")]
    assert hits
    streamed = {answer.body for answer in answers if answer not in hits}
    for answer in hits:
        assert answer.body in streamed
        assert answer.body.startswith(b"first\nsecond ")
        assert answer.headers.get_all("content-length") == [str(len(answer.body))]
    head = place.request("HEAD", "/news?of=today")
    assert (head.status, head.body) == (200, b"")
    assert kept(head).startswith("gatekeep; hit")


def test_an_answer_is_kept_for_its_time(open_shop: Any) -> None:
    clock, caller = FakeClock(), bearer()
    shop = open_shop(clock=clock)
    first = shop.get("/mine", headers=caller)
    clock.advance(59.0)
    second = shop.get("/mine", headers=caller)
    assert (second.body, second.headers.get("age")) == (first.body, "59")
    clock.advance(1.0)
    assert shop.get("/mine", headers=caller).json()["run"] > first.json()["run"]


def test_a_stream_that_is_kept_still_comes_in_chunks(open_shop: Any) -> None:
    shop = open_shop()
    first, second = shop.get("/news"), shop.get("/news")
    assert [chunk[:6] for chunk in first.chunks] == [b"first\n", b"second"]
    assert (second.body, kept(second)[:15]) == (first.body, "gatekeep; hit; ")


def test_many_callers_at_once_get_their_own(open_shop: Any) -> None:
    shop = open_shop()
    callers = [f"caller-{number % 8}" for number in range(48)]
    answers = shop.gather([("GET", "/mine", {"headers": bearer(caller)}) for caller in callers])
    assert [answer.json()["caller"] for answer in answers] == callers


# Stages.


def test_a_stage_by_its_path(place: Place) -> None:
    alice = bearer("alice", "orders:read")
    answer = place.get("/trial/orders/7", headers=alice)
    assert (answer.status, answer.json()["stage"], answer.json()["warehouse"]) == (200, "trial", "toy")
    assert answer.json()["route"] == place.get("/orders/7", headers=alice).json()["route"]


def test_a_stage_has_policies_of_its_own(place: Place) -> None:
    caller = bearer(None, "orders:read")
    assert [place.get("/trial/orders/7", headers=caller).status for _ in range(2)] == [200, 429]
    assert place.get("/orders/7", headers=caller).status == 200
    is_problem(place.get("/trial/vault/gold", headers=bearer()), 403, "insufficient_scope")


def test_stages_share_no_answer(open_shop: Any) -> None:
    shop, caller = open_shop(), bearer()
    live, trial = shop.get("/mine", headers=caller), shop.get("/trial/mine", headers=caller)
    assert live.json()["run"] != trial.json()["run"]
    assert kept(trial) == "gatekeep; fwd=miss; stored"
    assert shop.get("/mine", headers=caller).body == live.body


# CORS.


def test_a_preflight_needs_no_token(place: Place) -> None:
    asked = {"origin": ORIGIN, "access-control-request-method": "GET", "access-control-request-headers": "authorization"}
    answer = place.request("OPTIONS", "/orders/7", headers=asked)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers.get("access-control-allow-origin") == ORIGIN
    assert answer.headers.get("access-control-allow-headers") == "authorization"
    other = place.request("OPTIONS", "/orders/7", headers={**asked, "origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


def test_every_answer_may_be_read_from_the_origin(place: Place) -> None:
    for caller, status in [({}, 401), (bearer(), 403), (bearer("alice", "orders:read"), 200)]:
        answer = place.get("/orders/7", headers={**caller, "origin": ORIGIN})
        assert answer.status == status
        assert answer.headers.get_all("access-control-allow-origin") == [ORIGIN]
        assert "Origin" in (answer.headers.get("vary") or "")


# The access log.


def test_a_request_is_logged_once(place: Place) -> None:
    answer = place.get("/trial/orders/7?secret=1", headers={**bearer("dora", "orders:read"), "user-agent": "curl"})
    record = place.logged(answer)
    assert {name: record[name] for name in ("principal", "method", "path", "stage", "status", "outcome", "user_agent")} == {
        "principal": "dora",
        "method": "GET",
        "path": "/trial/orders/7",
        "stage": "trial",
        "status": 200,
        "outcome": "completed",
        "user_agent": "curl",
    }
    assert record["route"] == answer.json()["route"]
    assert record["client"] == "127.0.0.1"
    assert record["bytes"] == len(answer.body)


def test_a_refusal_is_logged_with_its_reason(place: Place) -> None:
    record = place.logged(place.get("/orders/7"))
    assert (record["status"], record["principal"], record["outcome"]) == (401, None, "completed")
    assert "authorizer:token_missing" in record["decisions"]


def test_no_two_requests_have_one_id(place: Place) -> None:
    ids = [place.get("/health", headers={"x-request-id": "mine"}).headers.get_all("x-request-id") for _ in range(3)]
    assert all(len(each) == 1 for each in ids)
    assert len({each[0] for each in ids} - {"mine"}) == 3


# Handshakes.


def test_a_handshake_behind_a_server(tmp_path: Path) -> None:
    with served("fastapi-uvicorn", tmp_path) as shop:
        url = f"ws://127.0.0.1:{shop.port}/feed"
        for caller, status in [({}, 401), (bearer("alice"), 403)]:
            with pytest.raises(InvalidStatus) as refused:
                connect(url, additional_headers=caller)
            assert refused.value.response.status_code == status
            assert refused.value.response.headers["content-type"] == "application/problem+json"
        with connect(f"ws://127.0.0.1:{shop.port}/trial/feed", additional_headers=bearer("alice", "orders:read")) as feed:
            assert json.loads(feed.recv()) == {"caller": "alice", "route": "/feed", "stage": "trial", "warehouse": "toy"}
