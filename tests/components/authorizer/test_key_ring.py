"""KeyRing: keys created, rotated, changed and revoked; and that ApiKey goes by it, at once here and soon elsewhere."""

from __future__ import annotations

import asyncio
import json
import re
import time
from hashlib import sha256
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeep import ApiKey, Authorize, Throttle, UsagePlan, UsagePlans
from gatekeep.components.authorizer.api_keys import KeyRing, MemoryKeys
from gatekeep.components.authorizer.api_keys.store import KeyStore
from gatekeep.components.authorizer.api_keys.text import checks_out, generate
from gatekeep.effects import Io, at_once, run
from gatekeep.errors import ConfigurationError, DependencyError
from gatekeep.exchange import current
from gatekeep.testing import FakeClock
from stores.store_servers import Valkey


def whoami(request):
    who = current().principal
    body = [who.kind, who.id, who.client_id, sorted(who.scopes), sorted(who.roles), dict(who.claims)]
    return 200, [], json.dumps(body).encode()


def code(answer):
    return answer.json().get("code") if answer.status != 200 else None


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def ring(clock):
    return KeyRing("memory://", prefix="acme_live", clock=clock)


class RemoteKeys(KeyStore):
    """A store over a network: its operations wait; they are counted, and can be made to fail."""

    def __init__(self, inner):
        self.inner = inner
        self.calls = []
        self.failing = False

    def _go(self, name, *arguments):
        def operation():
            self.calls.append(name)
            if self.failing:
                raise DependencyError("the store is away")
            return getattr(self.inner, name)(*arguments).run()

        async def slowly():
            await asyncio.sleep(0)
            return operation()

        return Io(operation, slowly)

    def find(self, digest):
        return self._go("find", digest)

    def get(self, key_id):
        return self._go("get", key_id)

    def records(self):
        return self._go("records")

    def put(self, record, expected):
        return self._go("put", record, expected)

    def delete(self, key_id):
        return self._go("delete", key_id)

    def touch(self, uses):
        return self._go("touch", uses)


@pytest.fixture
def remote(clock):
    """Two processes with one store: `here` is the gateway's ring, `there` another process'."""
    store = RemoteKeys(MemoryKeys())
    return SimpleNamespace(store=store, here=KeyRing(store, clock=clock), there=KeyRing(store, clock=clock))


def ask(client, issued):
    return client.get("/", headers={"x-api-key": issued if isinstance(issued, str) else issued.text})


# The text of keys.


def test_what_a_key_looks_like(ring):
    issued = ring.create("acme")
    assert re.fullmatch(r"acme_live_[0-9A-Za-z]{38}", issued.text)
    assert issued.text not in repr(issued)
    assert issued.record.secrets[0].digest == sha256(issued.text.encode()).hexdigest()
    assert len({ring.create("acme").text for _ in range(100)}) == 100


@given(st.data())
def test_a_changed_character_shows(data):
    text = generate("gk")
    assert checks_out("gk", text)
    place = data.draw(st.integers(3, len(text) - 1))
    other = data.draw(st.characters(codec="latin-1").filter(lambda one: one != text[place]))
    assert not checks_out("gk", text[:place] + other + text[place + 1 :])
    assert not checks_out("gk", text[:-1])
    assert not checks_out("gk", text + other)


def test_a_mistyped_key_costs_no_look_up(site, remote, clock):
    client = site(Authorize(ApiKey(remote.here)), clock=clock)
    issued = remote.here.create("acme")
    remote.store.calls.clear()
    for text in (issued.text[:-1] + "~", issued.text + "x", issued.text[:-1], "gk_", "x" * 513):
        assert code(ask(client, text)) == "api_key_invalid"
    assert remote.store.calls == []
    assert code(ask(client, "another-kind-of-key-12345")) == "api_key_invalid"
    assert remote.store.calls == ["find"]


# What operators do.


def test_a_key_that_was_created_is_known(site, ring, clock):
    client = site(Authorize(ApiKey(ring)), view=whoami, clock=clock)
    issued = ring.create("acme", name="ci", scopes={"orders:read"}, roles=["partner"], plan="gold")
    claims = {"key_id": issued.record.id, "key_name": "ci", "plan": "gold"}
    assert ask(client, issued).json() == ["api_key", "acme", issued.record.id, ["orders:read"], ["partner"], claims]
    assert ring.get(issued.record.id) == issued.record
    assert issued.record.created == clock.wall()


def test_expiry(site, ring, clock):
    client = site(Authorize(ApiKey(ring)), clock=clock)
    issued = ring.create("acme", expires=clock.wall() + 3.0)
    assert ask(client, issued).status == 200
    clock.advance(2.9)
    assert ask(client, issued).status == 200
    clock.advance(0.1)
    assert code(ask(client, issued)) == "api_key_expired"
    ring.update(issued.record.id, expires=None)
    assert ask(client, issued).status == 200


def test_rotation_with_an_overlap(site, ring, clock):
    client = site(Authorize(ApiKey(ring)), view=whoami, clock=clock)
    first = ring.create("acme")
    second = ring.rotate(first.record.id, overlap=3.0)
    assert first.text != second.text
    assert ask(client, first).json() == ask(client, second).json()  # the same key, to limits and logs
    clock.advance(3.0)
    assert code(ask(client, first)) == "api_key_expired"
    assert ask(client, second).status == 200
    third = ring.rotate(first.record.id, overlap=0)
    assert [code(ask(client, one)) for one in (first, second, third)] == ["api_key_invalid", "api_key_invalid", None]


def test_an_overlap_is_not_made_longer_by_the_next_rotation(ring, clock):
    first = ring.create("acme")
    ring.rotate(first.record.id, overlap=100)
    ring.rotate(first.record.id, overlap=1000)
    assert [secret.expires for secret in ring.get(first.record.id).secrets] == [None, clock.wall() + 1000, clock.wall() + 100]
    for _ in range(10):
        ring.rotate(first.record.id)
    assert len(ring.get(first.record.id).secrets) == 5


def test_revoking_is_for_good(site, ring, clock):
    client = site(Authorize(ApiKey(ring)), clock=clock)
    issued = ring.create("acme")
    assert ask(client, issued).status == 200
    revoked = ring.revoke(issued.record.id)
    assert code(ask(client, issued)) == "api_key_invalid"
    assert (revoked.revoked, revoked.enabled, revoked.secrets) == (clock.wall(), False, ())
    for attempt in (lambda: ring.rotate(issued.record.id), lambda: ring.update(issued.record.id, enabled=True)):
        with pytest.raises(ValueError, match="revoked"):
            attempt()
    assert code(ask(client, issued)) == "api_key_invalid"


def test_disabling_can_be_taken_back(site, ring, clock):
    client = site(Authorize(ApiKey(ring)), clock=clock)
    issued = ring.create("acme")
    assert ask(client, issued).status == 200
    ring.update(issued.record.id, enabled=False)
    assert code(ask(client, issued)) == "api_key_disabled"
    ring.update(issued.record.id, enabled=True)
    assert ask(client, issued).status == 200


def test_what_was_changed_holds_at_once(site, ring, clock):
    client = site(Authorize(ApiKey(ring), scopes={"orders:read"}), clock=clock)
    issued = ring.create("acme")
    assert code(ask(client, issued)) == "insufficient_scope"
    ring.update(issued.record.id, scopes={"orders:read"}, plan="gold", owner="umbrella", name="x", roles=["a"])
    assert ask(client, issued).status == 200
    ring.delete(issued.record.id)
    assert code(ask(client, issued)) == "api_key_invalid"


def test_listing(ring, clock):
    ids = []
    for owner in ("acme", "umbrella", "acme"):
        ids.append(ring.create(owner).record.id)
        clock.advance(1.0)
    assert [record.id for record in ring.records()] == ids
    assert [record.id for record in ring.records("acme")] == [ids[0], ids[2]]


def test_taking_keys_over(site, ring, clock):
    client = site(Authorize(ApiKey(ring)), view=whoami, clock=clock)
    ring.create("old", text="a-key-that-they-have-already")
    ring.create("hashed", text=f"sha256:{sha256(b'another-key-they-have').hexdigest()}")
    assert ask(client, "a-key-that-they-have-already").json()[1] == "old"
    assert ask(client, "another-key-they-have").json()[1] == "hashed"
    for text, says in (
        ("a-key-that-they-have-already", "already"),
        ("short", "20 characters"),
        ("acme_live_" + "x" * 38, "checksum"),
        ("sha256:abc", "64"),
    ):
        with pytest.raises(ValueError, match=says) as caught:
            ring.create("other", text=text)
        assert text not in str(caught.value) or text == "sha256:abc"


@pytest.mark.parametrize(
    "fields",
    [
        {"owner": ""},
        {"owner": 7},
        {"scopes": "a"},
        {"roles": [7]},
        {"plan": ""},
        {"plan": 7},
        {"name": None},
        {"expires": "soon"},
        {"expires": float("nan")},
    ],
)
def test_fields_are_checked(ring, fields):
    with pytest.raises(ValueError, match=r"."):
        ring.create(**{"owner": "acme", **fields})
    issued = ring.create("acme")
    with pytest.raises(ValueError, match=r"."):
        ring.update(issued.record.id, **fields)
    assert ring.get(issued.record.id) == issued.record


def test_what_can_not_be_changed_and_keys_that_are_not_there(ring):
    issued = ring.create("acme")
    with pytest.raises(ValueError, match="secrets can't be changed"):
        ring.update(issued.record.id, secrets=())
    with pytest.raises(ValueError, match="overlap"):
        ring.rotate(issued.record.id, overlap=-1)
    for attempt in (ring.get, ring.rotate, ring.revoke, ring.update, ring.delete):
        with pytest.raises(LookupError, match="nobody"):
            attempt("nobody")


def test_on_an_event_loop(clock):
    async def go():
        ring = KeyRing("memory://", clock=clock)
        issued = await ring.acreate("acme")
        key_id = issued.record.id
        assert (await ring.aget(key_id)).owner == "acme"
        await ring.arotate(key_id)
        assert (await ring.aupdate(key_id, plan="gold")).plan == "gold"
        assert len(await ring.arecords("acme")) == 1
        assert (await ring.arevoke(key_id)).revoked == clock.wall()
        await ring.adelete(key_id)
        assert await ring.arecords() == []

    asyncio.run(go())


def test_changes_made_at_once_undo_each_other_not(clock):
    """A rotation that read the key before it was revoked does not bring it back."""
    inner = MemoryKeys()
    ring = KeyRing(inner, clock=clock)
    issued = ring.create("acme")

    class Slow(RemoteKeys):
        def put(self, record, expected):
            if "put" not in self.calls:
                KeyRing(inner, clock=clock).revoke(record.id)
            return super().put(record, expected)

    with pytest.raises(ValueError, match="revoked"):
        KeyRing(Slow(inner), clock=clock).rotate(issued.record.id)
    assert ring.get(issued.record.id).secrets == ()


def test_a_key_that_is_changed_all_the_time(clock):
    class Contended(MemoryKeys):
        def put(self, record, expected):
            return at_once(lambda: False) if expected else super().put(record, expected)

    ring = KeyRing(Contended(), clock=clock)
    with pytest.raises(DependencyError, match="all the time"):
        ring.update(ring.create("acme").record.id, plan="gold")


def test_a_usage_plan_goes_by_the_plan_of_the_key(site, ring, clock):
    plans = [UsagePlan("gold", Throttle("3/minute", burst=3)), UsagePlan("free", Throttle("1/minute", burst=1))]
    client = site(Authorize(ApiKey(ring)), UsagePlans(plans, by="api_key"), clock=clock)
    gold, free = ring.create("acme", plan="gold"), ring.create("acme", plan="free")
    assert [ask(client, gold).status for _ in range(4)] == [200, 200, 200, 429]
    assert [ask(client, free).status for _ in range(2)] == [200, 429]
    assert ask(client, ring.rotate(gold.record.id)).status == 429  # the same key, though another text


# What other processes do.


def test_a_key_is_looked_up_once_in_a_while(site, remote, clock):
    client = site(Authorize(ApiKey(remote.here, ttl=5.0)), clock=clock)
    issued = remote.there.create("acme")
    remote.store.calls.clear()
    for _ in range(3):
        assert ask(client, issued).status == 200
        assert code(ask(client, "made-up-0123456789abcdef")) == "api_key_invalid"
    assert remote.store.calls == ["find", "find"]
    clock.advance(5.0)
    assert ask(client, issued).status == 200
    assert code(ask(client, "made-up-0123456789abcdef")) == "api_key_invalid"
    assert remote.store.calls == ["find"] * 4


def test_what_another_process_revokes_works_for_no_longer_than_the_ttl(site, remote, clock):
    client = site(Authorize(ApiKey(remote.here, ttl=5.0)), clock=clock)
    issued = remote.there.create("acme")
    assert ask(client, issued).status == 200
    remote.there.revoke(issued.record.id)
    clock.advance(4.9)
    assert ask(client, issued).status == 200
    clock.advance(0.1)
    assert code(ask(client, issued)) == "api_key_invalid"


def test_what_this_process_changes_holds_at_once(site, remote, clock):
    client = site(Authorize(ApiKey(remote.here)), clock=clock)
    issued = remote.here.create("acme")
    assert ask(client, issued).status == 200
    remote.here.revoke(issued.record.id)
    assert code(ask(client, issued)) == "api_key_invalid"
    later = "a-key-that-is-made-later"
    assert code(ask(client, later)) == "api_key_invalid"
    remote.here.create("acme", text=later)
    assert ask(client, later).status == 200


def test_a_new_key_makes_nobody_look_the_others_up(site, remote, clock):
    client = site(Authorize(ApiKey(remote.here)), clock=clock)
    issued = remote.here.create("acme")
    assert ask(client, issued).status == 200
    remote.here.create("umbrella")
    remote.store.calls.clear()
    assert ask(client, issued).status == 200
    assert remote.store.calls == []


def test_many_first_requests_cost_one_look_up(site, remote, clock):
    client = site(Authorize(ApiKey(remote.here)), clock=clock)
    issued = remote.there.create("acme")
    if client.protocol == "wsgi":

        class Slow(RemoteKeys):
            def find(self, digest):
                inner = super().find(digest)
                return Io(lambda: (time.sleep(0.2), inner.run())[1], inner.arun)

        remote.here.store.__class__ = Slow
    remote.store.calls.clear()
    answers = client.gather([("GET", "/", {"headers": {"x-api-key": issued.text}})] * 30)
    assert {answer.status for answer in answers} == {200}
    assert remote.store.calls == ["find"]


def test_made_up_keys_push_no_good_one_out(site, remote, clock):
    client = site(Authorize(ApiKey(remote.here, remember=5)), clock=clock)
    issued = remote.here.create("acme")
    assert ask(client, issued).status == 200
    for number in range(50):
        assert code(ask(client, f"made-up-key-number-{number:04}")) == "api_key_invalid"
    remote.store.calls.clear()
    assert ask(client, issued).status == 200
    assert remote.store.calls == []


def test_while_the_store_is_away(site, remote, clock):
    client = site(Authorize(ApiKey(remote.here, ttl=5.0)), clock=clock)
    issued, other = remote.here.create("acme"), remote.here.create("acme")
    assert ask(client, issued).status == 200
    remote.store.failing = True
    assert ask(client, issued).status == 200
    answer = ask(client, other)
    assert (answer.status, code(answer)) == (503, "keys_unavailable")
    clock.advance(5.0)
    assert code(ask(client, issued)) == "keys_unavailable"
    remote.store.failing = False
    assert ask(client, issued).status == ask(client, other).status == 200


def test_the_log_says_why_keys_can_t_be_looked_up(site, remote, clock, caplog):
    client = site(Authorize(ApiKey(remote.here)), clock=clock)
    keys = [remote.here.create("acme") for _ in range(3)]
    remote.store.failing = True
    for issued in keys:
        assert ask(client, issued).status == 503
    assert caplog.messages.count("API keys can't be looked up: the store is away") == 1
    clock.advance(10.0)
    assert ask(client, keys[0]).status == 503
    assert caplog.messages.count("API keys can't be looked up: the store is away") == 2
    assert keys[0].text not in caplog.text


def test_grace_while_the_store_is_away(site, remote, clock):
    client = site(Authorize(ApiKey(remote.here, ttl=5.0, grace=60.0)), clock=clock)
    issued, brief = remote.here.create("acme"), remote.here.create("acme", expires=clock.wall() + 20)
    assert ask(client, issued).status == ask(client, brief).status == 200
    remote.store.failing = True
    remote.store.calls.clear()
    clock.advance(10.0)
    for _ in range(3):
        assert ask(client, issued).status == ask(client, brief).status == 200
    assert remote.store.calls == ["find", "find"]  # asked again after a second
    clock.advance(10.0)
    assert (ask(client, issued).status, ask(client, brief).status) == (200, 503)
    clock.advance(44.9)
    assert ask(client, issued).status == 200
    clock.advance(0.2)
    assert code(ask(client, issued)) == "keys_unavailable"


# When keys were used.


def test_the_last_use_is_written_off_the_request_path(site, remote, clock):
    client = site(Authorize(ApiKey(remote.here)), clock=clock)
    issued, unused = remote.here.create("acme"), remote.here.create("acme")
    remote.store.calls.clear()
    for _ in range(3):
        assert ask(client, issued).status == 200
        clock.advance(1.0)
    assert remote.store.calls == ["find"]
    client.gateway.runner.run_due() if client.protocol == "wsgi" else client.run(tick(client.gateway.runner))
    assert remote.store.calls == ["find", "touch"]
    assert remote.there.get(issued.record.id).last_used == clock.wall() - 1.0
    assert remote.there.get(unused.record.id).last_used is None
    client.gateway.runner.run_due() if client.protocol == "wsgi" else client.run(tick(client.gateway.runner))
    assert remote.store.calls.count("touch") == 1


async def tick(runner):
    from gatekeep.effects import arun

    for periodic in list(runner._periodic):
        work = periodic.job()
        if work is not None:
            await arun(work)


def test_the_last_use_is_written_when_the_gateway_closes(site, ring, clock):
    client = site(Authorize(ApiKey(ring)), clock=clock)
    issued = ring.create("acme")
    assert ask(client, issued).status == 200
    client.run(client.gateway.aclose()) if client.protocol == "asgi" else client.gateway.close()
    assert ring.get(issued.record.id).last_used == clock.wall()


def test_a_use_that_can_not_be_written_harms_nobody(site, remote, clock, caplog):
    client = site(Authorize(ApiKey(remote.here)), clock=clock)
    issued = remote.here.create("acme")
    assert ask(client, issued).status == 200
    remote.store.failing = True
    client.run(client.gateway.aclose()) if client.protocol == "asgi" else client.gateway.close()
    assert "last use of 1 API keys" in caplog.text


def test_nobody_asks_when_a_key_was_used(site, remote, clock):
    client = site(Authorize(ApiKey(remote.here, track_use=False)), clock=clock)
    issued = remote.here.create("acme")
    assert ask(client, issued).status == 200
    client.run(client.gateway.aclose()) if client.protocol == "asgi" else client.gateway.close()
    assert "touch" not in remote.store.calls


# Real stores behind a gateway.


@pytest.fixture(scope="module")
def valkey():
    server = Valkey()
    yield server
    server.stop()


@pytest.mark.usefixtures("patient_stores")
@pytest.mark.parametrize("kind", ["file", "redis", "sql", "async sql"])
def test_with_a_store_that_others_share(site, protocol, kind, tmp_path, valkey, clock):
    url = {
        "file": tmp_path / "keys.json",
        "redis": valkey.url,
        "sql": f"sqlite:///{tmp_path}/keys.db",
        "async sql": f"sqlite+aiosqlite:///{tmp_path}/keys.db",
    }[kind]
    there = KeyRing(f"sqlite:///{tmp_path}/keys.db" if "sql" in kind else url, clock=clock)
    if "sql" in kind:
        there.store.create_tables().run()
    here = KeyRing(url, clock=clock)
    if (protocol, kind) == ("wsgi", "async sql"):
        with pytest.raises(ConfigurationError, match="AsyncEngine"):
            site(Authorize(ApiKey(here))).get("/")
        run(there.store.close())
        return
    client = site(Authorize(ApiKey(here, ttl=5.0)), view=whoami, clock=clock)
    issued = there.create("acme", plan="gold", scopes={"a"})
    assert ask(client, issued).json()[1] == "acme"
    there.update(issued.record.id, owner="umbrella")
    clock.advance(5.0)
    assert ask(client, issued).json()[1] == "umbrella"
    there.revoke(issued.record.id)
    clock.advance(5.0)
    assert code(ask(client, issued)) == "api_key_invalid"
    if "sql" in kind:
        run(there.store.close())
