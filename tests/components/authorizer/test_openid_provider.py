"""A real OpenID provider on loopback gives out tokens; its keys are rotated while requests run, it goes down and comes back."""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from components.authorizer.minting import bearer, private
from gatekeep.components.authorizer import JWT, Authorize, Introspection
from gatekeep.testing import FakeClock
from patience import until
from servers import PATIENCE, ROOT, free_port, serving

ORDERS = "https://api.example.com/orders"


class Provider:
    """django-allauth's OpenID provider in a process of its own; see openid_provider.py."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.keys = folder / "keys"
        self.keys.mkdir()
        self._running = ExitStack()

    def start(self) -> None:
        where = ["--pythonpath", str(ROOT / "tests"), "--bind", f"127.0.0.1:{self.port}", "--workers", "1", "--threads", "8"]
        self._running.enter_context(serving("gunicorn", "openid_provider:application", *where, port=self.port, cwd=self.folder))

    def stop(self) -> None:
        self._running.close()

    def publish(self, **names: str) -> None:
        """Have these keys, by file, and no others; the last one signs."""
        for file in self.keys.glob("*.pem"):
            if file.stem not in names:
                file.unlink()
        for file, name in names.items():
            form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            staged = self.folder / "staged"
            staged.write_bytes(private(name).private_bytes(*form))
            staged.rename(self.keys / f"{file}.pem")

    def post(self, path: str, **form: str) -> dict[str, object]:
        """Ask an endpoint as the client."""
        authorization = base64.b64encode(b"gateway:gateway-secret").decode()
        request = urllib.request.Request(
            f"{self.url}/identity/o/api/{path}",
            urllib.parse.urlencode(form).encode(),
            {"authorization": f"Basic {authorization}"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            body = answer.read()
        return json.loads(body) if body else {}

    def token(self) -> str:
        """A token by client credentials (RFC 6749 §4.4) for the orders API (RFC 8707)."""
        return str(self.post("token", grant_type="client_credentials", scope="orders:read", resource=ORDERS)["access_token"])


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Provider]:
    provider = Provider(tmp_path_factory.mktemp("provider"))
    provider.publish(k1="rsa")
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture
def provider(running: Provider) -> Iterator[Provider]:
    running.publish(k1="rsa")
    yield running
    if not running._running._exit_callbacks:
        running.start()


class Setting:
    """A gateway that trusts the provider, and a clock that stands at today's time until it is turned."""

    def __init__(self, site, provider: Provider) -> None:
        self.clock = FakeClock(wall=time.time())
        authenticator = JWT(provider.url, ORDERS, require={"client_id", "jti", "iat"}, clients="gateway", leeway=30)
        self.client = site(Authorize(authenticator, scopes={"orders:read"}), clock=self.clock)

    def codes(self, *tokens: str) -> list[str]:
        answers = self.client.gather([("GET", "/orders", {"headers": bearer(token)}) for token in tokens])
        return ["" if answer.status == 200 else answer.json()["code"] for answer in answers]

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.client.gateway.runner.run_due()


@pytest.fixture
def setting(site, provider) -> Setting:
    return Setting(site, provider)


def test_its_tokens_are_taken(setting, provider):
    assert setting.codes(provider.token(), provider.token()) == ["", ""]
    head, body, tail = provider.token().split(".")
    assert setting.codes(f"{head}.{body}.{tail[::-1]}", f"{head}.{body}") != ["", ""]
    elsewhere = provider.post("token", grant_type="client_credentials", scope="orders:read", resource="https://api.example.com/x")
    assert setting.codes(str(elsewhere["access_token"])) == ["invalid_audience"]
    unscoped = provider.post("token", grant_type="client_credentials", scope="orders:write", resource=ORDERS)
    assert setting.codes(str(unscoped["access_token"])) == ["insufficient_scope"]


def test_keys_are_rotated_while_requests_run(setting, provider):
    tokens, rounds, over = [provider.token()], [], threading.Event()

    def traffic():
        while not over.is_set():
            sent = [*tokens] * 5
            rounds.append(list(zip(sent, setting.codes(*sent), strict=True)))

    def two_rounds():
        """At least one of them began after this."""
        enough = len(rounds) + 2
        until(lambda: len(rounds) >= enough)

    requests = threading.Thread(target=traffic)
    requests.start()
    try:
        for keys in ({"k1": "rsa", "k2": "rsa-2"}, {"k2": "rsa-2", "k3": "rsa-3"}, {"k3": "rsa-3", "k4": "rsa-4"}):
            two_rounds()
            provider.publish(**keys)
            tokens.append(provider.token())
            two_rounds()
            tokens[:-1] = []  # the older key goes with the next rotation
    finally:
        over.set()
        requests.join()
    answers = [answer for answers in rounds for answer in answers]
    assert {code for _, code in answers} == {""}
    assert len({token for token, _ in answers}) == 4


def test_a_key_that_is_gone_takes_its_tokens_along(setting, provider):
    old = provider.token()
    assert setting.codes(old) == [""]
    provider.publish(k2="rsa-2")
    assert setting.codes(old) == [""], "the set is young"
    setting.pass_time(250)
    assert setting.codes(old, provider.token()) == ["unknown_key", ""]


def test_it_goes_down_and_comes_back(site, provider, caplog):
    setting = Setting(site, provider)
    known, fresh = provider.token(), provider.token()
    provider.publish(k1="rsa", k2="rsa-2")
    of_new_key = provider.token()
    provider.publish(k1="rsa")
    assert setting.codes(known) == [""]
    provider.stop()
    for _ in range(4):
        setting.pass_time(250)  # several refreshes fail
        assert setting.codes(known, fresh) == ["", ""], "the last good keys hold"
    assert "can't fetch keys" in caplog.text
    assert setting.codes(of_new_key) == ["keys_unavailable"], "nobody can say yet whether it is good"
    cold = Setting(site, provider)
    assert cold.codes(known, known) == ["keys_unavailable"] * 2, "without any key the door is closed"
    provider.publish(k1="rsa", k2="rsa-2")
    provider.start()
    setting.pass_time(30)
    cold.pass_time(30)
    assert setting.codes(known, fresh, of_new_key) == ["", "", ""]
    assert cold.codes(known, fresh, of_new_key) == ["", "", ""]


def test_its_introspection_endpoint_is_asked(site, provider):
    clock = FakeClock(wall=time.time())
    endpoint = f"{provider.url}/identity/o/api/introspect"
    asking = Introspection(endpoint, "gateway", "gateway-secret", issuer=provider.url, audience=ORDERS, leeway=30)
    client = site(Authorize(asking, scopes={"orders:read"}), clock=clock)
    token = provider.token()
    assert client.get("/orders", headers=bearer(token)).status == 200
    assert client.get("/orders", headers=bearer("made-up")).json()["code"] == "token_inactive"
    provider.post("revoke", token=token)
    assert client.get("/orders", headers=bearer(token)).status == 200, "for up to a minute"
    clock.advance(60)
    assert client.get("/orders", headers=bearer(token)).json()["code"] == "token_inactive"
    wrong = Introspection(endpoint, "gateway", "wrong-secret")
    assert site(Authorize(wrong)).get("/", headers=bearer(token)).json()["code"] == "introspection_unavailable"
