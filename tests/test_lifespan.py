"""Lifespan passes through; the table is compiled and the gateway started inside of it; several apps live together."""

from __future__ import annotations

import asyncio

import pytest

from gatekeep.component import Spec
from gatekeep.components.stages import Stage
from gatekeep.errors import ConfigurationError, DependencyError
from gatekeep.gateway import Gateway
from probes import lined_up, probe


class Unknown(Spec):
    """A spec that no component runs."""


async def live(app, messages=("lifespan.startup", "lifespan.shutdown"), state=None):
    """A server's side of a lifespan: what the app says to each message, and the exception that it ends with."""
    inbox, said = asyncio.Queue(), []
    answered = asyncio.Event()

    async def send(message):
        said.append(message)
        answered.set()

    task = asyncio.ensure_future(app({"type": "lifespan", "state": {} if state is None else state}, inbox.get, send))
    for message in messages:
        answered.clear()
        inbox.put_nowait({"type": message})
        waiting = asyncio.ensure_future(answered.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if task.done() or said[-1]["type"].endswith("failed"):
            break
    await asyncio.wait({task}, timeout=60)
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
        return said, None
    return said, task.exception()


def living(log, name="app", *, fails=None, quiet=False, cleans_up=True):
    """An app that logs its life; `fails` at "startup" or "shutdown" says so, `quiet` means that it raises instead."""

    async def app(scope, receive, send):
        assert scope["type"] == "lifespan"
        for phase in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{phase}"
            log.append(f"{name} {phase}")
            if fails == phase and quiet:
                raise RuntimeError(f"{name} does not like it")
            if fails == phase:
                await send({"type": f"lifespan.{phase}.failed", "message": f"{name} can't"})
                return
            scope["state"][name] = phase
            try:
                await send({"type": f"lifespan.{phase}.complete"})
            except Exception:
                log.append(f"{name} cleans up")
                if cleans_up:
                    await send({"type": "lifespan.startup.failed", "message": "a long traceback"})
                raise

    return app


def types(said):
    return [message["type"] for message in said]


def test_it_passes_through_with_the_gateway_s_own_inside():
    log, state = [], {}
    made = probe("made", start=lambda: log.append("start"), close=lambda: log.append("close"))
    app = Gateway(made.spec, **lined_up(made)).wrap(living(log))
    said, error = asyncio.run(live(app, state=state))
    assert types(said) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert error is None
    assert log == ["app startup", "start", "app shutdown", "close"]
    assert state == {"app": "shutdown"}


def test_twice_in_a_row():
    log = []
    made = probe("made", start=lambda: log.append("start"), close=lambda: log.append("close"))
    app = Gateway(made.spec, **lined_up(made)).wrap(living([]))
    for _ in range(2):
        assert asyncio.run(live(app))[1] is None
    assert log == ["start", "close", "start", "close"]


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
def test_what_the_app_says_of_its_failure_passes(phase):
    said, error = asyncio.run(live(Gateway().wrap(living([], fails=phase))))
    assert said[-1] == {"type": f"lifespan.{phase}.failed", "message": "app can't"}
    assert error is None


async def knows_none(scope, receive, send):
    raise NotImplementedError(scope["type"])


async def ignores_it(scope, receive, send):
    return


@pytest.mark.parametrize("app", [knows_none, ignores_it])
def test_an_app_that_knows_no_lifespan_has_the_gateway_s_own(app):
    log = []
    made = probe("made", start=lambda: log.append("start"), close=lambda: log.append("close"))
    said, error = asyncio.run(live(Gateway(made.spec, **lined_up(made)).wrap(app)))
    assert types(said) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert error is None
    assert log == ["start", "close"]


def test_there_too_what_goes_wrong_fails_the_start_up():
    gateway = Gateway()
    app = gateway.wrap(knows_none)
    gateway.specs = (Unknown(),)
    said, error = asyncio.run(live(app))
    assert types(said) == ["lifespan.startup.failed"]
    assert __file__ in said[0]["message"]
    assert isinstance(error, ConfigurationError)


def test_an_app_that_raises_in_its_start_up_knows_lifespan():
    said, error = asyncio.run(live(Gateway().wrap(living([], fails="startup", quiet=True))))
    assert said == []
    assert isinstance(error, RuntimeError)


def failing_front():
    """A driver whose table does not compile any more once the app is complete."""
    gateway = Gateway()
    log = []
    app = gateway.wrap(living(log))
    gateway.specs = (Unknown(),)
    return app, log


def test_a_configuration_error_fails_the_start_up_in_its_own_words():
    app, log = failing_front()
    said, error = asyncio.run(live(app))
    assert types(said) == ["lifespan.startup.failed"]
    assert __file__ in said[0]["message"]
    assert "no component" in said[0]["message"]
    assert isinstance(error, ConfigurationError)
    assert log == ["app startup", "app cleans up"]


def test_also_where_the_app_says_nothing():
    gateway = Gateway()
    app = gateway.wrap(living([], cleans_up=False))
    gateway.specs = (Unknown(),)
    said, error = asyncio.run(live(app))
    assert types(said) == ["lifespan.startup.failed"]
    assert isinstance(error, ConfigurationError)


def test_also_where_the_app_swallows_it():
    async def app(scope, receive, send):
        await receive()
        try:
            await send({"type": "lifespan.startup.complete"})
        except ConfigurationError:
            return

    gateway = Gateway()
    wrapped = gateway.wrap(app)
    gateway.specs = (Unknown(),)
    said, error = asyncio.run(live(wrapped))
    assert types(said) == ["lifespan.startup.failed"]
    assert error is None


def test_a_component_that_can_t_start_fails_the_start_up():
    def start():
        raise DependencyError("the key server is down")

    made = probe("made", start=start)
    said, error = asyncio.run(live(Gateway(made.spec, **lined_up(made)).wrap(living([]))))
    assert said == [{"type": "lifespan.startup.failed", "message": "the key server is down"}]
    assert isinstance(error, DependencyError)


class TestSeveralApps:
    def staged(self, *apps):
        stages = [Stage(f"s{number}", app=app, path=f"/{number}") for number, app in enumerate(apps)]
        return Gateway(stages=stages).asgi()

    def test_they_start_in_order_and_end_in_reverse(self):
        log = []
        said, error = asyncio.run(live(self.staged(living(log, "a"), living(log, "b"))))
        assert types(said) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        assert error is None
        assert log == ["a startup", "b startup", "b shutdown", "a shutdown"]

    def test_one_that_fails_ends_those_that_have_started(self):
        log = []
        said, _ = asyncio.run(live(self.staged(living(log, "a"), living(log, "b", fails="startup"), living(log, "c"))))
        assert said == [{"type": "lifespan.startup.failed", "message": "b can't"}]
        assert log == ["a startup", "b startup", "a shutdown"]

    def test_one_without_lifespan_is_left_out(self):
        log = []

        async def without(scope, receive, send):
            raise NotImplementedError

        said, _ = asyncio.run(live(self.staged(without, living(log, "b"))))
        assert types(said) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        assert log == ["b startup", "b shutdown"]

    @pytest.mark.parametrize("quiet", [True, False])
    def test_every_one_is_shut_down_though_one_fails(self, quiet):
        log = []
        apps = [living(log, "a"), living(log, "b", fails="shutdown", quiet=quiet), living(log, "c")]
        said, _ = asyncio.run(live(self.staged(*apps)))
        assert said[-1] == {"type": "lifespan.shutdown.failed", "message": "" if quiet else "b can't"}
        assert log[3:] == ["c shutdown", "b shutdown", "a shutdown"]

    def test_a_configuration_error_ends_those_that_have_started(self):
        log = []
        gateway = Gateway(stages=[Stage("a", app=living(log, "a"), path="/a"), Stage("b", app=living(log, "b"), path="/b")])
        app = gateway.asgi()
        gateway.specs = (Unknown(),)
        said, error = asyncio.run(live(app))
        assert types(said) == ["lifespan.startup.failed"]
        assert isinstance(error, ConfigurationError)
        assert log == ["a startup", "b startup", "b shutdown", "a shutdown"]

    def test_a_server_that_stops_waiting_ends_them_too(self):
        log = []

        async def main():
            inbox = asyncio.Queue()
            started = asyncio.Event()

            async def send(message):
                started.set()

            app = self.staged(living(log, "a"), living(log, "b"))
            task = asyncio.ensure_future(app({"type": "lifespan", "state": {}}, inbox.get, send))
            inbox.put_nowait({"type": "lifespan.startup"})
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        assert log == ["a startup", "b startup", "b shutdown", "a shutdown"]

    def test_one_app_in_two_stages_lives_once(self):
        log = []
        app = living(log, "a")
        asyncio.run(live(self.staged(app, app)))
        assert log == ["a startup", "a shutdown"]
