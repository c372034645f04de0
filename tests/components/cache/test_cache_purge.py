"""gateway.cache: purges of an app, at once or after a commit; in one process."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading

import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from gatekeep import (
    STANDARD,
    Cache,
    CacheStorage,
    ConfigurationError,
    DependencyError,
    Gateway,
    Priority,
    Route,
    Throttle,
    current,
)
from gatekeep.components import cache as cache_package
from gatekeep.components.cache.handle import CacheHandle


@pytest.fixture
def runs():
    return []


@pytest.fixture
def client(site, runs):
    def view(request):
        runs.append(request.path)
        current().tag("kind:all", f"customer:{len(request.path)}")
        return 200, [("content-type", "text/plain")], b"%d" % len(runs)

    return site(
        view=view,
        routes=[Route("/orders/{id}", Cache(ttl=60, tags=["order:{id}"])), Route("/news", Cache(ttl=60))],
    )


def purge(client, **what):
    if client.protocol == "wsgi":
        client.gateway.cache.purge(**what)
    else:
        client.run(client.gateway.cache.apurge(**what))


@pytest.mark.parametrize(
    ("what", "gone"),
    [
        ({"tag": "order:1"}, {"/orders/1", "/orders/1?a=1"}),
        ({"tag": "customer:9"}, {"/orders/1", "/orders/1?a=1", "/orders/2"}),
        ({"tag": "kind:all"}, {"/orders/1", "/orders/1?a=1", "/orders/2", "/news"}),
        ({"tag": "order"}, set()),
        ({"key": "/orders/1"}, {"/orders/1", "/orders/1?a=1"}),
        ({"key": "/orders/1?a=1"}, {"/orders/1?a=1"}),
        ({"prefix": "/orders/"}, {"/orders/1", "/orders/1?a=1", "/orders/2"}),
        ({"prefix": "/"}, {"/orders/1", "/orders/1?a=1", "/orders/2", "/news"}),
        ({"all": True}, {"/orders/1", "/orders/1?a=1", "/orders/2", "/news"}),
    ],
)
def test_a_purge_takes_what_it_names_and_nothing_else(client, runs, what, gone):
    targets = ["/orders/1", "/orders/1?a=1", "/orders/2", "/news"]
    for target in targets:
        client.get(target)
    purge(client, **what)
    missed = {
        target for target in targets if not (client.get(target).headers.get("cache-status") or "").startswith("gatekeep; hit")
    }
    assert missed == gone


@pytest.mark.parametrize(
    "what", [{"tag": "order:1"}, {"tag": "late"}, {"key": "/orders/1"}, {"prefix": "/ord"}, {"all": True}], ids=str
)
def test_a_purge_during_a_flight_is_not_undone_by_it(site, what):
    runs = []

    def view(request):
        runs.append(1)
        if len(runs) == 1:
            client.gateway.cache.purge(**what)
        current().tag("late")
        return 200, [], b"%d" % len(runs)

    client = site(view=view, routes=[Route("/orders/{id}", Cache(ttl=60, tags=["order:{id}"]))])
    assert client.get("/orders/1").body == b"1"
    assert client.get("/orders/1").body == b"2"
    assert client.get("/orders/1").body == b"2"


def test_a_purge_of_something_else_during_a_flight_does_not_disturb_it(site):
    runs = []

    def view(request):
        runs.append(1)
        client.gateway.cache.purge(tag="order:7")
        return 200, [], b"%d" % len(runs)

    client = site(view=view, routes=[Route("/orders/{id}", Cache(ttl=60, tags=["order:{id}"]))])
    client.get("/orders/1")
    assert client.get("/orders/1").body == b"1"


def test_a_tag_that_comes_with_the_last_bytes_counts(site):
    def view(request):
        def chunks():
            yield b"a"
            current().tag("late")
            yield b"b"

        return 200, [], chunks()

    client = site(view=view, routes=[Route("/x", Cache(ttl=60))])
    client.get("/x")
    assert client.get("/x").headers.get("cache-status").startswith("gatekeep; hit")
    client.gateway.cache.purge(tag="late")
    assert "fwd" in client.get("/x").headers.get("cache-status")


def test_a_gateway_without_a_cache_has_none_to_purge():
    gateway = Gateway(order=[kind for kind in STANDARD if kind is not cache_package.ResponseCache])
    with pytest.raises(ConfigurationError, match="no ResponseCache"):
        gateway.cache.purge(all=True)


# After a commit.


@pytest.fixture
def purged():
    return []


@pytest.fixture
def handle(purged):
    class Storage:
        def purge(self, purge):
            purged.append(purge.target)

    return CacheHandle(Storage())


@pytest.fixture
def engine(tmp_path):
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/test.db")
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("create table t (a integer)"))
    yield engine
    engine.dispose()


def change(session):
    session.execute(sqlalchemy.text("insert into t values (1)"))


@pytest.fixture
def session(engine):
    with Session(engine) as session:
        yield session


def test_a_purge_happens_when_the_session_has_committed(handle, purged, session):
    handle.after_commit(session, tag="early")
    change(session)
    handle.after_commit(session, tag="late")
    session.flush()
    assert purged == []
    session.commit()
    assert purged == ["early", "late"]
    change(session)
    session.commit()
    assert purged == ["early", "late"], "each is done once"


@pytest.mark.parametrize("end", ["rollback", "close"])
def test_nothing_is_purged_where_nothing_was_changed(handle, purged, session, end):
    change(session)
    handle.after_commit(session, tag="a")
    getattr(session, end)()
    change(session)
    session.commit()
    assert purged == []


def test_what_was_done_in_a_savepoint_counts_with_it(handle, purged, session):
    change(session)
    handle.after_commit(session, tag="outer")
    kept = session.begin_nested()
    change(session)
    handle.after_commit(session, tag="kept")
    kept.commit()
    assert purged == [], "a savepoint is no commit"
    lost = session.begin_nested()
    change(session)
    handle.after_commit(session, tag="lost")
    lost.rollback()
    session.commit()
    assert purged == ["outer", "kept"]


def test_savepoints_in_savepoints(handle, purged, session):
    outer = session.begin_nested()
    change(session)
    inner = session.begin_nested()
    change(session)
    handle.after_commit(session, tag="inner")
    inner.commit()
    handle.after_commit(session, tag="outer")
    outer.rollback()
    handle.after_commit(session, tag="after")
    session.commit()
    assert purged == ["after"]


def test_a_commit_that_fails_purges_nothing(handle, purged, session):
    change(session)
    handle.after_commit(session, tag="a")

    def refuse(session):
        raise RuntimeError("not today")

    sqlalchemy.event.listen(session, "before_commit", refuse)
    with pytest.raises(RuntimeError):
        session.commit()
    session.rollback()
    sqlalchemy.event.remove(session, "before_commit", refuse)
    session.commit()
    assert purged == []


def test_scoped_sessions_are_sessions(handle, purged, engine):
    scoped = scoped_session(sessionmaker(engine, info={"shared": True}))
    handle.after_commit(scoped, tag="a")
    change(scoped)
    scoped.commit()
    scoped.remove()
    handle.after_commit(scoped, tag="b")
    change(scoped)
    scoped.rollback()
    scoped.remove()
    assert purged == ["a"]


def test_sessions_of_different_threads_do_not_meet(handle, purged, engine):
    def work(tag, end):
        with Session(engine) as session:
            handle.after_commit(session, tag=tag)
            change(session)
            getattr(session, end)()

    for tag, end in (("a", "commit"), ("b", "rollback"), ("c", "commit")):
        thread = threading.Thread(target=work, args=(tag, end))
        thread.start()
        thread.join()
    assert purged == ["a", "c"]


@pytest.mark.parametrize("scoped", [False, True])
def test_async_sessions_commit_too_and_the_loop_does_not_wait(tmp_path, scoped):
    purged = []

    class Storage:
        """Purges by waiting on the loop, as one with a shared store does."""

        def purge(self, purge):
            return self.flow(purge)

        def flow(self, purge):
            from gatekeep.effects import Io

            async def wait():
                await asyncio.sleep(0)
                purged.append(purge.target)

            yield from Io(lambda: pytest.fail("the loop was blocked"), wait)

    async def go():
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/async.db")
        async with engine.begin() as connection:
            await connection.execute(sqlalchemy.text("create table t (a integer)"))
        handle = CacheHandle(Storage())
        session = async_scoped_session(async_sessionmaker(engine), asyncio.current_task) if scoped else AsyncSession(engine)
        await session.execute(sqlalchemy.text("insert into t values (1)"))
        handle.after_commit(session, tag="a")
        await session.commit()
        await session.execute(sqlalchemy.text("insert into t values (1)"))
        handle.after_commit(session, tag="b")
        await session.rollback()
        await session.close()
        await engine.dispose()

    asyncio.run(go())
    assert purged == ["a"]


def test_any_function_that_calls_another_after_the_commit_will_do(handle, purged):
    later = []
    handle.after_commit(later.append, tag="a")
    assert purged == []
    later[0]()
    assert purged == ["a"]


@pytest.mark.parametrize("wrong", [None, 3, "session"])
def test_what_is_no_transaction_is_refused(handle, wrong):
    with pytest.raises(TypeError, match="neither a session"):
        handle.after_commit(wrong, tag="a")


def test_what_to_purge_is_checked_at_once(handle, session):
    with pytest.raises(ValueError, match="exactly one"):
        handle.after_commit(session)


def test_a_store_that_is_away_does_not_fail_what_is_committed(session, caplog):
    class Storage:
        def purge(self, purge):
            raise DependencyError("the store is away")
            yield

    CacheHandle(Storage()).after_commit(session, tag="a")
    change(session)
    session.commit()
    assert "when the store is back" in caplog.text


# Several workers, each with a memory of its own.

ALONE = "a purge reaches the one that makes it"


@pytest.fixture
def warnings(caplog):
    """How often it was told."""
    caplog.set_level(logging.WARNING, "gatekeep.cache")
    return lambda: [record.getMessage() for record in caplog.records if ALONE in record.getMessage()]


@pytest.mark.parametrize("store", ["memory://", "host://"])
@pytest.mark.parametrize(
    ("specs", "options"),
    [
        ((Cache(tags=["orders"]),), {}),
        ((), {"routes": [Route("/orders/{id}", Cache(tags=["order:{id}"])), Route("/news", Cache(tags=["news"]))]}),
        ((Cache(),), {"routes": [Route("/orders", Throttle("5/s", by="ip"), methods={"GET", "POST"})]}),
        ((), {"routes": [Route("/orders", Cache(), methods={"GET"}), Route("/orders", Priority("low"), methods={"PUT"})]}),
    ],
)
def test_purges_that_reach_one_worker_are_worth_one_warning(site, warnings, specs, options, store, tmp_path):
    if store == "host://":
        store = f"host://{tmp_path}/store"
    client = site(*specs, store=store, workers=4, **options)
    for path in ("/orders/1", "/orders", "/news"):
        assert client.get(path).status == 200
    client.gateway.cache.purge(all=True)
    assert len(warnings()) == 1
    assert warnings()[0].startswith("response_cache: 4 workers, and each keeps answers for itself")
    assert "redis://" in warnings()[0]


def test_it_is_told_before_anything_is_purged(site, warnings):
    client = site(Cache(tags=["orders"]), workers=2)
    assert client.get("/orders").status == 200
    assert len(warnings()) == 1


def test_a_cache_that_nobody_purges_is_no_matter(site, warnings):
    client = site(Cache(), workers=4, routes=[Route("/orders", Throttle("5/s", by="ip"), methods={"GET"})])
    assert client.get("/orders").status == client.get("/news").status == 200
    assert warnings() == []
    client.gateway.cache.purge(key="/orders")  # now somebody does
    client.gateway.cache.purge(key="/orders")
    assert len(warnings()) == 1


def test_how_many_workers_there_are_is_read_off_the_environment(site, warnings, monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    assert site(Cache(tags=["orders"])).get("/orders").status == 200
    assert [message.partition(",")[0] for message in warnings()] == ["response_cache: 3 workers"]


@pytest.mark.parametrize("options", [{}, {"workers": 1}, {"workers": 4, "cache": CacheStorage(shared=False)}])
def test_one_worker_or_a_choice_is_no_matter(site, warnings, options):
    client = site(Cache(tags=["orders"]), **options)
    assert client.get("/orders").status == 200
    client.gateway.cache.purge(tag="orders")
    assert warnings() == []


DJANGO = """
import django
from django.conf import settings

settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
django.setup()
from django.db import transaction

from gatekeep.components.cache.handle import CacheHandle

purged = []


class Storage:
    def purge(self, purge):
        purged.append(purge.target)


handle = CacheHandle(Storage())
with transaction.atomic():
    handle.after_commit(transaction, tag="committed")
    try:
        with transaction.atomic():
            handle.after_commit(transaction, tag="savepoint")
            raise LookupError
    except LookupError:
        pass
    assert purged == []
assert purged == ["committed"], purged
try:
    with transaction.atomic():
        handle.after_commit(transaction, tag="rolled back")
        raise LookupError
except LookupError:
    pass
assert purged == ["committed"], purged
handle.after_commit(transaction, tag="autocommit")
assert purged == ["committed", "autocommit"], purged
"""


def test_django_transactions_commit_too():
    subprocess.run([sys.executable, "-c", DJANGO], check=True)
