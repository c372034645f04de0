"""The shared tier on a real Valkey: what one process stores the others serve, and what one purges nobody serves."""

from __future__ import annotations

import asyncio
import logging
import random
import subprocess
import sys
import time
from functools import partial

import pytest

from gatekeep import Cache, CacheStorage, ConfigurationError, Route, current
from gatekeep.effects import Io
from gatekeep.stores.redis import RedisStore
from patience import until, until_on
from stores.store_servers import ClusterOfThree, OldRedis, Valkey

PATIENT = 30.0
"""Seconds that a healthy store may take on a busy machine."""
SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def server():
    server = Valkey()
    yield server
    server.stop()


@pytest.fixture
def valkey(server):
    with server.client() as client:
        client.flushall()
    return server


class Process:
    """A gateway as another process would have it: it shares nothing with the others but the store."""

    def __init__(self, site, valkey, *specs, routes=None, jobs=(), **options):
        self.runs = 0
        self.during = lambda: None
        """Called by the view."""
        self.answer = (200, [("content-type", "text/plain")], None)
        timeout = options.pop("timeout", PATIENT)
        self.store = RedisStore(valkey.url, timeout=timeout)
        storage = CacheStorage(store=self.store, **options)
        spec = specs or (Cache(ttl=60, tags=["order:{id}"]),)
        self.client = site(view=self.view, routes=routes or [Route("/orders/{id}", *spec)], cache=storage)
        self.gateway = self.client.gateway
        self.storage = self.gateway.cache._storage
        self.periodic = {periodic.name: periodic for periodic in self.gateway.runner._periodic}
        for periodic in self.periodic.values():
            if periodic.name not in jobs:
                periodic.cancel()  # tests say when

    def view(self, request):
        self.runs += 1
        self.during()
        status, fields, body = self.answer
        return status, fields, b"run %d" % self.runs if body is None else body

    def get(self, path="/orders/42", **headers):
        answer = self.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        self.settle()
        return answer

    def settle(self):
        """Let what was handed to the runner be done."""
        runner = self.gateway.runner
        until_on(self.client, lambda: runner._busy == 0)

    def purge(self, **what):
        if self.client.protocol == "wsgi":
            self.gateway.cache.purge(**what)
        else:
            self.client.run(self.gateway.cache.apurge(**what))

    def hear(self):
        """As the runner does now and then."""
        self.client.run(self.periodic["cache-purges"].job())


@pytest.fixture
def fleet(site, valkey):
    return lambda count=2, *specs, **options: [Process(site, valkey, *specs, **options) for _ in range(count)]


def test_what_one_process_stores_the_others_serve(fleet):
    one, other = fleet()
    first = one.get()
    assert first.headers.get("cache-status") == "gatekeep; fwd=miss; stored"
    answer = other.get()
    assert (answer.status, answer.body) == (200, b"run 1")
    assert answer.headers.get("content-type") == "text/plain"
    assert answer.headers.get("cache-status").startswith("gatekeep; hit; ttl=")
    assert other.runs == 0


def before_claim(process, happens):
    """Something happens between a look at the store and the claim of a lease."""
    store = process.storage._tier._cache
    claim = store.claim

    def late(*arguments, **options):
        yield from Io(happens, partial(asyncio.to_thread, happens))
        return (yield from claim(*arguments, **options))

    store.claim = late


def test_who_looked_before_a_landing_and_claims_after_it_looks_again(fleet):
    one, other = fleet()
    before_claim(other, one.get)
    answer = other.get()
    assert (answer.body, other.runs) == (b"run 1", 0)
    assert answer.headers.get("cache-status") == "gatekeep; fwd=miss; collapsed"


def test_who_claims_after_a_landing_that_was_purged_runs_the_view(fleet):
    one, other = fleet()
    before_claim(other, lambda: (one.get(), one.purge(tag="order:42")))
    assert (other.get().body, other.runs) == (b"run 1", 1)
    assert one.get().body == b"run 1"
    assert (one.runs, other.runs) == (1, 1), "and that is what is shared"


def test_workers_that_share_a_store_are_worth_no_warning(site, valkey, caplog):
    with caplog.at_level(logging.WARNING, "gatekeep.cache"):
        client = site(Cache(tags=["orders"]), store=RedisStore(valkey.url, timeout=PATIENT), workers=4)
        assert client.get("/orders").status == 200
        purge = client.gateway.cache.purge if client.protocol == "wsgi" else client.gateway.cache.apurge
        flow = purge(tag="orders")
        if flow is not None:
            client.run(flow)
    assert "workers" not in caplog.text


def test_what_was_fetched_once_is_in_memory(fleet, valkey):
    one, other = fleet()
    one.get()
    other.get()
    with valkey.client() as client:
        before = client.info("commandstats").get("cmdstat_get", {}).get("calls", 0)
        assert other.get().body == b"run 1"
        assert client.info("commandstats").get("cmdstat_get", {}).get("calls", 0) == before


@pytest.mark.parametrize("secrets", [(), (SECRET,)])
def test_a_large_body_comes_compressed_and_whole(fleet, valkey, secrets):
    one, other = fleet(secrets=secrets)
    body = b"0123456789" * 20_000
    one.answer = (200, [], body)
    one.get()
    assert other.get().body == body
    with valkey.client() as client:
        assert sum(client.strlen(name) for name in client.keys("*") if client.type(name) == b"string") < 20_000


def test_an_entry_too_large_for_the_time_budget_stays_in_its_process(fleet):
    one, other = fleet(2, Cache(ttl=60, max_entry=8_000_000))
    noise = random.Random(1).randbytes(3_000_000)
    for process in (one, other):
        process.answer = (200, [], noise)
    assert one.get().body == noise
    assert one.get().headers.get("cache-status").startswith("gatekeep; hit")
    assert other.get().body == noise
    assert other.runs == 1, "the lease says at once that there is nothing to wait for"


def test_an_encrypted_store_shows_neither_answers_nor_tags_nor_paths(fleet, valkey):
    one, other = fleet(secrets=(SECRET,))
    one.answer = (200, [("x-secret", "secret")], b"secret")
    one.get("/orders/secret")
    one.purge(tag="order:secret")
    one.get("/orders/secret")
    assert other.get("/orders/secret").body == b"secret"
    with valkey.client() as client:
        stored = b"".join(
            name + (client.get(name) if client.type(name) == b"string" else b"".join(client.hgetall(name).values()))
            for name in client.keys("*")
        )
    assert stored
    assert b"secret" not in stored


def test_who_has_another_secret_has_another_cache(fleet):
    [one] = fleet(1, secrets=(SECRET,))
    [other] = fleet(1, secrets=("x" * 32,))
    [plain] = fleet(1)
    assert {one.get().body, other.get().body, plain.get().body} == {b"run 1"}
    assert one.runs == other.runs == plain.runs == 1


def test_namespaces_are_apart(fleet):
    [one] = fleet(1, namespace="a")
    [other] = fleet(1, namespace="b")
    one.get()
    other.get()
    assert other.runs == 1


def test_variants_are_told_apart_everywhere(fleet):
    one, other, third = fleet(3)
    for process in (one, other, third):
        process.answer = (200, [("vary", "accept-language")], None)
    assert one.get(accept_language="en").body == b"run 1"
    assert other.get(accept_language="fr").body == b"run 1"
    assert other.runs == 1
    assert third.get(accept_language="fr").headers.get("cache-status").startswith("gatekeep; hit")
    assert third.get(accept_language="en").headers.get("cache-status").startswith("gatekeep; hit")
    assert third.runs == 0
    assert third.get(accept_language="de").body == b"run 1"


def test_a_process_that_knows_one_variant_fetches_another_in_one_go(fleet):
    one, other = fleet(2)
    for process in (one, other):
        process.answer = (200, [("vary", "accept-language")], None)
    other.get(accept_language="en")
    one.get(accept_language="fr")
    assert one.runs == 1
    assert other.get(accept_language="fr").headers.get("cache-status").startswith("gatekeep; hit")


@pytest.mark.parametrize(
    "purge",
    [{"tag": "order:42"}, {"key": "/orders/42"}, {"prefix": "/orders"}, {"all": True}],
    ids=lambda purge: next(iter(purge)),
)
def test_a_purge_holds_in_every_process(fleet, purge):
    one, other, third = fleet(3)
    one.get()
    other.get()
    one.purge(**purge)
    assert one.get().body == b"run 2"
    other.hear()
    assert other.get().body == b"run 2"
    assert third.get().body == b"run 2", "what is in the store is purged for those that come later, too"


def test_a_purge_leaves_everything_else(fleet):
    one, other = fleet()
    one.get("/orders/1")
    one.get("/orders/2")
    one.purge(tag="order:1")
    assert one.get("/orders/2").body == b"run 2"
    assert other.get("/orders/2").body == b"run 2"
    assert other.runs == 0


def test_a_view_tags_its_answer_for_everybody(fleet):
    one, other = fleet(2, Cache(ttl=60))
    one.during = lambda: current().tag("customer:7")
    one.get()
    assert other.get().body == b"run 1"
    other.purge(tag="customer:7")
    other.get()
    assert other.runs == 1


def test_messages_tell_of_a_purge(fleet):
    one, other = fleet(2, max_lag=60.0)
    tier = other.storage._tier
    one.get()
    other.get()
    if one.client.protocol == "wsgi":
        listen = other.periodic["cache-messages"].job
        other.client.run(listen())  # subscribes
        one.purge(tag="order:42")

        def heard():
            other.client.run(listen())
            return tier._log.log[1] == 1

        until(heard)
    else:

        async def listening():
            heard = tier._log.synced_at
            task = asyncio.ensure_future(tier._follow_messages())
            while tier._log.synced_at == heard:  # once it has subscribed, it looks
                await asyncio.sleep(0.001)
            await one.gateway.cache.apurge(tag="order:42")
            while tier._log.log[1] != 1:
                await asyncio.sleep(0.001)
            task.cancel()

        other.client.run(asyncio.wait_for(listening(), PATIENT))
    other.get()
    assert other.runs == 1


@pytest.mark.parametrize("job", ["cache-messages", "cache-purges"])
def test_the_runner_hears_of_purges_by_itself(site, valkey, job):
    """Each of the two ways alone is enough."""
    one = Process(site, valkey)
    other = Process(site, valkey, max_lag=60.0, jobs={job})
    one.get()
    assert other.get().body == b"run 1"
    log = other.storage._tier._log
    heard = log.synced_at
    until_on(other.client, lambda: log.synced_at > heard)  # it has subscribed, or looks now and then
    one.purge(tag="order:42")
    until_on(other.client, lambda: log.log[1] == 1)
    other.get()
    assert other.runs == 1


def test_a_lost_message_is_made_up_for_within_max_lag(site, valkey):
    one = Process(site, valkey)
    other = Process(site, valkey, max_lag=0.2)
    one.get()
    assert other.get().body == b"run 1"
    one.purge(tag="order:42")
    # Nobody tells the other one: it does not believe its memory for longer than that, and asks the store.
    time.sleep(0.25)
    other.get()
    assert other.runs == 1


def test_with_no_lag_at_all_the_store_is_asked_each_time(fleet):
    one, other = fleet(2, max_lag=0.0)
    one.get()
    assert other.get().body == b"run 1"
    one.purge(tag="order:42")
    assert other.get().body == b"run 1"
    assert other.runs == 1


def test_a_purge_during_a_flight_of_another_process_is_not_undone_by_it(fleet):
    one, other = fleet()
    one.during = lambda: other.gateway.cache.purge(tag="order:42")
    assert one.get().body == b"run 1"
    other.get()
    assert other.runs == 1, "what the flight brought is older than the purge"
    one.during = lambda: None
    one.hear()
    assert one.get().body == b"run 1"
    assert one.runs == 1


# A store that loses things, or holds rubbish.


def test_a_store_that_was_emptied_empties_the_processes(fleet, valkey):
    one, other = fleet()
    one.get()
    other.get()
    with valkey.client() as client:
        client.flushall()
    for process in (one, other):
        process.hear()
    other.get()
    assert other.runs == 1


def test_a_replica_that_lacks_purges_begins_a_new_era(fleet, valkey):
    one, other = fleet()
    one.get()
    other.get()
    one.purge(tag="order:42")
    with valkey.client() as client:
        [log] = client.keys("*log")
        client.hset(log, "number", 0)
    one.hear()
    other.hear()
    assert one.storage._tier._log.log == other.storage._tier._log.log
    assert other.get().body == b"run 1"
    assert other.runs == 1


def test_who_has_missed_too_many_purges_forgets_everything(fleet):
    one, other = fleet()
    other.get()
    for number in range(1002):
        one.client.run(one.storage._tier._cache.purge(one.storage._tier._wire.seal(["tag", str(number)], b"purge")))
    other.hear()
    assert other.storage._tier._log.log[1] == 1002
    other.get()
    assert other.runs == 2


def test_who_comes_late_believes_what_the_log_still_tells_of(fleet):
    [one] = fleet(1)
    one.get("/orders/1")
    for number in range(1500):
        one.client.run(one.storage._tier._cache.purge(one.storage._tier._wire.seal(["tag", str(number)], b"purge")))
    one.get("/orders/2")
    [late] = fleet(1)
    assert late.get("/orders/2").headers.get("cache-status").startswith("gatekeep; hit")
    late.get("/orders/1")
    assert late.runs == 1


@pytest.mark.parametrize("rubbish", [b"", b"x", b"gk\x01\0" + b"x" * 100, b"gk\x02\0", b"\x80\x04\x95", b"gk\x01\1" + b"x" * 100])
def test_rubbish_in_the_store_is_a_miss(fleet, valkey, rubbish):
    one, other = fleet()
    one.get()
    with valkey.client() as client:
        for name in client.keys("*:e*"):
            client.set(name, rubbish, keepttl=True)
    assert other.get().body == b"run 1"
    assert other.runs == 1


def test_an_entry_in_anothers_place_is_a_miss(fleet, valkey):
    one, other = fleet()
    one.get("/orders/1")
    one.get("/orders/2")
    with valkey.client() as client:
        first, second = client.keys("*:e*")
        client.copy(first, second, replace=True)
    other.get("/orders/1")
    other.get("/orders/2")
    assert other.runs == 1


def test_a_purge_that_nobody_can_read_purges_all(fleet):
    one, other = fleet()
    one.get()
    other.get()
    one.client.run(one.storage._tier._cache.purge(b"rubbish"))
    other.hear()
    other.get()
    assert other.runs == 1


def test_a_signpost_that_leads_nowhere_is_a_miss(fleet, valkey):
    one, other = fleet()
    one.answer = (200, [("vary", "accept-language")], None)
    one.get(accept_language="en")
    with valkey.client() as client:
        client.delete(*client.keys("*:e*.*"))
    other.get(accept_language="en")
    assert other.runs == 1


def test_a_key_that_two_processes_can_not_compare_stays_in_its_process(fleet, caplog):
    unique = object()
    one, other = fleet(2, Cache(ttl=60, key=lambda request: unique))
    one.get()
    assert one.get().body == b"run 1"
    other.get()
    assert other.runs == 1
    assert "in this process alone" in caplog.text


# Other servers.


@pytest.fixture(scope="module", params=[ClusterOfThree, OldRedis])
def other_server(request):
    server = request.param()
    yield server
    server.stop()


def test_a_cluster_and_an_old_redis_will_do(site, other_server):
    one, other = (Process(site, other_server) for _ in range(2))
    for process in (one, other):
        process.answer = (200, [("vary", "accept-language")], None)
    paths = [f"/orders/{number}" for number in range(10)]  # of several slots
    for path in paths:
        one.get(path, accept_language="en")
    for path in paths:
        assert other.get(path, accept_language="en").headers.get("cache-status").startswith("gatekeep; hit")
    assert other.runs == 0
    one.purge(tag="order:3")
    one.purge(prefix="/orders/4")
    other.hear()
    for path in paths:
        other.get(path, accept_language="en")
    assert other.runs == 2
    listen = other.periodic["cache-messages"].job
    if one.client.protocol == "wsgi":
        other.client.run(listen())
        one.purge(all=True)

        def heard():
            other.client.run(listen())
            return other.storage._tier._log.log[1] == one.storage._tier._log.log[1]

        until(heard)


# Forks.

FORKING = """
import os, sys, time
from gatekeep import Cache, CacheStorage, Gateway, Route
from gatekeep.stores.redis import RedisStore
from gatekeep.testing import call_wsgi

runs = 0

def app(environ, start_response):
    global runs
    runs += 1
    start_response("200 OK", [])
    return [b"%s %d" % (who, runs)]

who = b"parent"
store = RedisStore(sys.argv[1], timeout=30.0)
gateway = Gateway(routes=[Route("/x", Cache(ttl=60, tags=["x"]))], store=store, cache=CacheStorage(max_lag=60.0))
driver = gateway.wrap(app)
ask = lambda: call_wsgi(driver, "GET", "/x").body
tier = gateway.cache._storage._tier

def until(condition):
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    os._exit(3)

assert ask() == b"parent 1"
until(lambda: gateway.runner._busy == 0)
read, write = os.pipe()
child = os.fork()
if child == 0:
    who = b"child"
    if ask() != b"parent 1":
        os._exit(1)
    os.write(write, b"x")
    until(lambda: tier._log.log[1] == 1)  # the child's own runner hears of it
    os._exit(0 if ask() != b"parent 1" else 2)
os.read(read, 1)
gateway.cache.purge(tag="x")
_, status = os.waitpid(child, 0)
gateway.close()
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_forked_worker_has_its_own_memory_and_ears(valkey):
    subprocess.run([sys.executable, "-c", FORKING, valkey.url], check=True, timeout=180)


# Set-up.


def test_a_gateways_redis_is_its_caches_store(site, valkey):
    client = site(routes=[Route("/x", Cache())], store=valkey.url)
    assert client.gateway.cache._storage.shared
    client = site(routes=[Route("/x", Cache())], store=valkey.url, cache=CacheStorage(shared=False))
    assert not client.gateway.cache._storage.shared


def test_a_store_of_its_own_is_opened_and_closed(site, valkey):
    client = site(routes=[Route("/x", Cache(ttl=60))], cache=CacheStorage(store=valkey.url))
    assert client.get("/x").status == 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": 1000}, "memory"),
        ({"max_lag": -1.0}, "max_lag"),
        ({"max_lag": float("inf")}, "max_lag"),
        ({"compress_over": -1}, "compress_over"),
        ({"secrets": SECRET}, "is a string"),
        ({"secrets": ["short"]}, "shorter than 32"),
        ({"shared": False, "secrets": [SECRET]}, "shared=False"),
    ],
)
def test_a_wrong_storage_is_a_mistake_with_its_line(options, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        CacheStorage(**options)
    assert caught.value.origin.file == __file__


def test_a_store_that_nobody_shares_is_a_mistake(site):
    with pytest.raises(ConfigurationError, match="shared by nobody"):
        site(cache=CacheStorage(shared=True))


def test_a_secret_is_not_in_the_repr():
    assert SECRET not in repr(CacheStorage(secrets=[SECRET]))
