"""Revocations: tokens taken back before their time, in memory and in a store that several processes share."""

from __future__ import annotations

import asyncio

import pytest

from components.authorizer.minting import AUDIENCE, ISSUER, NOW, bearer, jwks, mint
from gatekeep.components.authorizer import JWT, Authorize, Revocations, revocation
from gatekeep.effects import Io, run
from gatekeep.errors import ConfigurationError, DependencyError
from gatekeep.stores import MemoryStore
from gatekeep.stores.redis import RedisStore
from gatekeep.testing import FakeClock
from interleaving import meanwhile
from patience import PATIENCE
from stores.store_servers import Valkey


class Shared(MemoryStore):
    """A store as several processes share it; counts what it is asked, and can be away."""

    def __init__(self, clock):
        super().__init__(clock)
        self.asked = 0
        self.away = False

    def get(self, key):
        def run():
            self.asked += 1
            if self.away:
                raise DependencyError("away")
            return self.get_now(key, self._clock.monotonic())

        async def arun():
            return run()

        return Io(run, arun)


class Setting:
    def __init__(self, site, shared, **options):
        self.clock = FakeClock()
        self.store = Shared(self.clock) if shared else None
        self.revocations = Revocations(self.store, clock=self.clock, **options)
        authenticator = JWT(ISSUER, AUDIENCE, keys=jwks("rsa"), revoked=self.revocations)
        self.client = site(Authorize(authenticator), clock=self.clock)

    def code(self, token) -> str:
        answer = self.client.get("/", headers=bearer(token))
        return answer.json()["code"] if answer.status != 200 else ""


@pytest.fixture(params=[False, True], ids=["memory", "store"])
def setting(site, request):
    return Setting(site, request.param)


def test_a_token_is_revoked_by_its_id(setting):
    token, other = mint(jti="1"), mint(jti="2")
    assert (setting.code(token), setting.code(other)) == ("", "")
    setting.revocations.revoke(issuer=ISSUER, jti="1")
    assert (setting.code(token), setting.code(other)) == ("token_revoked", "")
    assert setting.code(token) == "token_revoked"
    assert setting.code(mint(jti="1", sub="bob")) == "token_revoked", "one never seen before, too"


def test_the_answer_says_so(setting):
    setting.revocations.revoke(issuer=ISSUER, jti="1")
    answer = setting.client.get("/", headers=bearer(mint(jti="1")))
    assert answer.status == 401
    assert answer.headers.get("www-authenticate") == 'Bearer error="invalid_token", error_description="The token was revoked."'


def test_a_subject_loses_what_was_issued_before(setting):
    old, new = mint(iat=NOW - 1), mint(iat=NOW)
    bob = mint(iat=NOW - 1, sub="bob")
    undated = mint(iat=None)
    assert {setting.code(token) for token in (old, new, bob, undated)} == {""}
    setting.revocations.revoke(issuer=ISSUER, subject="alice")
    assert setting.code(old) == "token_revoked"
    assert setting.code(undated) == "token_revoked", "nobody knows when it was issued"
    assert (setting.code(new), setting.code(bob)) == ("", "")
    setting.revocations.revoke(issuer=ISSUER, subject="alice", issued_before=NOW + 5)
    assert setting.code(new) == "token_revoked"


def test_an_issuer_takes_back_all_that_it_issued_before(setting):
    tokens = [mint(iat=NOW - 5), mint(iat=NOW - 5, sub="bob", jti="7")]
    assert {setting.code(token) for token in tokens} == {""}
    setting.revocations.revoke(issuer=ISSUER, issued_before=NOW - 4)
    assert {setting.code(token) for token in tokens} == {"token_revoked"}
    assert setting.code(mint(iat=NOW - 4)) == ""


def test_ids_are_told_apart(setting):
    setting.revocations.revoke(issuer=ISSUER, jti="alice")
    setting.revocations.revoke(issuer=ISSUER, subject="1")
    setting.revocations.revoke(issuer=ISSUER + "a", subject="lice")
    setting.revocations.revoke(issuer="https://other.example", subject="alice")
    assert setting.code(mint(jti="1")) == ""


def test_an_older_moment_takes_nothing_back(setting):
    token = mint(iat=NOW - 1)
    setting.revocations.revoke(issuer=ISSUER, subject="alice", ttl=100)
    setting.revocations.revoke(issuer=ISSUER, subject="alice", issued_before=NOW - 1000, ttl=100)
    assert setting.code(token) == "token_revoked"


def test_nor_does_a_shorter_time(site):
    setting = Setting(site, shared=False)
    setting.revocations.revoke(issuer=ISSUER, jti="1", ttl=100)
    setting.revocations.revoke(issuer=ISSUER, jti="1", ttl=10)
    setting.clock.advance(50)
    assert setting.code(mint(jti="1")) == "token_revoked"


def test_tokens_of_one_subject_are_judged_each_by_its_own_date(site):
    """Looked up at the same time, under the same ids."""
    setting = Setting(site, shared=True)
    old, new = mint(iat=NOW - 1), mint(iat=NOW)
    setting.revocations.revoke(issuer=ISSUER, subject="alice")
    answers = setting.client.gather([("GET", "/", {"headers": bearer(token)}) for token in [old, new] * 20])
    assert [answer.status for answer in answers] == [401, 200] * 20


def test_it_can_be_taken_back(setting):
    token = mint(jti="1", iat=NOW - 1)
    for ids in ({"jti": "1"}, {"subject": "alice"}, {}):
        setting.revocations.revoke(issuer=ISSUER, **ids)
        assert setting.code(token) == "token_revoked"
        setting.revocations.restore(issuer=ISSUER, **ids)
        assert setting.code(token) == ""


def test_an_entry_lasts_as_long_as_it_says(setting):
    setting.revocations.revoke(issuer=ISSUER, jti="1", ttl=100)
    token = mint(jti="1")
    setting.clock.advance(99)
    assert setting.code(token) == "token_revoked"
    setting.clock.advance(1)
    assert setting.code(mint(jti="1", sub="bob")) == ""


def test_on_a_loop(setting):
    asyncio.run(setting.revocations.arevoke(issuer=ISSUER, jti="1"))
    assert setting.code(mint(jti="1")) == "token_revoked"
    asyncio.run(setting.revocations.arestore(issuer=ISSUER, jti="1"))
    assert setting.code(mint(jti="1")) == ""


def test_a_forged_token_is_not_looked_up(site):
    setting = Setting(site, shared=True)
    assert setting.code(mint("rsa-2", header={"kid": "rsa"}, jti="1")) == "invalid_signature"
    assert setting.store.asked == 0


# A store that others write to.


def elsewhere(setting, **ids):
    """Another process revokes."""
    Revocations(setting.store, clock=setting.clock).revoke(issuer=ISSUER, **ids)


def test_what_others_revoke_is_known_within_recheck(site):
    setting = Setting(site, shared=True, recheck=5)
    token = mint(jti="1")
    assert [setting.code(token) for _ in range(3)] == [""] * 3
    assert setting.store.asked == 3, "by its id, its subject and its issuer, once"
    elsewhere(setting, jti="1")
    assert setting.code(token) == ""
    setting.clock.advance(5)
    assert setting.code(token) == "token_revoked"
    asked = setting.store.asked
    assert setting.code(token) == "token_revoked"
    assert setting.store.asked == asked, "that is remembered, too"


def test_a_thousand_requests_ask_once(site):
    setting = Setting(site, shared=True)
    token = mint(jti="1")
    assert setting.code(token) == ""
    setting.clock.advance(5)
    asked = setting.store.asked
    answers = setting.client.gather([("GET", "/", {"headers": bearer(token)})] * 200)
    assert {answer.status for answer in answers} == {200}
    assert setting.store.asked - asked <= 3 * (1 if setting.client.protocol == "asgi" else 64)


def test_when_the_store_is_away_the_door_closes(site):
    setting = Setting(site, shared=True)
    token = mint(jti="1")
    assert setting.code(token) == ""
    setting.store.away = True
    assert setting.code(token) == "", "what was found out a moment ago holds"
    setting.clock.advance(5)
    assert setting.code(token) == "revocations_unavailable"
    assert setting.client.get("/", headers=bearer(token)).status == 503
    setting.store.away = False
    assert setting.code(token) == ""


def test_unless_it_shall_stay_open(site, caplog):
    setting = Setting(site, shared=True, on_store_error="open")
    revoked, token = mint(jti="1"), mint(jti="2")
    setting.revocations.revoke(issuer=ISSUER, jti="1")
    assert (setting.code(revoked), setting.code(token)) == ("token_revoked", "")
    setting.store.away = True
    setting.clock.advance(5)
    assert setting.code(token) == ""
    assert "nobody knows whether it was revoked" in caplog.text
    assert setting.code(revoked) == "token_revoked", "what is known stays so"
    asked = setting.store.asked
    assert setting.code(token) == ""
    assert setting.store.asked == asked, "nobody waits for it each time"


@pytest.fixture(scope="module")
def valkey():
    server = Valkey()
    yield server
    server.stop()


def test_a_real_store(site, valkey):
    clock = FakeClock()
    ours, theirs = (Revocations(RedisStore(valkey.url, timeout=PATIENCE), clock=clock) for _ in range(2))
    client = site(Authorize(JWT(ISSUER, AUDIENCE, keys=jwks("rsa"), revoked=ours)), clock=clock)
    headers = bearer(mint(jti="1"))
    assert client.get("/", headers=headers).status == 200
    theirs.revoke(issuer=ISSUER, jti="1", ttl=60)
    clock.advance(5)
    assert client.get("/", headers=headers).json()["code"] == "token_revoked"
    theirs.restore(issuer=ISSUER, jti="1")
    clock.advance(5)
    assert client.get("/", headers=headers).status == 200
    for revocations in (ours, theirs):
        client.run(revocations.store.close())
        run(revocations.store.close())


def test_a_store_that_was_opened_by_its_url_is_closed_with_the_gateway(site, monkeypatch):
    class Closing(MemoryStore):
        closed = 0

        def close(self):
            Closing.closed += 1
            yield from ()

    monkeypatch.setattr(revocation, "open_store", lambda store, clock: Closing(clock) if isinstance(store, str) else store)
    for store in ("redis://id.example.com", Closing()):
        client = site(Authorize(JWT(ISSUER, AUDIENCE, keys=jwks("rsa"), revoked=Revocations(store))))
        if client.protocol == "asgi":
            client.run(client.gateway.aclose())
        else:
            client.gateway.close()
        assert Closing.closed == 1, "one that was given is its owner's to close"


# Bounds and mistakes.


def test_memory_is_bounded_and_nothing_is_dropped_silently(site):
    setting = Setting(site, shared=False, max_entries=3)
    for number in range(3):
        setting.revocations.revoke(issuer=ISSUER, jti=str(number), ttl=100)
    with pytest.raises(DependencyError, match="3 revocations"):
        setting.revocations.revoke(issuer=ISSUER, jti="3")
    setting.revocations.revoke(issuer=ISSUER, jti="2", ttl=200)
    assert [setting.code(mint(jti=str(number))) for number in range(4)] == ["token_revoked"] * 3 + [""]
    setting.clock.advance(100)
    setting.revocations.revoke(issuer=ISSUER, jti="3")
    assert [setting.code(mint(jti=str(number))) for number in range(4)] == ["", "", "token_revoked", "token_revoked"]


@pytest.mark.parametrize(
    "options",
    [
        {"ttl": 0},
        {"recheck": -1},
        {"recheck": True},
        {"max_entries": 0},
        {"ttl": float("nan")},
        {"on_store_error": "local"},
        {"store": "mongodb://x"},
        {"store": object()},
    ],
)
def test_mistakes(options):
    with pytest.raises(ConfigurationError):
        Revocations(**options)


def test_a_store_must_keep_values():
    class CountsOnly:
        remote = shared = False

        def close(self):
            return None

    with pytest.raises(ConfigurationError, match="keeps no values"):
        Revocations(CountsOnly())


def test_a_token_or_many():
    with pytest.raises(ConfigurationError, match="one token"):
        Revocations().revoke(issuer=ISSUER, jti="1", subject="alice")


def test_memory_as_a_url_is_the_memory_of_this_process():
    assert Revocations("memory://").store is None


def test_of_two_threads_that_revoke_the_same_the_later_moment_stays():
    revocations = Revocations()
    held = []
    with meanwhile(lambda: held.append(revocations._lock.locked())):
        revocations.revoke(issuer="i", subject="s", issued_before=100.0)
    steps = "".join("x" if one else " " for one in held).split()
    assert len(steps) == 1, "what was there and what is written are looked at in one go"
    assert len(steps[0]) > 20
