"""How specs of gateway, stage, Routes and view meet on a route, which pipeline a request gets, and when tables are read again."""

from __future__ import annotations

import functools
import logging

import pytest

from gatekeep import Cache, Throttle, Transform, Validate, set_header
from gatekeep.component import Component, Hooks, Off, Placed, Spec
from gatekeep.components import STANDARD
from gatekeep.components.cors import Cors
from gatekeep.components.ip_rules import IPRules
from gatekeep.components.stages import Stage
from gatekeep.errors import ConfigurationError
from gatekeep.exchange import Exchange, current
from gatekeep.gateway import Gateway
from gatekeep.merging import merge
from gatekeep.requests import WsgiRequest
from gatekeep.routing import Endpoint, Route
from gatekeep.testing import Client, FakeClock
from opaque import asgi_app, wsgi_app
from probes import lined_up, probe


class Lone(Spec):
    pass


class Other(Spec):
    pass


# The rules, in themselves.


def merged(*placed):
    return {kind.__name__: [entry.level for entry in entries] for kind, entries in merge(placed).items()}


def test_every_level_s_specs_weak_to_strong():
    assert merged(Placed(Lone(), "gateway"), Placed(Other(), "gateway"), Placed(Lone(), "view")) == {
        "Lone": ["gateway", "view"],
        "Other": ["gateway"],
    }


def test_off_cancels_weaker_levels_of_its_kind_and_no_stronger_one():
    assert merged(Placed(Lone(), "gateway"), Placed(Other(), "gateway"), Placed(Lone.off(), "stage")) == {"Other": ["gateway"]}
    assert merged(Placed(Lone(), "gateway"), Placed(Lone.off(), "stage"), Placed(Lone(), "view")) == {"Lone": ["view"]}


@pytest.mark.parametrize("order", [0, 1])
def test_on_and_off_at_one_level_is_a_mistake(order):
    pair = [Placed(Lone(), "view"), Placed(Lone.off(), "view")]
    with pytest.raises(ConfigurationError, match=r"test_site\.py:\d+: .*stands beside.*test_site\.py:\d+.*drop one"):
        merge(pair if order else reversed(pair))


# The rules, through a gateway.


class Seen(Component):
    """Says which Lone specs hold where a request came along."""

    spec = Lone

    def bind(self, plan):
        levels = [placed.level for placed in plan.specs]

        def request(exchange):
            exchange.state[self] = levels

        def response(exchange):
            exchange.response.headers.set("x-levels", " | ".join(levels) or "-")
            exchange.response.headers.set("x-plan", plan.id)

        return Hooks(on_request=request, on_response=response)


@pytest.fixture
def levels(site):
    """Make a gateway whose answers say which levels' specs hold."""

    def make(*specs, **options):
        client = site(*specs, order=[Seen], **options)
        return lambda target, method="GET", **more: client.request(method, target, **more).headers.get("x-levels")

    return make


def test_levels_are_named(levels):
    ask = levels(
        Lone(),
        stages=[Stage("blue", Lone(), path="/v1"), Stage("green")],
        routes=[Route("/x", Lone(), methods={"GET"}), Route("/{rest:path}", Lone())],
    )
    assert ask("/v1/x") == "gateway | stage:blue | route:GET,HEAD /x | route:* /{rest:path}"
    assert ask("/x") == "gateway | route:GET,HEAD /x | route:* /{rest:path}"
    assert ask("/y") == "gateway | route:* /{rest:path}"
    assert ask("/x", "POST") == "gateway | route:* /{rest:path}"


def test_off_at_each_level(levels):
    ask = levels(
        Lone(),
        stages=[Stage("off", Lone.off(), path="/off"), Stage("on", Lone(), path="/on"), Stage("rest")],
        routes=[Route("/free", Lone.off()), Route("/free/{rest:path}", Lone.off()), Route("/free/again", Lone())],
    )
    assert ask("/off/x") == "-"
    assert ask("/on/x") == "gateway | stage:on"
    assert ask("/x") == "gateway"
    assert ask("/free") == "-"
    assert ask("/free/x") == "-"
    assert ask("/free/again") == "route:* /free/again"


def test_unmatched_requests_pass_the_defaults(levels):
    assert levels(Lone(), routes=[Route("/x", Lone())])("/nowhere") == "gateway"


def test_unmatched_requests_may_be_refused(site):
    called = []

    def view(request):
        called.append(request.path)
        return 200, [], b""

    log = []
    watcher = probe("watcher", log)
    client = site(watcher.spec, view=view, routes=[Route("/x")], unmatched="refuse", **lined_up(watcher))
    assert client.get("/nowhere").json()["code"] == "not_found"
    assert log == ["watcher>", "<watcher", "watcher."]
    assert client.get("/x").status == 200
    assert called == ["/x"]


@pytest.mark.parametrize("route", [Route("/x", Lone(), Lone.off()), Route("/x", Lone.off(), Lone())])
def test_on_and_off_on_one_route_stops_the_start(site, route):
    with pytest.raises(ConfigurationError, match="drop one"):
        site(routes=[route], order=[Seen])


def test_a_mistake_of_two_routes_together_shows_at_the_start(site):
    class Exclusive(Seen):
        def bind(self, plan):
            if len(plan.specs) > 1:
                raise plan.specs[-1].spec.mistake("one is enough")

    routes = [Route("/x/{y}", Lone()), Route("/{z}/y", Lone()), Route("/w", Lone())]
    with pytest.raises(ConfigurationError, match="one is enough"):
        site(routes=routes, order=[Exclusive])
    site(routes=[routes[0], routes[2]], order=[Exclusive])


def test_a_plan_says_what_a_component_may_know(site, protocol):
    made = probe("made")
    routes = [Route("/orders/{id}", made.spec, IPRules(allow=["127.0.0.1"]), methods={"GET"})]
    stages = [Stage("blue", path="/v1", variables={"a": "b"}), Stage("rest")]
    site(routes=routes, stages=stages, order=[made.component, *STANDARD])
    plan = next(plan for plan in made.plans if plan.stage == "blue" and plan.template is not None)
    assert plan.id == "blue:GET,HEAD /orders/{id}"
    assert plan.template == "/orders/{id}"
    assert plan.methods == {"GET", "HEAD"}
    assert plan.protocol == protocol
    assert plan.handshake is False
    assert [placed.level for placed in plan.specs] == ["route:GET,HEAD /orders/{id}"]
    assert (plan.identified, plan.personal) == (False, False)
    assert (plan.stage, plan.variables) == ("blue", {"a": "b"})
    unmatched = next(plan for plan in made.plans if plan.stage == "rest" and plan.template is None)
    assert (unmatched.id, unmatched.methods) == ("rest:__unmatched__", None)


def test_a_plan_says_whether_somebody_identifies_and_reads(site):
    class Identifies(Spec):
        identifies = True

        @property
        def reads_principal(self):
            return True

    class Identifier(Component):
        spec = Identifies

        def bind(self, plan):
            return None

    made = probe("made")
    site(routes=[Route("/x", Identifies(), made.spec)], order=[made.component, Identifier])
    assert [(plan.identified, plan.personal) for plan in made.plans if plan.template == "/x"] == [(True, True)]


# Gateways that make no sense.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "off"}, "mode='off'"),
        ({"errors": "html"}, "errors='html'"),
        ({"unmatched": "drop"}, "unmatched='drop'"),
        ({"unreached": "ignore"}, "unreached='ignore'"),
        ({"trusted_proxies": "10.0.0.0/8"}, "is a string"),
        ({"trusted_proxies": ["10.0.0.1/8"]}, "host bits"),
        ({"max_body": 0}, "positive"),
        ({"max_stream": -1}, "positive"),
        ({"routes": [Lone()]}, "not a Route"),
        ({"stages": [Lone()]}, "not a Stage"),
        ({"stages": [Stage("a", path="/a"), Stage("a", path="/b")]}, "two named 'a'"),
    ],
)
def test_wrong_options_are_named_with_file_and_line(options, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        Gateway(**options)
    assert caught.value.origin.file == __file__


def test_what_is_no_spec_is_named():
    with pytest.raises(ConfigurationError, match="not a spec"):
        Gateway("10/second")


class TestWrapping:
    def test_init_app_takes_apps_that_it_knows(self):
        with pytest.raises(ConfigurationError, match=r"does not know function.*gateway\.wrap"):
            Gateway().init_app(wsgi_app(None))

    @pytest.mark.parametrize("app", [7, len, print, lambda: None, lambda a, b, c, d: None, lambda *arguments: None])
    def test_what_is_neither_protocol_s_must_be_told(self, app):
        with pytest.raises(ConfigurationError, match=r"not callable|say so: gateway\.wsgi"):
            Gateway().wrap(app)

    def test_each_protocol_is_recognised(self):
        class Wsgi:
            def __init__(self, environ, start_response):
                pass

        class Asgi:
            async def __call__(self, scope, receive, send):
                pass

        async def four(setting, scope, receive, send):
            pass

        def optional(environ, start_response, more=None):
            pass

        def returning(scope, receive, send):
            pass

        for app, expected in (
            (Wsgi, "WsgiDriver"),
            (optional, "WsgiDriver"),
            (Asgi(), "AsgiDriver"),
            (functools.partial(four, 1), "AsgiDriver"),
            (returning, "AsgiDriver"),
        ):
            assert type(Gateway().wrap(app)).__name__ == expected
        assert type(Gateway().asgi(lambda *arguments: None)).__name__ == "AsgiDriver"
        assert type(Gateway().wsgi(print)).__name__ == "WsgiDriver"

    def test_without_an_app_there_is_nothing_to_serve(self):
        with pytest.raises(ConfigurationError, match="no app to serve"):
            Gateway().wsgi()
        with pytest.raises(ConfigurationError, match="'a' has no app"):
            Gateway(stages=[Stage("a")]).asgi()

    def test_stages_of_two_protocols_don_t_mix(self):
        stages = [Stage("a", app=wsgi_app(None), path="/a"), Stage("b", app=asgi_app(None), path="/b")]
        with pytest.raises(ConfigurationError, match="WSGI app beside ASGI ones"):
            Gateway(stages=stages).asgi()

    def test_a_framework_s_app_has_its_own_protocol(self):
        from flask import Flask

        with pytest.raises(ConfigurationError, match="Flask is not a ASGI app"):
            Gateway().asgi(Flask("x"))


# Apps with a table of their own: a made-up framework, so that every corner can be asked for.


class Table:
    """A resolver over exact paths; "framework" apps of these tests."""

    def __init__(self, *endpoints, by_path=True):
        self.endpoints = endpoints
        self.by_path = by_path

    def find(self, request):
        for endpoint in self.endpoints:
            if request.handshake == endpoint.handshake and request.path in endpoint.key:
                return endpoint, {"path": request.path}
        return None


class Made:
    """An adapter of the made-up framework."""

    def __init__(self, protocol, app, *endpoints, by_path):
        self.protocol, self.app, self.table = protocol, app, Table(*endpoints, by_path=by_path)
        self.guard = None
        self.reads = 0

    def read(self):
        self.reads += 1
        return self.table

    def document(self):
        return None

    def arm(self, guard):
        self.guard = guard


@pytest.fixture(params=[True, False], ids=["by path", "by more"])
def framework(protocol, request):
    """A gateway in front of an app of the made-up framework; gives client and adapter."""
    by_path = request.param
    clients = []

    def make(*specs, endpoints, order=(Seen,), **options):
        gateway = Gateway(*specs, order=order, unreached="warn", **options)

        def view(request):
            exchange = current()
            if exchange.endpoint is not None:
                adapter.admitted = adapter.guard.admits(exchange, exchange.endpoint.key, request.method)
            return 200, [], (exchange.route or "unmatched").encode()

        app = (wsgi_app if protocol == "wsgi" else asgi_app)(view)
        adapter = Made(protocol, app, *endpoints, by_path=by_path)
        client = Client(gateway.front(app, app, protocol, adapter))
        client.gateway = gateway
        clients.append(client)
        return client, adapter

    yield make
    for client in clients:
        client.close()


def endpoint(template, *paths, view=None, methods=None, segments=(...,), **more):
    return Endpoint(template=template, methods=methods, view=view, key=paths or (template,), segments=segments, **more)


def asked(client, target, method="GET", **more):
    return client.request(method, target, **more).headers.get("x-levels")


def test_an_endpoint_s_view_is_the_strongest_level(framework):
    @Lone()
    def view():
        pass

    client, adapter = framework(Lone(), endpoints=[endpoint("/x", view=view), endpoint("/y")])
    answer = client.get("/x")
    assert answer.headers.get("x-levels") == "gateway | view:* /x"
    assert (answer.body, adapter.admitted) == (b"/x", True)
    assert asked(client, "/y") == "gateway"
    assert client.get("/nowhere").body == b"unmatched"


def test_off_on_a_view(framework):
    @Lone.off()
    def view():
        pass

    client, _ = framework(Lone(), endpoints=[endpoint("/x", view=view)], routes=[Route("/{rest:path}", Lone())])
    assert asked(client, "/x") == "-"


def test_routes_over_an_endpoint_that_they_cover(framework):
    routes = [Route("/a/{rest:path}", Lone()), Route("/b/{rest:path}", Lone())]
    client, _ = framework(endpoints=[endpoint("/a/{id}", "/a/7", segments=["", "a", None])], routes=routes)
    assert asked(client, "/a/7") == "route:* /a/{rest:path}"


def test_routes_over_some_paths_of_an_endpoint(framework):
    routes = [Route("/a/special", Lone()), Route("/a/{id:int}", Lone())]
    paths = ("/a/7", "/a/special", "/a/x", "/a/SPECIAL")
    client, _ = framework(endpoints=[endpoint("/a/{id}", *paths, segments=["", "a", None])], routes=routes)
    assert asked(client, "/a/7") == "route:* /a/{id:int}"
    assert asked(client, "/a/special") == "route:* /a/special"
    assert asked(client, "/a/x") == "-"
    assert client.get("/a/SPECIAL").json()["code"] == "ambiguous_path"


def test_routes_for_some_methods_of_an_endpoint(framework):
    routes = [Route("/x", Lone(), methods={"POST"}), Route("/x", Lone(), methods={"DELETE"}), Route("/x", Lone())]
    client, adapter = framework(endpoints=[endpoint("/x", methods={"GET", "HEAD", "POST"}, segments=["", "x"])], routes=routes)
    assert asked(client, "/x") == "route:* /x"
    assert asked(client, "/x", "POST") == "route:POST /x | route:* /x"
    assert asked(client, "/x", "post") == "route:POST /x | route:* /x"
    assert adapter.admitted is True


def test_methods_of_a_class_have_levels_of_their_own(framework):
    @Lone()
    class View:
        @Lone()
        def get(self):
            pass

        def post(self):
            pass

    client, _ = framework(endpoints=[endpoint("/x", view=View)])
    assert asked(client, "/x") == "view:* /x | view:* /x#GET"
    assert asked(client, "/x", "HEAD") == "view:* /x | view:* /x#GET"
    assert asked(client, "/x", "POST") == "view:* /x"
    assert asked(client, "/x", "BREW") == "view:* /x"


def test_a_class_s_on_and_a_method_s_off_are_two_levels(framework):
    @Lone()
    class View:
        @Lone.off()
        def get(self):
            pass

    client, _ = framework(endpoints=[endpoint("/x", view=View)])
    assert asked(client, "/x") == "-"
    assert asked(client, "/x", "POST") == "view:* /x"


def test_an_override_without_a_word_stops_the_start(framework):
    class Base:
        @Lone()
        def get(self):
            pass

    class View(Base):
        def get(self):
            pass

    with pytest.raises(ConfigurationError, match=r"test_site\.py:\d+: Lone: its method is overridden by .*View\.get on /x"):
        framework(endpoints=[endpoint("/x", view=View)])


def test_endpoints_that_differ_by_handshake(framework, protocol):
    if protocol == "asgi":
        client, _ = framework(endpoints=[endpoint("/x"), endpoint("/x", handshake=True)])
        assert client.get("/x").body == b"/x"


def test_the_guard_knows_whose_request_it_was(framework):
    client, adapter = framework(endpoints=[endpoint("/x"), endpoint("/y")])
    client.get("/x")
    assert adapter.admitted is True
    assert not adapter.guard.admits(None, ("/x",), "GET")


ASKING = {"origin": "https://a.example", "access-control-request-method": "PUT"}


class TestPreflights:
    def test_the_policy_of_the_request_that_is_asked_for_answers(self, site):
        cors = Cors(allow_origins=["https://a.example"])
        routes = [Route("/{rest:path}"), Route("/x", cors, methods={"PUT"}), Route("/y", Cors.off())]
        client = site(routes=routes)
        answer = client.request("OPTIONS", "/x", headers=ASKING)
        assert (answer.status, answer.headers.get("access-control-allow-origin")) == (204, "https://a.example")
        assert client.request("OPTIONS", "/y", headers=ASKING).body == b"ok"
        assert client.request("OPTIONS", "/x").body == b"ok"
        assert client.request("OPTIONS", "/x", headers={"access-control-request-method": "PUT"}).body == b"ok"

    def test_an_endpoint_that_answers_options_itself_is_not_asked(self, framework):
        cors = Cors(allow_origins=["https://a.example"])
        client, _ = framework(
            endpoints=[endpoint("/x", methods={"PUT", "OPTIONS"}, segments=["", "x"])],
            routes=[Route("/x", cors, methods={"PUT"})],
            order=STANDARD,
        )
        assert client.request("OPTIONS", "/x", headers=ASKING).status == 204
        assert client.request("OPTIONS", "/x").body == b"/x"


class TestReading:
    """When tables are read: at once, with the app complete, and when somebody says that they are old."""

    def test_at_once_and_again_at_the_first_request(self, framework):
        client, adapter = framework(endpoints=[endpoint("/x")])
        assert adapter.reads == 1
        client.get("/x")
        client.get("/x")
        assert adapter.reads == 2

    def test_a_route_that_was_added_late_is_refused_once_and_then_known(self, framework):
        clock = FakeClock()
        client, adapter = framework(Lone(), endpoints=[endpoint("/x")], clock=clock)
        client.get("/x")
        adapter.table = Table(endpoint("/x"), endpoint("/late"))
        assert client.get("/late").body == b"unmatched"
        answer = adapter.guard.refuse(None, "late")
        assert (answer.status, b"not_guarded" in answer.body) == (500, True)
        assert client.get("/late").body == b"/late"

    def test_it_is_read_again_at_most_once_a_second(self, framework):
        clock = FakeClock()
        client, adapter = framework(endpoints=[endpoint("/x")], clock=clock)
        client.get("/x")
        for reads in (3, 3, 3):
            adapter.guard.refuse(None, "late")
            client.get("/x")
            assert adapter.reads == reads
        clock.advance(1.0)
        client.get("/x")
        assert adapter.reads == 4

    def test_a_change_that_does_not_compile_leaves_what_was(self, framework, caplog):
        clock = FakeClock()
        client, adapter = framework(endpoints=[endpoint("/x")], clock=clock)
        client.get("/x")

        @Other()
        def view():
            pass

        adapter.table = Table(endpoint("/x"), endpoint("/late", view=view))
        adapter.guard.refuse(None, "late")
        assert client.get("/x").body == b"/x"
        assert client.get("/late").body == b"unmatched"
        assert "does not compile" in caplog.text

    def test_an_app_that_never_compiled_serves_nothing(self, framework):
        client, adapter = framework(endpoints=[endpoint("/x")])

        @Other()
        def view():
            pass

        adapter.table = Table(endpoint("/x"), endpoint("/late", view=view))
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="no component"):
                client.get("/x")

    def test_refusals_say_how_it_came(self, framework, caplog):
        client, adapter = framework(endpoints=[endpoint("/x")])
        site = client.gateway._fronts[0].sites[0]
        adapter.guard.refuse(None, "a")
        assert "did not pass the gateway" in caplog.text
        for target, how in (("/x", "to * /x"), ("/nowhere", "no route for 'GET' '/nowhere'")):
            request = WsgiRequest({"REQUEST_METHOD": "GET", "PATH_INFO": target})
            exchange = Exchange(request, site, *site.find(request), 0.0)
            adapter.guard.refuse(exchange, "a")
            assert exchange.decisions == [("guard", "not_guarded")]
            assert how in caplog.text


class TestCheck:
    def test_it_gives_the_policy_of_every_endpoint(self, framework):
        weak, route, strong, off = Lone(), Lone(), Lone(), Lone.off()
        client, _ = framework(
            weak,
            endpoints=[
                endpoint("/x", view=strong(lambda: None), segments=["", "x"]),
                endpoint("/y", view=off(lambda: None), segments=["", "y"]),
                endpoint("/z", segments=["", "z"]),
            ],
            routes=[Route("/x", route, methods={"GET"})],
        )
        table = client.gateway.check()
        assert [name for name, _ in table] == ["* /x", "* /y", "* /z"]
        assert {id(spec) for spec in table[0][1]} == {id(weak), id(route), id(strong)}
        assert [specs for _, specs in table[1:]] == [[], [weak]]

    def test_what_holds_on_some_paths_of_an_endpoint_is_listed_apart(self, framework):
        weak, all_of_it, one, typed, off = Lone(), Lone(), Lone(), Lone(), Lone.off()
        routes = [
            Route("/x/{name}", all_of_it),
            Route("/x/7", one, methods={"GET"}),
            Route("/x/{i:int}", typed),
            Route("/x/open", off),
        ]
        view = endpoint("/x/{i:int}", "/x/8", "/x/y", segments=["", "x", None])
        client, _ = framework(weak, endpoints=[view], routes=routes)
        assert client.gateway.check() == [
            ("* /x/{i:int}", [weak, all_of_it]),
            ("* /x/{i:int} where GET,HEAD /x/7", [weak, all_of_it, one]),
            ("* /x/{i:int} where * /x/{i:int}", [weak, all_of_it, typed]),
            ("* /x/{i:int} where * /x/open", []),
        ]
        assert asked(client, "/x/8") == "gateway | route:* /x/{name} | route:* /x/{i:int}"
        assert asked(client, "/x/y") == "gateway | route:* /x/{name}"

    def test_of_an_opaque_app_every_route(self):
        weak, route = Lone(), Lone()
        gateway = Gateway(weak, routes=[Route("/x", route, methods={"GET"}), Route("/y", Lone.off())], order=[Seen])
        gateway.wrap(wsgi_app(None))
        assert gateway.check() == [("GET,HEAD /x", [weak, route]), ("* /y", [])]

    def test_an_app_that_is_not_wrapped_yet_is_wrapped(self):
        gateway = Gateway(routes=[Route("/x")])
        app = wsgi_app(None)
        assert gateway.check(app) == gateway.check(app) == [("* /x", [])]

    def test_it_raises_what_is_wrong(self):
        gateway = Gateway(order=[Seen])
        gateway.wrap(wsgi_app(None))
        gateway.routes = (Route("/x", Other()),)
        with pytest.raises(ConfigurationError, match="no component"):
            gateway.check()


class TestReportMode:
    def test_of_the_gateway_turns_every_spec_s(self, site, caplog):
        caplog.set_level(logging.INFO, "gatekeep")
        assert site(IPRules(deny=["127.0.0.1"]), mode="report").get("/").status == 200
        assert "ip_denied" in caplog.text

    def test_what_is_ambiguous_is_refused_all_the_same(self, site):
        assert site(routes=[Route("/admin")], mode="report").get("//admin").status == 400


class TestGatewayResponses:
    def test_by_code_and_by_class(self, site):
        def teapot(denied, standard):
            standard.status = 418
            standard.headers.set("x-code", denied.code)
            return standard

        for key in ("ip_denied", "4xx"):
            answer = site(IPRules(deny=["127.0.0.1"]), gateway_responses={key: teapot}).get("/")
            assert (answer.status, answer.headers.get("x-code")) == (418, "ip_denied")
        answer = site(IPRules(deny=["127.0.0.1"]), gateway_responses={"5xx": teapot}).get("/")
        assert answer.status == 403

    def test_what_one_does_to_a_refusal_that_many_get_is_seen_by_nobody_else(self, site):
        def marked(denied, standard):
            denied.headers = (*denied.headers, ("x-marks", "one"))
            standard.headers.set("x-marks", str(len(denied.headers)))
            return standard

        client = site(Throttle("1/day", burst=1), gateway_responses={"throttled": marked})
        client.get("/")
        assert len({client.get("/").headers.get("x-marks") for _ in range(3)}) == 1

    def test_one_that_fails_is_replaced_by_the_standard_one(self, site, caplog):
        def broken(denied, standard):
            raise KeyError("its own")

        answer = site(IPRules(deny=["127.0.0.1"]), gateway_responses={"ip_denied": broken}).get("/")
        assert (answer.status, answer.json()["code"]) == (403, "ip_denied")
        assert "its own" in caplog.text


def test_off_is_run_by_no_component():
    assert Off not in Gateway().kinds


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Validate(query={"q": {"type": "integer"}}), Validate(headers={"x-a": {"type": "string"}})),
        (Transform(response=[set_header("a", "1")]), Transform(response=[set_header("b", "1")])),
        (Cache(ttl=1), Cache(ttl=2)),
    ],
)
def test_two_at_one_level_of_which_one_would_replace_the_other_are_a_mistake(site, one, other):
    with pytest.raises(ConfigurationError, match=r"stands beside another one, of .*test_site\.py"):
        site(one, other).get("/")
    assert site(one, routes=[Route("/", other)]).get("/?q=1").status in (200, 400)  # the stronger replaces the other
