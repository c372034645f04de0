"""Refetch: the app called again outside of a client's request, in both colours, through what stands inside the component."""

from __future__ import annotations

import pytest

from gatekeep.effects import Io
from gatekeep.errors import Forbidden
from gatekeep.exchange import current
from gatekeep.message import Response
from gatekeep.routing import Route
from probes import lined_up, probe


class Refetching:
    """A component in the middle that answers "stale" and keeps what a refetch would need."""

    def __init__(self, log, **options):
        self.log = log
        self.io = None
        self.probe = probe("middle", log, request=self.request, response=self.response, **options)

    def request(self, exchange):
        self.io = exchange.refetch(exchange.site.gateway.components[1])
        return Response(200, body=b"stale")

    def response(self, exchange):
        exchange.response.headers.set("x-middle", exchange.request.method)


@pytest.fixture
def scene(site):
    """outer → middle (which refetches) → inner → the view; gives the client, the refetcher and the log."""

    def make(*, inner=None, view=None, routes=(), more=(), **options):
        log = []
        middle = Refetching(log)
        outer = probe("outer", log, request=lambda exchange: exchange.forward().headers.set("x-from-outer", "1"))
        inner = probe("inner", log, **(inner or {}))

        def default(request):
            log.append(f"view {request.headers.get('x-from-outer')}")
            return 200, [("x-view", "1")], [b"fre", b"sh"]

        lined = lined_up(outer, middle.probe, inner, *more)
        client = site(outer.spec, middle.probe.spec, inner.spec, view=view or default, routes=routes, **lined, **options)
        return client, middle, log

    return make


def refetched(client, middle):
    def flow():
        return (yield from middle.io)

    assert isinstance(middle.io, Io)
    return client.run(flow())


def test_the_fresh_answer_passes_what_stands_inside_and_the_component_itself(scene):
    client, middle, log = scene()
    assert client.get("/x?q=1", headers={"authorization": "a"}).body == b"stale"
    log.clear()
    answer = refetched(client, middle)
    assert (answer.status, answer.body) == (200, b"fresh")
    assert answer.headers.get("x-view") == "1"
    assert answer.headers.get("x-middle") == "GET"
    assert log == ["inner>", "view 1", "<inner", "<middle", "inner."]
    with pytest.raises(LookupError):
        current()


def test_it_is_the_caller_s_own_request(scene):
    seen = []

    def view(request):
        exchange = current()
        seen.append((request.path, request.query_string, request.headers.get("authorization"), exchange.request_id, request.body))
        return 200, [], b""

    client, middle, _ = scene(view=view)
    stale = client.post("/x?q=1", headers={"authorization": "a"}, body=b"not sent again")
    refetched(client, middle)
    assert seen == [("/x", "q=1", "a", stale.headers.get("x-request-id"), b"")]


def test_inner_hooks_that_wait(scene):
    client, middle, log = scene(inner={"waits": True})
    client.get("/")
    log.clear()
    assert refetched(client, middle).body == b"fresh"
    assert log == ["inner>", "view 1", "<inner", "<middle", "inner."]


def test_an_inner_component_that_answers_is_unwound_up_to_the_one_that_asked(scene):
    client, middle, log = scene(inner={"request": lambda exchange: Response(203, body=b"inner")})
    client.get("/")
    log.clear()
    answer = refetched(client, middle)
    assert (answer.status, answer.body, answer.headers.get("x-middle")) == (203, b"inner", "GET")
    assert log == ["inner>", "<middle", "inner."]


def test_an_inner_component_that_refuses(scene):
    def refuse(exchange):
        raise Forbidden("No.", code="nope")

    client, middle, _ = scene(inner={"request": refuse})
    client.get("/")
    assert refetched(client, middle).status == 403


def test_bodies_are_whole_for_those_who_need_them_and_filtered(scene):
    seen = []

    class Shout:
        def feed(self, chunk):
            return chunk.upper()

        def end(self):
            return b"!"

        def abort(self):
            pass

    def look(exchange):
        seen.append(exchange.response.body)
        exchange.response.attach(Shout())

    client, middle, _ = scene(inner={"whole": True, "filters": True, "response": look})
    client.get("/")
    assert refetched(client, middle).body == b"FRESH!"
    assert seen == [b"fresh"]


def test_an_answer_that_is_too_large_is_an_error(scene):
    client, middle, log = scene(max_body=4)
    client.get("/")
    with pytest.raises(Exception, match="response_too_large"):
        refetched(client, middle)
    assert log[-1] == "inner."


def test_what_the_app_raises_is_raised(scene):
    outcomes = []

    def view(request):
        raise KeyError("the app's own")

    client, middle, _ = scene(view=view, inner={"finish": lambda exchange: outcomes.append(exchange.outcome)})
    client.get("/")
    with pytest.raises(KeyError):
        refetched(client, middle)
    assert outcomes == ["failed"]
    with pytest.raises(LookupError):
        current()


def test_filters_are_aborted_when_it_fails_in_the_middle(scene):
    log = []

    def view(request):
        def chunks():
            yield b"some"
            raise KeyError("the app's own")

        return 200, [], chunks()

    client, middle, _ = scene(view=view, inner={"finish": lambda exchange: log.append(exchange.response is not None)})
    client.get("/")
    with pytest.raises(KeyError):
        refetched(client, middle)
    assert log == [True]


def test_a_path_that_is_rewritten_inside(site):
    log = []
    middle = Refetching(log)

    def rewrite(exchange):
        exchange.forward().path = "/new"

    outer = probe("outer", log, repeats=False)
    middle.probe = probe("middle", log, request=middle.request, response=middle.response, repeats=False)
    rewriter = probe("rewriter", log, request=rewrite, repeats=False)
    target = probe("target", log)
    client = site(
        outer.spec,
        view=lambda request: (200, [], request.path.encode()),
        routes=[Route("/old", middle.probe.spec, rewriter.spec), Route("/new", target.spec)],
        **lined_up(outer, middle.probe, rewriter, target),
    )
    assert client.get("/old").body == b"stale"
    log.clear()
    answer = refetched(client, middle)
    assert (answer.body, answer.headers.get("x-middle")) == (b"/new", "GET")
    assert log == ["rewriter>", "target>", "<target", "<rewriter", "<middle", "target.", "rewriter."]


class TestApps:
    """What apps of each protocol may do while they are called again."""

    @pytest.fixture
    def asked(self):
        """A gateway around an app, and the refetch that a first request made possible."""
        from gatekeep.gateway import Gateway
        from gatekeep.testing import Client

        kept = []

        def request(exchange):
            kept.append(exchange.refetch(exchange.site.gateway.components[0]))
            return Response(200, body=b"stale")

        asker = probe("asker", request=request)

        def make(app):
            with Client(Gateway(asker.spec, **lined_up(asker)).wrap(app)) as client:
                client.get("/")
                return refetched(client, type("Middle", (), {"io": kept[0]}))

        return make

    def test_an_asgi_app_hears_of_the_disconnect_once_it_has_answered(self, asked):
        heard = []

        async def app(scope, receive, send):
            heard.append((await receive())["type"])
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"fresh"})
            heard.append((await receive())["type"])
            await send({"type": "http.response.body", "body": b"ignored"})

        assert asked(app).body == b"fresh"
        assert heard == ["http.request", "http.disconnect"]

    def test_an_asgi_app_that_gives_no_complete_answer(self, asked):
        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200})

        with pytest.raises(RuntimeError, match="no complete answer"):
            asked(app)

    def test_a_wsgi_app_that_gives_no_answer(self, asked):
        def app(environ, start_response):
            return []

        with pytest.raises(RuntimeError, match="no answer"):
            asked(app)

    def test_a_wsgi_app_that_writes_and_closes(self, asked):
        closed = []

        class Body:
            def __iter__(self):
                return iter([b"two"])

            def close(self):
                closed.append(True)

        def app(environ, start_response):
            start_response("200 OK", [])(b"one")
            return Body()

        assert asked(app).body == b"onetwo"
        assert closed == [True]

    def test_a_wsgi_app_that_reports_an_error(self, asked):
        import sys

        def app(environ, start_response):
            start_response("200 OK", [])
            try:
                raise KeyError("the app's own")
            except KeyError:
                start_response("500 Oops", [], sys.exc_info())
            return []

        with pytest.raises(KeyError):
            asked(app)


def test_the_hooks_of_a_refetch_find_the_note_that_was_given(site):
    kept, found = [], []

    def request(exchange):
        kept.append(exchange.refetch(exchange.site.gateway.components[0], "a note"))

    def response(exchange):
        found.append(exchange.state.get(exchange.site.gateway.components[0]))

    noting = probe("noting", request=request, response=response)
    client = site(noting.spec, **lined_up(noting))
    client.get("/")
    refetched(client, type("Middle", (), {"io": kept[0]}))
    assert found == [None, "a note"]
