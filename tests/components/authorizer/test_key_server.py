"""The life of a published key set: fetched once, refreshed off the request path, kept when the issuer is down, bounded always."""

from __future__ import annotations

import gzip
import json
import logging
import threading

import pytest

from components.authorizer.minting import (
    AUDIENCE,
    ISSUER,
    KeyServer,
    b64,
    bearer,
    claims,
    jwk,
    jwks,
    mint,
    send,
    sign,
)
from gatekeep.components.authorizer import ANY, JWT, Authorize, any_of, fetch, key_server
from gatekeep.effects import Io
from gatekeep.errors import DependencyError
from gatekeep.routing import Route
from gatekeep.testing import FakeClock
from patience import until

DAY = 86_400.0


def code(answer) -> str:
    return answer.json().get("code") if answer.status != 200 else ""


class Setting:
    """A gateway whose keys come from the key server, and the clock of both."""

    def __init__(self, site, server: KeyServer, /, **options):
        self.clock = FakeClock()
        self.issuer = server
        self.authenticator = JWT(**{"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": server.jwks_url, **options})
        self.client = site(Authorize(self.authenticator), clock=self.clock)

    def get(self, token):
        return self.client.get("/", headers=bearer(token))

    def code(self, key="rsa", **changes) -> str:
        """What becomes of a token never seen before; "" for 200."""
        self.serial = getattr(self, "serial", 0) + 1
        return code(self.get(mint(key, jti=str(self.serial), exp=int(self.clock.wall()) + 60, **changes)))

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and the background do what is due."""
        self.clock.advance(seconds)
        self.client.gateway.runner.run_due()

    @property
    def fetches(self) -> int:
        return len(self.issuer.asked)


@pytest.fixture
def setting(site, issuer) -> Setting:
    return Setting(site, issuer)


# Fetching.


def test_keys_are_fetched_once(setting):
    assert [setting.code() for _ in range(5)] == [""] * 5
    assert setting.issuer.asked == ["/jwks"]


def test_the_issuer_alone_says_where_its_keys_are(site, issuer):
    setting = Setting(site, issuer, issuer=issuer.url, jwks_url=None)
    assert setting.code(iss=issuer.url) == ""
    assert issuer.asked == ["/.well-known/openid-configuration", "/jwks"]
    setting.pass_time(250)
    assert issuer.asked[2:] == ["/jwks"]


def test_an_issuer_with_a_slash_at_its_end(site, issuer):
    name = issuer.url + "/"
    issuer.documents["/.well-known/openid-configuration"] = {"issuer": name, "jwks_uri": issuer.jwks_url}
    assert Setting(site, issuer, issuer=name, jwks_url=None).code(iss=name) == ""


def test_where_the_keys_are_is_asked_again_after_a_failure(site, issuer):
    setting = Setting(site, issuer, issuer=issuer.url, jwks_url=None)
    assert setting.code(iss=issuer.url) == ""
    issuer.documents["/moved"] = jwks("rsa")
    issuer.documents["/.well-known/openid-configuration"]["jwks_uri"] = f"{issuer.url}/moved"
    del issuer.documents["/jwks"]
    setting.pass_time(250)
    setting.pass_time(30)
    assert issuer.asked[-3:] == ["/jwks", "/.well-known/openid-configuration", "/moved"]


def test_many_first_requests_cause_one_fetch(setting, monkeypatch):
    """The answer is held back until a crowd waits for it."""
    crowd = 40
    waiting = []
    real = key_server.RemoteKeys.seek

    def seek(self, *args):
        waiting.append(1)
        if len(waiting) >= crowd:
            setting.issuer.gate.set()
        return real(self, *args)

    monkeypatch.setattr(key_server.RemoteKeys, "seek", seek)
    setting.issuer.gate.clear()
    answers = setting.client.gather([("GET", "/", {"headers": bearer(mint(jti=str(n)))}) for n in range(200)])
    assert {answer.status for answer in answers} == {200}
    assert len(waiting) >= crowd
    assert setting.fetches == 1


def test_many_first_requests_of_unknown_keys_cause_one_fetch(setting, monkeypatch):
    assert setting.code() == ""
    crowd = 40
    waiting = []
    real = key_server.RemoteKeys.seek

    def seek(self, *args):
        waiting.append(1)
        if len(waiting) >= crowd:
            setting.issuer.gate.set()
        return real(self, *args)

    monkeypatch.setattr(key_server.RemoteKeys, "seek", seek)
    setting.issuer.gate.clear()
    setting.issuer.publish("rsa", "rsa-2")
    answers = setting.client.gather([("GET", "/", {"headers": bearer(mint("rsa-2", jti=str(n)))}) for n in range(200)])
    assert {answer.status for answer in answers} == {200}
    assert setting.fetches == 2


def test_known_keys_wait_for_no_fetch(setting):
    """While the answer to a search for one key is held back, tokens of another pass."""
    assert setting.code() == ""
    setting.issuer.reached.clear()
    setting.issuer.gate.clear()
    searching = threading.Thread(target=setting.client.gateway.runner.run_due)
    setting.clock.advance(250)
    searching.start()
    assert setting.issuer.reached.wait(60)
    assert [setting.code() for _ in range(3)] == [""] * 3
    setting.issuer.gate.set()
    searching.join()
    assert setting.fetches == 2


# Refreshing.


def test_keys_are_refreshed_in_the_background_before_they_are_old(setting):
    assert setting.code() == ""
    setting.pass_time(239)
    assert setting.fetches == 1
    setting.pass_time(1)
    assert setting.fetches == 2
    setting.clock.advance(1000)
    assert setting.code() == ""
    assert setting.fetches == 2, "no request fetches while there are good keys"


def test_a_key_that_stays_keeps_its_tokens(setting, monkeypatch):
    token = mint(exp=int(setting.clock.wall()) + 900)
    assert setting.get(token).status == 200
    setting.issuer.publish("rsa", "rsa-2")
    setting.pass_time(250)
    monkeypatch.setattr("gatekeep.components.authorizer.keys.Key.verifies", lambda *args: pytest.fail("verified again"))
    assert setting.get(token).status == 200


def test_a_key_that_goes_takes_its_tokens_along(setting):
    token = mint(exp=int(setting.clock.wall()) + 900)
    assert setting.get(token).status == 200
    setting.issuer.publish("rsa-2")
    setting.pass_time(250)
    assert code(setting.get(token)) == "unknown_key"
    assert setting.code("rsa-2") == ""


def test_a_key_that_comes_back_is_good_again(setting):
    token = mint(exp=int(setting.clock.wall()) + 900)
    assert setting.get(token).status == 200
    setting.issuer.publish("rsa-2")
    setting.pass_time(250)
    setting.issuer.publish("rsa")
    setting.pass_time(250)
    assert setting.get(token).status == 200


def test_a_key_replaced_under_its_id_is_another_key(setting):
    """What the old key refused, and what it let through, is judged anew."""
    good, bad = mint(), mint("rsa-2", header={"kid": "rsa"})
    assert setting.get(good).status == 200
    assert code(setting.get(bad)) == "invalid_signature"
    setting.issuer.documents["/jwks"] = {"keys": [jwk("rsa-2", kid="rsa")]}
    setting.pass_time(250)
    assert code(setting.get(good)) == "invalid_signature"
    assert setting.get(bad).status == 200


# Rotation and unknown keys.


def test_a_rotated_key_works_within_one_fetch(setting):
    assert setting.code() == ""
    setting.issuer.publish("rsa", "rsa-2")
    assert setting.code("rsa-2") == ""
    assert setting.code() == ""
    assert setting.fetches == 2


def test_a_rotation_that_was_worth_it_starts_no_cool_down(setting):
    assert setting.code() == ""
    for names in (("rsa", "rsa-2"), ("rsa-2", "ec-256")):
        setting.issuer.publish(*names)
        alg = {"ec-256": "ES256"}.get(names[1], "RS256")
        assert setting.code(names[1], alg=alg) == ""
    assert setting.fetches == 3


def test_unknown_keys_cost_one_fetch_per_cool_down(setting):
    assert setting.code() == ""
    assert {setting.code(header={"kid": f"made-up-{n}"}) for n in range(50)} == {"unknown_key"}
    assert setting.fetches == 2
    assert setting.code() == ""
    setting.clock.advance(29)
    assert setting.code(header={"kid": "another"}) == "unknown_key"
    assert setting.fetches == 2
    setting.clock.advance(1)
    assert setting.code(header={"kid": "another"}) == "unknown_key"
    assert setting.fetches == 3


def test_a_background_refresh_starts_no_cool_down(setting):
    assert setting.code() == ""
    setting.pass_time(250)
    setting.issuer.publish("rsa-2")
    assert setting.code("rsa-2") == ""


def test_an_unknown_key_is_not_remembered_as_bad(setting):
    token = mint("rsa-2", exp=int(setting.clock.wall()) + 900)
    assert code(setting.get(token)) == "unknown_key"
    setting.issuer.publish("rsa", "rsa-2")
    setting.pass_time(250)
    assert setting.get(token).status == 200


def test_tokens_of_strangers_cost_no_fetch(setting):
    assert setting.code() == ""
    assert setting.code("rsa-2", iss="https://evil.example") == "invalid_issuer"
    assert setting.code(header={"alg": "none", "kid": "x"}) == "unsupported_algorithm"
    unnamed = sign("ec-256", {"alg": "ES256"}, claims(), "ES256")
    assert code(setting.get(unnamed)) == "unknown_key"
    wrong_kind = sign("ec-256", {"alg": "ES256", "kid": "rsa"}, claims(), "ES256")
    assert code(setting.get(wrong_kind)) == "unsupported_algorithm"
    assert setting.fetches == 1


# The issuer is down.


def test_the_last_good_keys_hold_for_a_day(setting, caplog):
    token = mint(exp=int(setting.clock.wall()) + 3 * int(DAY))
    assert setting.get(token).status == 200
    setting.issuer.fail()
    with caplog.at_level(logging.WARNING, "gatekeep.authorizer"):
        for _ in range(3):
            setting.pass_time(DAY / 4)
            assert setting.code() == ""
            assert setting.get(token).status == 200
    assert "answered 500" in caplog.text
    setting.pass_time(DAY / 4)
    assert setting.code() == "keys_unavailable"
    assert setting.get(token).status == 503, "a remembered token is worth no more than its key"
    setting.issuer.recover()
    setting.clock.advance(1)
    assert setting.code() == ""
    assert setting.get(token).status == 200


def test_how_long_they_hold_can_be_said(site, issuer):
    setting = Setting(site, issuer, keep=600, lifetime=60)
    assert setting.code() == ""
    issuer.fail()
    setting.pass_time(599)
    assert setting.code() == ""
    setting.pass_time(1)
    assert setting.code() == "keys_unavailable"


def test_the_background_tries_again_until_the_issuer_is_back(setting):
    assert setting.code() == ""
    setting.issuer.fail()
    setting.pass_time(250)
    setting.pass_time(30)
    assert setting.fetches == 3
    setting.issuer.recover()
    setting.pass_time(30)
    setting.pass_time(30)
    assert setting.fetches == 4


def test_without_any_key_the_door_is_closed(setting):
    setting.issuer.fail()
    answer = setting.get(mint())
    assert (answer.status, code(answer)) == (503, "keys_unavailable")
    assert setting.fetches == 1
    assert setting.code() == "keys_unavailable"
    assert setting.fetches == 1, "for a moment it is not asked again"
    setting.issuer.recover()
    setting.clock.advance(1)
    assert setting.code() == ""


def test_the_moment_begins_when_a_slow_issuer_has_failed(setting, monkeypatch):
    """Else one request after the other would wait for an issuer that hangs, each with a worker of its own."""
    asked = []

    def hangs():
        asked.append(setting.clock.monotonic())
        setting.clock.advance(3)
        raise DependencyError("no answer")

    async def hangs_too():
        hangs()

    monkeypatch.setattr(key_server, "fetch_object", lambda url, timeout=None: Io(hangs, hangs_too))
    assert [setting.code() for _ in range(3)] == ["keys_unavailable"] * 3
    assert len(asked) == 1
    setting.clock.advance(1)
    assert setting.code() == "keys_unavailable"
    assert len(asked) == 2


def test_an_unknown_key_can_not_be_judged_while_the_issuer_is_down(setting):
    assert setting.code() == ""
    setting.issuer.fail()
    assert {setting.code("rsa-2") for _ in range(5)} == {"keys_unavailable"}
    assert setting.fetches == 2
    assert setting.code() == ""
    setting.issuer.recover()
    setting.issuer.publish("rsa", "rsa-2")
    setting.clock.advance(30)
    assert setting.code("rsa-2") == ""


def test_nobody_listens(site, issuer):
    with KeyServer() as gone:
        url = gone.jwks_url
    assert Setting(site, issuer, jwks_url=url).code() == "keys_unavailable"


def redirect(handler):
    """To another host: what looks like this one is what an attacker would take."""
    send(handler, 302, b"", location=f"http://localhost:{handler.server.server_port}/jwks")


def drip(handler, released):
    """All of it in the end, and something of it again and again, but slowly."""
    body = json.dumps(jwks("rsa")).encode()
    handler.send_response(200)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    for byte in body:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        released.wait(0.02)


def hang(handler, released):
    released.wait(60)
    send(handler, 200, json.dumps(jwks("rsa")).encode())


def cut_off(handler):
    handler.send_response(200)
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"keys"')
    handler.close_connection = True


def document(body, **headers):
    return lambda handler: send(handler, 200, body if isinstance(body, bytes) else json.dumps(body).encode(), **headers)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda handler: send(handler, 404, b""), id="not found"),
        pytest.param(lambda handler: send(handler, 204, b""), id="no content"),
        pytest.param(redirect, id="a redirect"),
        pytest.param(cut_off, id="cut off"),
        pytest.param(document(b"<html>"), id="not JSON"),
        pytest.param(document(b"[]"), id="a list"),
        pytest.param(document(b'{"keys":[],"keys":[]}'), id="a member twice"),
        pytest.param(document(b'{"keys":"' + b"x" * 150_000 + b'"}'), id="too large"),
        pytest.param(document({}), id="no keys"),
        pytest.param(document({"keys": "rsa"}), id="keys that are text"),
        pytest.param(document({"keys": []}), id="no key"),
        pytest.param(document({"keys": [{"kty": "RSA"}, "x", 7, None]}), id="no usable key"),
        pytest.param(document({"keys": [jwk("secret")]}), id="a symmetric key"),
        pytest.param(document({"keys": [jwk("rsa-1024")]}), id="a weak key"),
        pytest.param(document({"keys": [jwk("rsa", d="AQAB")]}), id="a private key"),
        pytest.param(document({"keys": [jwk("rsa", use="enc")]}), id="a key for encryption"),
        pytest.param(document(gzip.compress(json.dumps(jwks("rsa")).encode()), content_encoding="gzip"), id="compressed"),
    ],
)
def test_what_is_no_key_set_changes_nothing(setting, answer):
    setting.issuer.answer = answer
    assert setting.code() == "keys_unavailable"
    setting.issuer.recover()
    setting.clock.advance(1)
    assert setting.code() == ""
    setting.issuer.answer = answer
    setting.pass_time(250)
    assert setting.code() == ""
    assert setting.fetches == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": 7},
        {"jwks_uri": "http://id.example.com/jwks"},
        {"jwks_uri": "ftp://127.0.0.1/jwks"},
    ],
)
def test_a_discovery_document_that_does_not_fit(site, issuer, changes):
    issuer.documents["/.well-known/openid-configuration"].update(changes)
    assert Setting(site, issuer, issuer=issuer.url, jwks_url=None).code(iss=issuer.url) == "keys_unavailable"
    assert issuer.asked == ["/.well-known/openid-configuration"]


def test_a_remote_issuer_can_not_point_to_this_host(site, issuer, monkeypatch):
    from gatekeep.effects import Io

    name = "https://id.example.com"

    async def found():
        return {"issuer": name, "jwks_uri": issuer.jwks_url}

    monkeypatch.setattr(key_server, "fetch_object", lambda url: Io(lambda: {"issuer": name, "jwks_uri": issuer.jwks_url}, found))
    setting = Setting(site, issuer, issuer=name, jwks_url=None)
    assert setting.code(iss=name) == "keys_unavailable"


def test_a_redirect_within_the_host_is_followed(setting):
    def moved(handler):
        if handler.path == "/jwks":
            send(handler, 307, b"", location="keys/v2")
        else:
            send(handler, 200, json.dumps(jwks("rsa")).encode())

    setting.issuer.answer = moved
    assert setting.code() == ""
    assert setting.issuer.asked == ["/jwks", "/keys/v2"]


@pytest.mark.parametrize(
    "location",
    [
        "http://localhost:{port}/jwks",
        "http://127.0.0.1:1/jwks",
        "https://127.0.0.1:{port}/jwks",
        "//evil.example/jwks",
        "http://[",
        "/jwks",
    ],
)
def test_no_other_redirect_is(setting, location, caplog):
    setting.issuer.answer = lambda handler: send(handler, 302, b"", location=location.format(port=handler.server.server_port))
    assert setting.code() == "keys_unavailable"
    assert setting.fetches == (4 if location == "/jwks" else 1), "a circle ends"
    assert "redirects" in caplog.text


@pytest.mark.parametrize("answer", [drip, hang])
def test_slow_answers_are_not_waited_for(setting, monkeypatch, answer):
    released = threading.Event()
    setting.issuer.answer = lambda handler: answer(handler, released)
    with monkeypatch.context() as impatient:
        for module in (fetch, key_server):
            impatient.setattr(module, "TIMEOUT", 0.1)
        assert setting.code() == "keys_unavailable"
    released.set()


def test_who_waits_for_a_flight_gives_up_in_time(setting, protocol, monkeypatch):
    """And the flight goes on without them."""
    fetch_object = key_server.fetch_object
    monkeypatch.setattr(key_server, "fetch_object", lambda url, timeout: fetch_object(url))
    setting.issuer.gate.clear()
    setting.client.run(setting.client.gateway.start())  # starts the flight: at once in a thread, with the next request on a loop
    if protocol == "wsgi":
        assert setting.issuer.reached.wait(60)
    with monkeypatch.context() as impatient:
        impatient.setattr(key_server, "TIMEOUT", 0.05)
        answers = setting.client.gather([("GET", "/", {"headers": bearer(mint(jti=str(n)))}) for n in range(3)])
    assert [code(answer) for answer in answers] == ["keys_unavailable"] * 3
    setting.issuer.gate.set()
    assert setting.code() == ""
    assert setting.fetches == 1


def test_a_bad_key_does_not_spoil_the_others(setting, caplog):
    setting.issuer.documents["/jwks"] = {"keys": [jwk("secret"), jwk("rsa-1024"), {"kty": "new"}, "text", jwk("rsa"), jwk("rsa")]}
    with caplog.at_level(logging.WARNING, "gatekeep.authorizer"):
        assert setting.code() == ""
        setting.pass_time(250)
    assert caplog.text.count("is left out") == 4, "once, not with each refresh"
    assert setting.code("secret", alg="HS256") == "unsupported_algorithm"
    assert setting.code("rsa-1024") == "unknown_key"


# Life.


def test_who_looked_just_before_a_fetch_landed_causes_no_other(setting, protocol):
    old = key_server._EMPTY
    assert setting.code() == ""
    authorizer = next(c for c in setting.client.gateway.components if c.name == "authorizer")
    keys = authorizer.verifier(setting.authenticator, protocol)._trusts[ISSUER].keys
    assert setting.client.run(keys.seek("rsa", "RS256", old)) is keys.keys.find("rsa", "RS256")
    assert setting.client.run(keys.seek("other", "RS256", old)) is None
    assert setting.fetches == 1


def test_starting_twice_refreshes_once(setting):
    assert setting.code() == ""
    gateway = setting.client.gateway
    setting.client.run(next(c for c in gateway.components if c.name == "authorizer").start())
    setting.pass_time(250)
    assert setting.fetches == 2


def test_close_ends_the_refreshing(setting):
    assert setting.code() == ""
    gateway = setting.client.gateway
    assert gateway.runner.restless
    setting.client.run(next(c for c in gateway.components if c.name == "authorizer").close())
    assert not gateway.runner.restless
    setting.pass_time(1000)
    assert setting.fetches == 1


def test_closing_what_never_started(setting):
    setting.client.run(next(c for c in setting.client.gateway.components if c.name == "authorizer").close())
    assert setting.fetches == 0


def test_an_authenticator_that_comes_late_is_started_too(site, issuer, protocol):
    client = site(Authorize(JWT(ISSUER, AUDIENCE, keys=jwks("rsa"))), clock=FakeClock())
    assert client.get("/", headers=bearer(mint())).status == 200
    authorizer = next(c for c in client.gateway.components if c.name == "authorizer")
    late = JWT(ISSUER, AUDIENCE, jwks_url=issuer.jwks_url)

    async def open_on_the_loop():
        return authorizer.verifier(late, protocol)

    client.run(open_on_the_loop()) if protocol == "asgi" else authorizer.verifier(late, protocol)
    client.get("/", headers=bearer(mint()))  # lets the loop turn
    until(lambda: client.gateway.runner.restless)


def test_fixed_keys_keep_nobody_busy(site):
    client = site(Authorize(JWT(ISSUER, AUDIENCE, keys=jwks("rsa"))), clock=FakeClock())
    assert client.get("/", headers=bearer(mint())).status == 200
    assert not client.gateway.runner.restless


def test_two_issuers_each_with_its_own_keys(site, issuer):
    with KeyServer() as other:
        other.publish("rsa-2")
        one = JWT(issuer.url, AUDIENCE)
        two = JWT(other.url, AUDIENCE)
        client = site(routes=[Route("/", Authorize(any_of(one, two)))], clock=FakeClock())
        assert client.get("/", headers=bearer(mint(iss=issuer.url))).status == 200
        assert client.get("/", headers=bearer(mint("rsa-2", iss=other.url))).status == 200
        assert code(client.get("/", headers=bearer(mint("rsa-2", iss=issuer.url)))) == "unknown_key"
        assert code(client.get("/", headers=bearer(mint("rsa", iss="https://evil.example")))) == "invalid_issuer"
        assert len(issuer.asked) == 3
        assert len(other.asked) == 2


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://id.example.com/jwks", True),
        ("http://localhost:8080/jwks", True),
        ("http://127.9.9.9/jwks", True),
        ("http://[::1]:80/jwks", True),
        ("http://127.0.0.1.example.com/", False),
        ("http://2130706433/", False),
        ("http://[::ffff:10.0.0.1]/", False),
        ("//id.example.com/jwks", False),
        ("", False),
    ],
)
def test_where_keys_may_come_from(url, safe):
    assert fetch.safe_url(url) is safe


def test_any_issuer_needs_its_keys_named(site, issuer):
    setting = Setting(site, issuer, issuer=ANY)
    assert setting.code(iss="https://whoever.example") == ""


def test_bad_tokens_are_refused_before_the_keys_are_there(setting):
    setting.issuer.fail()
    assert code(setting.get(f"{b64(b'{}')}.{b64(b'{}')}.")) == "token_malformed"
