"""Order and unwinding, hooks that wait or fail, on_finish, bodies in their three modes, and paths that are rewritten."""

from __future__ import annotations

import asyncio

import pytest

from gatekeep.component import Component, Hooks, Spec
from gatekeep.components import STANDARD
from gatekeep.effects import Io, arun
from gatekeep.errors import DependencyError, Forbidden, GatekeepError
from gatekeep.gateway import Gateway
from gatekeep.message import Response
from gatekeep.routing import Route
from opaque import asgi_app, wsgi_app
from probes import lined_up, pause, probe
from wires import Gone, serve, serve_asgi


@pytest.fixture(params=[False, True], ids=["at once", "waiting"])
def waits(request):
    """Every hook runs as a plain function, and once more as a flow that waits."""
    return request.param


def answering(status=200, body=b"made here", **headers):
    return lambda exchange: Response(status, list(headers.items()), body)


def raising(error):
    def act(exchange):
        raise error

    return act


class TestOrder:
    def test_in_from_the_outside_and_out_again(self, site, waits):
        log = []
        probes = [probe(name, log, waits=waits) for name in ("outer", "middle", "inner")]

        def view(request):
            log.append("view")
            return 200, [], b""

        assert site(*(p.spec for p in probes), view=view, **lined_up(*probes)).get("/").status == 200
        assert log == [
            *("outer>", "middle>", "inner>", "view", "<inner", "<middle", "<outer"),
            *("inner.", "middle.", "outer."),
        ]

    def test_flows_and_plain_hooks_side_by_side(self, site):
        log = []
        probes = [probe(name, log, waits=index % 2 == 0) for index, name in enumerate("abcd")]
        assert site(*(p.spec for p in probes), **lined_up(*probes)).get("/").body == b"ok"
        assert log == ["a>", "b>", "c>", "d>", "<d", "<c", "<b", "<a", "d.", "c.", "b.", "a."]

    def test_who_answers_unwinds_only_what_stands_outside(self, site, waits):
        log = []
        probes = [
            probe("outer", log, waits=waits),
            probe("middle", log, waits=waits, request=answering(418)),
            probe("inner", log, waits=waits),
        ]
        answer = site(*(p.spec for p in probes), **lined_up(*probes)).get("/")
        assert (answer.status, answer.body) == (418, b"made here")
        assert answer.headers.get("content-length") == "9"
        assert log == ["outer>", "middle>", "<outer", "middle.", "outer."]

    def test_a_component_without_anything_to_do_is_not_there(self, site):
        log = []
        outer, inner = probe("outer", log), probe("inner", log)
        client = site(outer.spec, routes=[Route("/x", inner.spec)], **lined_up(outer, inner))
        client.get("/")
        assert log == ["outer>", "<outer", "outer."]

    def test_a_third_party_component_stands_where_it_says(self, site):
        geofence = probe("geofence", request=raising(Forbidden("Not from here.", code="geofenced")))
        answer = site(geofence.spec, order=[*STANDARD, geofence.component]).get("/")
        assert (answer.status, answer.json()["code"]) == (403, "geofenced")

    def test_an_answer_without_a_body_is_an_empty_one(self, site):
        asked = probe("asked", request=lambda exchange: Response(202, body=None))
        answer = site(asked.spec, **lined_up(asked)).get("/")
        assert (answer.status, answer.body, answer.headers.get("content-length")) == (202, b"", "0")


class TestRefusals:
    def test_a_denial_is_rendered_noted_and_remembered(self, site, waits):
        seen = []
        outer = probe("outer", finish=lambda exchange: seen.append((exchange.decisions, exchange.error, exchange.outcome)))
        inner = probe("inner", waits=waits, request=raising(Forbidden("No.", code="nope", headers=[("x-why", "no")])))
        answer = site(outer.spec, inner.spec, **lined_up(outer, inner)).get("/")
        assert (answer.status, answer.headers.get("x-why"), answer.json()["detail"]) == (403, "no", "No.")
        ((decisions, error, outcome),) = seen
        assert decisions == [("inner", "nope")]
        assert isinstance(error, Forbidden)
        assert outcome == "completed"

    def test_report_mode_notes_and_goes_on(self, site, waits):
        log = []
        seen = []
        strict = probe("strict", log, waits=waits, report=True, request=raising(Forbidden("No.", code="nope")))
        inner = probe("inner", log, finish=lambda exchange: seen.append(exchange.decisions))
        assert site(strict.spec, inner.spec, **lined_up(strict, inner)).get("/").body == b"ok"
        assert log == ["strict>", "inner>", "<inner", "<strict", "inner.", "strict."]
        assert seen == [[("strict", "report:nope")]]

    @pytest.mark.parametrize(
        ("error", "status", "code"),
        [
            (RuntimeError("secret"), 500, "internal_error"),
            (GatekeepError("secret"), 500, "internal_error"),
            (DependencyError("secret"), 503, "unavailable"),
        ],
    )
    @pytest.mark.parametrize("report", [False, True])
    def test_a_hook_that_fails_closes_and_is_logged(self, site, waits, error, status, code, report, caplog):
        called = []
        broken = probe("broken", waits=waits, request=raising(error), report=report and status == 500)

        def view(request):
            called.append(1)
            return 200, [], b""

        answer = site(broken.spec, view=view, **lined_up(broken)).get("/")
        assert (answer.status, answer.json()["code"]) == (status, code)
        assert b"secret" not in answer.body
        assert "secret" in caplog.text
        assert "broken" in caplog.text
        assert called == []

    def test_a_response_hook_that_fails_is_answered_through_what_stands_outside(self, site, waits, caplog):
        log = []

        def stamp(exchange):
            exchange.response.headers.set("x-outer", "was here")

        probes = [
            probe("outer", log, waits=waits, response=stamp),
            probe("broken", log, waits=waits, response=raising(RuntimeError("secret"))),
            probe("inner", log, waits=waits),
        ]
        answer = site(*(p.spec for p in probes), **lined_up(*probes)).get("/")
        assert (answer.status, answer.headers.get("x-outer"), answer.json()["code"]) == (500, "was here", "internal_error")
        assert b"ok" not in answer.body
        assert log[3:6] == ["<inner", "<broken", "<outer"]
        assert "secret" in caplog.text

    def test_a_finish_hook_that_fails_stops_no_other(self, site, caplog):
        log = []
        outer, inner = probe("outer", log), probe("inner", log, finish=raising(RuntimeError("secret")))
        assert site(outer.spec, inner.spec, **lined_up(outer, inner)).get("/").status == 200
        assert log[-2:] == ["inner.", "outer."]
        assert "on_finish failed" in caplog.text

    def test_a_need_that_fails_is_answered(self, site, caplog):
        broken = probe("broken", whole=raising(RuntimeError("secret")))
        answer = site(broken.spec, **lined_up(broken)).get("/")
        assert (answer.status, answer.json()["code"]) == (500, "internal_error")
        assert "secret" in caplog.text

    def test_what_can_t_be_forwarded_is_refused(self, site, caplog):
        def spoil(exchange):
            exchange.forward().query_string = "€" if exchange.protocol == "asgi" else "x"
            exchange.forward().path = "/\udc80"

        spoiler = probe("spoiler", request=spoil)
        answer = site(spoiler.spec, **lined_up(spoiler)).get("/")
        assert (answer.status, answer.json()["code"]) == (500, "internal_error")
        assert "forward failed" in caplog.text


# on_finish, whatever the end.


def counting(outcomes):
    return probe("counter", finish=lambda exchange: outcomes.append((exchange.outcome, type(exchange.error).__name__)))


def streaming(protocol, *, fail_at=None, log=None):
    def view(request):
        def chunks():
            for number in range(3):
                if number == fail_at:
                    raise RuntimeError("the app's own")
                if log is not None:
                    log.append(f"made {number}")
                yield b"%d" % number

        return 200, [], chunks()

    return (wsgi_app if protocol == "wsgi" else asgi_app)(view)


class TestFinish:
    """Exactly once, whatever the end."""

    def wrapped(self, app, outcomes):
        counter = counting(outcomes)
        return Gateway(counter.spec, **lined_up(counter)).wrap(app)

    def test_after_a_clean_end(self, protocol):
        outcomes = []
        serve(self.wrapped(streaming(protocol), outcomes), protocol, [])
        assert outcomes == [("completed", "NoneType")]

    def test_after_an_exception_before_the_head(self, protocol):
        outcomes = []

        def view(request):
            raise KeyError("the app's own")

        app = self.wrapped((wsgi_app if protocol == "wsgi" else asgi_app)(view), outcomes)
        with pytest.raises(KeyError):
            serve(app, protocol, [])
        assert outcomes == [("failed", "KeyError")]

    @pytest.mark.parametrize("fail_at", [0, 2])
    def test_after_an_exception_while_streaming(self, protocol, fail_at):
        outcomes, log = [], []
        with pytest.raises(RuntimeError, match="the app's own"):
            serve(self.wrapped(streaming(protocol, fail_at=fail_at), outcomes), protocol, log)
        assert outcomes == [("failed", "RuntimeError")]
        assert (("body", b"1") in log) is (fail_at == 2)

    def test_after_a_client_left_while_streaming(self, protocol):
        outcomes, log = [], []
        app = self.wrapped(streaming(protocol), outcomes)
        if protocol == "wsgi":
            serve(app, protocol, log, leave_after=1)
        else:
            with pytest.raises(asyncio.CancelledError):
                serve(app, protocol, log, leave_after=1)
        assert outcomes[0][0] == "disconnected"
        assert len(outcomes) == 1
        assert ("body", b"1") not in log

    def test_after_send_raised(self):
        outcomes = []
        with pytest.raises(Gone):
            serve(self.wrapped(streaming("asgi"), outcomes), "asgi", [], leave_after=1, leaving="raises")
        assert outcomes == [("disconnected", "Gone")]

    def test_after_an_app_that_stops_in_the_middle(self):
        outcomes = []

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"1", "more_body": True})

        serve(self.wrapped(app, outcomes), "asgi", [])
        assert outcomes == [("disconnected", "NoneType")]

    def test_after_an_app_that_says_nothing(self):
        outcomes = []

        async def app(scope, receive, send):
            pass

        serve(self.wrapped(app, outcomes), "asgi", [])
        assert outcomes == [("failed", "NoneType")]

    def test_after_the_coroutine_was_thrown_away(self):
        outcomes = []

        async def app(scope, receive, send):
            await asyncio.get_running_loop().create_future()

        async def main():
            wrapped = self.wrapped(app, outcomes)
            await arun(wrapped.gateway.start())
            running = wrapped({"type": "http", "method": "GET", "path": "/", "headers": []}, None, None)
            running.send(None)
            running.close()

        asyncio.run(main())
        assert outcomes == [("failed", "GeneratorExit")]

    def test_after_a_cancellation_while_a_hook_waits_for_as_far_as_it_came(self):
        log = []

        outer, middle, inner = probe("outer", log), probe("middle", log, request=waiting), probe("inner", log)
        app = Gateway(outer.spec, middle.spec, inner.spec, **lined_up(outer, middle, inner)).wrap(asgi_app(None))

        async def main():
            task = asyncio.ensure_future(serve_asgi(app, []))
            for _ in range(5):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        assert log == ["outer>", "middle>", "middle.", "outer."]

    def test_a_hook_that_is_told_to_stop_is_a_place_that_was_reached(self, protocol):
        log = []
        outer, inner = probe("outer", log), probe("inner", log, request=raising(KeyboardInterrupt()))
        app = Gateway(outer.spec, inner.spec, **lined_up(outer, inner)).wrap(streaming(protocol))
        with pytest.raises(KeyboardInterrupt):
            serve(app, protocol, [])
        assert log == ["outer>", "inner>", "inner.", "outer."]

    def test_after_a_refusal(self, site):
        outcomes = []
        counter = counting(outcomes)
        refuser = probe("refuser", request=raising(Forbidden("No.")))
        site(counter.spec, refuser.spec, **lined_up(counter, refuser)).get("/")
        assert outcomes == [("completed", "Forbidden")]


# Bodies.


class TestWholeBodies:
    def test_a_component_that_needs_the_request_body_has_it(self, site, waits):
        seen = []
        reader = probe("reader", waits=waits, reads=True, request=lambda exchange: seen.append(exchange.request.body))
        client = site(reader.spec, view=lambda request: (200, [], request.body), **lined_up(reader))
        assert client.post("/", body=b"hello").body == b"hello"
        assert client.post("/", body=[b"hel", b"lo"]).body == b"hello"
        assert client.get("/").body == b""
        assert seen == [b"hello", b"hello", b""]

    def test_it_is_read_once_and_not_before_cheaper_hooks(self, site):
        seen = []
        first = probe("first", request=lambda exchange: seen.append(exchange.request.body))
        second = probe("second", reads=True, request=lambda exchange: seen.append(exchange.request.body))
        third = probe("third", reads=True, request=lambda exchange: seen.append(exchange.request.body))
        site(first.spec, second.spec, third.spec, **lined_up(first, second, third)).post("/", body=b"x")
        assert seen == [None, b"x", b"x"]

    @pytest.mark.parametrize("body", [b"12345678901", [b"123456", b"78901"]])
    def test_over_max_body_is_413_and_the_app_is_not_called(self, site, body):
        called = []

        def view(request):
            called.append(1)
            return 200, [], b""

        reader = probe("reader", reads=True, report=True)
        answer = site(reader.spec, view=view, max_body=10, **lined_up(reader)).post("/", body=body)
        assert (answer.status, answer.json()["code"]) == (413, "body_too_large")
        assert called == []

    def test_a_component_that_needs_the_response_body_has_it(self, site, waits):
        def shout(exchange):
            exchange.response.body = exchange.response.body.upper()
            exchange.response.headers.remove("content-length")

        shouter = probe("shouter", whole=True, waits=waits, response=shout)
        client = site(shouter.spec, view=lambda request: (201, [("x-a", "b")], [b"he", b"", b"llo"]), **lined_up(shouter))
        answer = client.get("/")
        assert (answer.status, answer.body, answer.headers.get("x-a")) == (201, b"HELLO", "b")
        assert answer.headers.get("content-length") == "5"

    def test_an_empty_answer_is_whole_too(self, site):
        seen = []
        watcher = probe("watcher", whole=True, response=lambda exchange: seen.append(exchange.response.body))
        assert site(watcher.spec, view=lambda request: (200, [], b""), **lined_up(watcher)).get("/").status == 200
        assert seen == [b""]

    def test_where_it_is_not_needed_this_time_the_answer_streams(self, site):
        seen = []
        watcher = probe("watcher", whole=lambda exchange: False, response=lambda exchange: seen.append(exchange.response.body))
        assert site(watcher.spec, **lined_up(watcher)).get("/").body == b"ok"
        assert seen == [None]

    def test_an_answer_over_max_body_becomes_an_error(self, site):
        watcher = probe("watcher", whole=True)
        client = site(watcher.spec, max_body=10, view=lambda request: (200, [], [b"12345678", b"901"]), **lined_up(watcher))
        answer = client.get("/")
        assert (answer.status, answer.json()["code"]) == (500, "response_too_large")

    def test_to_head_no_length_is_invented(self, site):
        watcher = probe("watcher", whole=True)
        answer = site(watcher.spec, view=lambda request: (200, [], b""), **lined_up(watcher)).request("HEAD", "/")
        assert answer.headers.get("content-length") is None
        answer = site(watcher.spec, view=lambda request: (200, [("content-length", "7")], b""), **lined_up(watcher)).request(
            "HEAD", "/"
        )
        assert answer.headers.get("content-length") == "7"

    @pytest.mark.parametrize("status", [204, 304])
    def test_an_answer_without_content_gets_neither_body_nor_length(self, site, status):
        asked = probe("asked", request=answering(status, b""))
        answer = site(asked.spec, **lined_up(asked)).get("/")
        assert (answer.status, answer.body, answer.headers.get("content-length")) == (status, b"", None)

    def test_a_response_hook_may_answer_in_the_app_s_stead(self, site, waits):
        log = []

        def instead(exchange):
            exchange.response = Response(502, body=b"instead")

        def view(request):
            def chunks():
                try:
                    yield b"the app's"
                    log.append("went on")
                finally:
                    log.append("closed")

            return 200, [], chunks()

        replacer = probe("replacer", waits=waits, response=instead)
        answer = site(replacer.spec, view=view, **lined_up(replacer)).get("/")
        assert (answer.status, answer.body) == (502, b"instead")
        assert "closed" in log


class Recorder:
    """A filter: brackets around what passes, and what happened to it."""

    def __init__(self, log, fails=""):
        self.log, self.fails = log, fails

    def feed(self, chunk):
        return self.did("feed", b"[" + chunk + b"]")

    def end(self):
        return self.did("end", b".")

    def abort(self):
        self.did("abort", b"")

    def did(self, what, result):
        self.log.append(what)
        if what == self.fails:
            raise RuntimeError(f"can't {what}")
        return result


def filtering(log, fails="", **options):
    def attach(exchange):
        exchange.response.attach(Recorder(log, fails))
        exchange.response.headers.remove("content-length")

    return probe("filtering", filters=True, response=attach, **options)


class TestFilters:
    def test_each_chunk_passes_and_the_end_comes_once(self, protocol):
        log, events = [], []
        made = filtering(log)
        serve(Gateway(made.spec, **lined_up(made)).wrap(streaming(protocol)), protocol, events)
        assert b"".join(event[1] for event in events if event[0] == "body") == b"[0][1][2]."
        assert log == ["feed", "feed", "feed", "end"]

    def test_they_do_not_hold_up_the_stream(self, protocol):
        events = []
        made = filtering([])
        serve(Gateway(made.spec, **lined_up(made)).wrap(streaming(protocol, log=events)), protocol, events)
        assert ("head", 200) in events[:2]
        events.remove(("head", 200))
        assert events[:4] == ["made 0", ("body", b"[0]"), "made 1", ("body", b"[1]")]

    def test_what_is_whole_passes_through_them_too(self, site):
        log = []
        made = filtering(log)
        asked = probe("asked", request=answering(200))
        answer = site(made.spec, asked.spec, **lined_up(made, asked)).get("/")
        assert (answer.body, answer.headers.get("content-length")) == (b"[made here].", "12")

    def test_after_an_exception_of_the_app_they_are_aborted(self, protocol):
        log = []
        made = filtering(log)
        with pytest.raises(RuntimeError, match="the app's own"):
            serve(Gateway(made.spec, **lined_up(made)).wrap(streaming(protocol, fail_at=1)), protocol, [])
        assert log == ["feed", "abort"]

    def test_after_the_client_left_they_are_aborted(self, protocol):
        log = []
        made = filtering(log)
        app = Gateway(made.spec, **lined_up(made)).wrap(streaming(protocol))
        if protocol == "wsgi":
            serve(app, protocol, [], leave_after=1)
        else:
            with pytest.raises(asyncio.CancelledError):
                serve(app, protocol, [], leave_after=1)
        assert log == ["feed", "abort"]

    @pytest.mark.parametrize("fails", ["feed", "end"])
    def test_one_that_fails_breaks_the_answer_off(self, protocol, fails, caplog):
        """Too late for a 500: the app can't send on, and no clean end reaches the client."""
        log, events, outcomes = [], [], []
        counter, made = counting(outcomes), filtering(log, fails)
        with pytest.raises(Exception, match="internal_error"):
            serve(Gateway(counter.spec, made.spec, **lined_up(counter, made)).wrap(streaming(protocol)), protocol, events)
        if protocol == "asgi":
            assert "closed" not in events
        assert log[-1] == {"feed": "abort", "end": "end"}[fails]
        assert outcomes == [("failed", "InternalError")]
        assert f"can't {fails}" in caplog.text

    def test_an_app_that_shrugs_it_off_gets_no_further(self, caplog):
        outcomes, events = [], []
        counter, made = counting(outcomes), filtering([], "feed")

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200})
            for _ in range(3):
                with pytest.raises(Exception, match="internal_error"):
                    await send({"type": "http.response.body", "body": b"x", "more_body": True})

        serve(Gateway(counter.spec, made.spec, **lined_up(counter, made)).wrap(app), "asgi", events)
        assert events == [("head", 200)]
        assert outcomes == [("failed", "InternalError")]

    @pytest.mark.parametrize("fails", ["feed", "end"])
    def test_one_that_fails_on_a_whole_answer_becomes_an_error(self, site, fails, caplog):
        made = filtering([], fails)
        asked = probe("asked", request=answering(200))
        answer = site(made.spec, asked.spec, **lined_up(made, asked)).get("/")
        assert (answer.status, answer.json()["code"]) == (500, "internal_error")

    def test_a_filter_that_keeps_a_chunk_back_sends_no_empty_one(self, protocol):
        class Keeper(Recorder):
            def feed(self, chunk):
                self.log.append(chunk)
                return b""

            def end(self):
                return b"".join(self.log)

        def attach(exchange):
            exchange.response.attach(Keeper([]))

        made = probe("keeper", filters=True, response=attach)
        events = []
        serve(Gateway(made.spec, **lined_up(made)).wrap(streaming(protocol)), protocol, events)
        assert [event for event in events if event[0] == "body" and event[1]] == [("body", b"012")]


# Rewritten paths.


def rewriting(path, **options):
    def act(exchange):
        exchange.forward().path = path

    return probe("rewriter", request=act, repeats=False, **options)


class TestRewriting:
    def test_the_target_s_own_phases_run_too_once_each(self, site, waits):
        log = []
        outer, target = probe("outer", log, waits=waits, repeats=False), probe("target", log, waits=waits)
        rewriter = rewriting("/new", log=log, waits=waits)
        client = site(
            outer.spec,
            view=lambda request: (200, [], request.path.encode()),
            routes=[Route("/old", rewriter.spec), Route("/new", target.spec)],
            **lined_up(outer, rewriter, target),
        )
        assert client.get("/old").body == b"/new"
        assert log == [
            *("outer>", "rewriter>", "target>", "<target", "<rewriter", "<outer"),
            *("target.", "rewriter.", "outer."),
        ]

    def test_what_repeats_runs_for_the_target_again_with_a_state_of_its_own(self, site):
        states = []
        counter = probe("counter", request=lambda exchange: states.append(exchange.state.setdefault("n", len(states))))
        checked = []
        checker = probe(
            "checker",
            request=lambda exchange: exchange.state.setdefault("route", exchange.route) and None,
            response=lambda exchange: checked.append((exchange.state["route"], exchange.route, exchange.request.path)),
        )
        rewriter = rewriting("/new")
        site(
            counter.spec,
            checker.spec,
            routes=[Route("/old", rewriter.spec), Route("/new")],
            **lined_up(counter, checker, rewriter),
        ).get("/old")
        assert states == [0, 1]
        assert checked == [("/new", "/new", "/new"), ("/old", "/old", "/old")]

    def test_a_target_that_refuses_is_not_reached(self, site):
        called = []

        def view(request):
            called.append(request.path)
            return 200, [], b""

        refuser = probe("refuser", request=raising(Forbidden("No.")))
        rewriter = rewriting("/admin")
        answer = site(
            view=view, routes=[Route("/old", rewriter.spec), Route("/admin", refuser.spec)], **lined_up(rewriter, refuser)
        ).get("/old")
        assert answer.status == 403
        assert called == []

    def test_a_second_rewriting_is_an_error(self, site, caplog):
        log = []
        once = rewriting("/two", log=log)
        again = probe("again", log, request=lambda exchange: setattr(exchange.forward(), "path", "/three"))
        answer = site(routes=[Route("/one", once.spec), Route("/two", again.spec)], **lined_up(once, again)).get("/one")
        assert answer.status == 500
        assert "rewritten twice" in caplog.text
        assert log == ["rewriter>", "again>", "<again", "<rewriter", "again.", "rewriter."]

    def test_what_the_outer_route_needs_of_the_answer_it_gets(self, site):
        seen = []
        whole = probe(
            "whole", whole=lambda exchange: exchange.state["wants"], request=wanting, repeats=False, response=body(seen)
        )
        rewriter = rewriting("/new")
        routes = [Route("/old", whole.spec, rewriter.spec), Route("/new")]
        answer = site(routes=routes, view=lambda request: (200, [], [b"a", b"b"]), **lined_up(whole, rewriter)).get("/old")
        assert (answer.body, seen) == (b"ab", [b"ab"])

    def test_a_need_of_neither_route(self, site):
        seen = []
        whole = probe("whole", whole=lambda exchange: False, response=body(seen))
        rewriter = rewriting("/new")
        routes = [Route("/old", whole.spec, rewriter.spec), Route("/new")]
        assert site(routes=routes, **lined_up(whole, rewriter)).get("/old").body == b"ok"
        assert seen == [None]

    def test_filters_of_both_routes_pass_in_turn(self, site):
        log = []
        made = filtering(log)
        rewriter = rewriting("/new")
        routes = [Route("/old", made.spec, rewriter.spec), Route("/new")]
        answer = site(routes=routes, view=lambda request: (200, [], b"x"), **lined_up(made, rewriter)).get("/old")
        assert answer.body == b"[x]."

    def test_zero_copy_is_not_offered_where_the_outer_route_filters(self):
        offered = []

        async def app(scope, receive, send):
            offered.append(scope["extensions"])
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"x"})

        made, rewriter = filtering([]), rewriting("/new")
        gateway = Gateway(routes=[Route("/old", made.spec, rewriter.spec), Route("/new")], **lined_up(made, rewriter))
        extensions = {"http.response.pathsend": {}, "http.response.trailers": {}}
        serve(gateway.wrap(app), "asgi", [], path="/old", extensions=extensions)
        assert offered == [{"http.response.trailers": {}}]
        assert "http.response.pathsend" in extensions

    def test_cancelled_while_the_target_waits_both_halves_are_finished(self):
        log = []

        outer, target, behind = rewriting("/new", log=log), probe("target", log, request=waiting), probe("behind", log)
        gateway = Gateway(
            routes=[Route("/old", outer.spec), Route("/new", target.spec, behind.spec)], **lined_up(outer, target, behind)
        )

        async def main():
            task = asyncio.ensure_future(serve_asgi(gateway.wrap(asgi_app(None)), [], path="/old"))
            for _ in range(5):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        assert log == ["rewriter>", "target>", "target.", "rewriter."]

    def test_the_exchange_remembers_the_request_as_it_came(self, site):
        seen = []
        rewriter = rewriting("/new", finish=lambda exchange: seen.append((exchange.original.path, exchange.request.path)))
        site(routes=[Route("/old", rewriter.spec), Route("/new")], **lined_up(rewriter)).get("/old")
        assert seen == [("/old", "/old")]


def waiting(exchange):
    """A hook that waits for ever."""

    async def forever():
        await asyncio.get_running_loop().create_future()

    yield from Io(lambda: None, forever)


def wanting(exchange):
    exchange.state["wants"] = True


def wanted(exchange):
    return exchange.state["wants"]


def body(seen):
    return lambda exchange: seen.append(exchange.response.body)


def test_the_position_of_a_stranger_is_unknown():
    made = probe("made")
    gateway = Gateway(made.spec, **lined_up(made))
    gateway.wrap(asgi_app(None))
    pipeline = gateway._fronts[0].sites[0]._unmatched[False]
    assert pipeline.position(gateway.components[0]) == 0
    with pytest.raises(KeyError):
        pipeline.position(object())


def test_pauses_end_at_once():
    assert pause().run() is None


class TestNextToTheApp:
    """Hooks that run last on the way in and first on the way out, wherever their component stands."""

    @pytest.fixture
    def close_by(self):
        log = []

        class Near(Spec):
            pass

        class Nearest(Component):
            spec = Near
            repeats = False

            def bind(self, plan):
                hooks = Hooks(
                    on_request=lambda exchange: log.append("near>"),
                    before_app=lambda exchange: log.append("near>>"),
                    after_app=lambda exchange: log.append("<<near"),
                    on_response=lambda exchange: log.append("<near"),
                )
                return hooks if plan.specs else None

        return log, Near, Nearest

    def test_they_enclose_the_app(self, site, close_by, waits):
        log, near, nearest = close_by
        inner = probe("inner", log, waits=waits)

        def view(request):
            log.append("view")
            return 200, [], b""

        site(near(), inner.spec, view=view, order=[nearest, inner.component]).get("/")
        assert log == ["near>", "inner>", "near>>", "view", "<<near", "<inner", "<near", "inner."]

    def test_they_don_t_run_where_the_app_is_not_called(self, site, close_by, waits):
        log, near, nearest = close_by
        inner = probe("inner", log, waits=waits, request=answering(418))
        site(near(), inner.spec, order=[nearest, inner.component]).get("/")
        assert log == ["near>", "inner>", "<near", "inner."]

    def test_one_that_fails_is_a_500_that_every_component_hears_of(self, site):
        log = []

        class Near(Spec):
            pass

        class Nearest(Component):
            spec = Near

            def bind(self, plan):
                return Hooks(before_app=raising(RuntimeError("no")), after_app=lambda exchange: log.append("after"))

        inner = probe("inner", log)
        answer = site(Near(), inner.spec, order=[Nearest, inner.component]).get("/")
        assert answer.status == 500
        assert log == ["inner>", "inner."]
