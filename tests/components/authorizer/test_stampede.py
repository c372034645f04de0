"""Many at a time: cold keys, made-up key ids, an issuer that hangs. What waits, what does not, how often the issuer is asked."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from components.authorizer.minting import AUDIENCE, ISSUER, b64, bearer, claims, jwks, mint
from gatekeep.components.authorizer import JWT, Authorize, fetch, key_server
from gatekeep.errors import ConfigurationError
from gatekeep.gateway import Gateway
from gatekeep.testing import FakeClock, call_asgi, call_wsgi

CROWD = 1_000


@pytest.fixture
def client(site, issuer):
    return site(Authorize(JWT(ISSUER, AUDIENCE, jwks_url=issuer.jwks_url)), clock=FakeClock())


class Crowd:
    """Requests under way at the same time, each a task or a thread of its own, while the test goes on."""

    def __init__(self, client, tokens) -> None:
        self._client = client
        self._tokens = list(tokens)
        self.codes: list[str] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        if self._client.protocol == "asgi":

            async def everybody():
                return await asyncio.gather(
                    *(call_asgi(self._client.app, "GET", "/", headers=bearer(token)) for token in self._tokens)
                )

            answers = asyncio.run(everybody())
        else:
            with ThreadPoolExecutor(len(self._tokens)) as pool:
                answers = list(
                    pool.map(lambda token: call_wsgi(self._client.app, "GET", "/", headers=bearer(token)), self._tokens)
                )
        self.codes = ["" if answer.status == 200 else answer.json()["code"] for answer in answers]

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._thread.join()


def made_up(key_id: str) -> str:
    """A token that nobody signed, with a key id that nobody has."""
    head = b64(json.dumps({"alg": "RS256", "kid": key_id}).encode())
    return f"{head}.{b64(json.dumps(claims()).encode())}.{b64(bytes(256))}"


def test_a_thousand_first_requests_cause_one_fetch(client, issuer):
    tokens = [mint(jti=str(number)) for number in range(10)]
    issuer.gate.clear()
    with Crowd(client, itertools.islice(itertools.cycle(tokens), CROWD)) as crowd:
        issuer.reached.wait(60)
        time.sleep(0.3)  # for the others to come; who comes later finds the keys, and asks as little
        issuer.gate.set()
    assert crowd.codes == [""] * CROWD
    assert issuer.asked == ["/jwks"]


def test_ten_thousand_made_up_key_ids_cause_a_bounded_number(client, issuer):
    assert client.get("/", headers=bearer(mint())).status == 200
    clock = client.gateway.clock
    for thousand in range(10):
        tokens = [made_up(f"{thousand}-{number}") for number in range(1_000)]
        answers = client.gather([("GET", "/", {"headers": bearer(token)}) for token in tokens])
        assert {answer.json()["code"] for answer in answers} == {"unknown_key"}
        clock.advance(10)
    assert len(issuer.asked) <= 1 + 1 + 100 / 30


def test_made_up_key_ids_at_the_same_time_share_a_fetch(client, issuer):
    assert client.get("/", headers=bearer(mint())).status == 200
    issuer.gate.clear()
    issuer.reached.clear()
    with Crowd(client, [made_up(str(number)) for number in range(200)]):
        issuer.reached.wait(60)
        time.sleep(0.1)
        issuer.gate.set()
    assert issuer.asked == ["/jwks"] * 2


def test_who_has_a_good_key_waits_for_nobody(client, issuer, protocol):
    """While the issuer hangs, and with it those who bring an unknown key id, tokens never seen before are judged as ever."""
    assert client.get("/", headers=bearer(mint())).status == 200
    issuer.publish("rsa", "rsa-2")
    issuer.gate.clear()
    issuer.reached.clear()
    with Crowd(client, [mint("rsa-2"), made_up("x")]) as waiting:
        issuer.reached.wait(60)
        with Crowd(client, [mint(jti=str(number)) for number in range(50)]) as crowd:
            pass
        assert crowd.codes == [""] * 50
        assert client.get("/", headers=bearer("no.token.x")).json()["code"] == "token_malformed"
        assert waiting.codes == [], "these still wait"
        issuer.gate.set()
    assert waiting.codes == ["", "unknown_key"], "a rotated key works within one fetch"
    assert len(issuer.asked) == 2


def test_without_any_key_they_wait_up_to_their_deadline(client, issuer, monkeypatch):
    for module in (fetch, key_server):
        monkeypatch.setattr(module, "TIMEOUT", 1.0)
    issuer.gate.clear()
    with Crowd(client, [mint(jti=str(number % 10)) for number in range(200)]) as crowd:
        assert issuer.reached.wait(60)
    assert crowd.codes == ["keys_unavailable"] * 200
    assert len(issuer.asked) == 1
    issuer.gate.set()


def test_a_refresh_in_the_background_delays_nobody(client, issuer):
    assert client.get("/", headers=bearer(mint())).status == 200
    issuer.gate.clear()
    issuer.reached.clear()
    client.gateway.clock.advance(250)
    refresh = threading.Thread(target=client.gateway.runner.run_due)
    refresh.start()
    assert issuer.reached.wait(60)
    assert client.get("/", headers=bearer(mint(jti="new"))).status == 200
    issuer.gate.set()
    refresh.join()
    assert len(issuer.asked) == 2


# Keys from a file, for the time before the first fetch.


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(jwks("rsa")))
    return file


def test_keys_from_a_file_hold_until_the_first_fetch(site, issuer, file):
    issuer.publish("rsa", "rsa-2")
    clock = FakeClock()
    for path in (file, str(file)):
        client = site(Authorize(JWT(ISSUER, AUDIENCE, jwks_url=issuer.jwks_url, preload=path)), clock=clock)
        issuer.fail()
        assert client.get("/", headers=bearer(mint())).status == 200, "the issuer need not even be up"
        issuer.recover()
        client.gateway.runner.run_due()
        assert client.get("/", headers=bearer(mint("rsa-2"))).status == 200
    issuer.publish("rsa-2")
    clock.advance(250)
    client.gateway.runner.run_due()
    assert client.get("/", headers=bearer(mint())).json()["code"] == "unknown_key", "they go as others do"


def test_they_hold_no_longer_than_others(site, issuer, file):
    clock = FakeClock()
    client = site(Authorize(JWT(ISSUER, AUDIENCE, jwks_url=issuer.jwks_url, preload=file, keep=100)), clock=clock)
    issuer.fail()
    assert client.get("/", headers=bearer(mint())).status == 200
    clock.advance(100)
    assert client.get("/", headers=bearer(mint())).json()["code"] == "keys_unavailable"


@pytest.mark.parametrize("content", [None, b"", b"[]", b"\xff", b"{}", b'{"keys":[]}', b'{"keys":[{"kty":"oct","k":"AAAA"}]}'])
def test_a_file_that_is_of_no_use_stops_the_start(tmp_path, content):
    file = tmp_path / "keys.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="preload") as caught:
        Gateway(Authorize(JWT(ISSUER, AUDIENCE, preload=file))).wrap(lambda environ, start_response: []).gateway.check()
    assert "test_stampede.py" in str(caught.value)
