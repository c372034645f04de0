"""GatekeepMiddleware: Django's own test clients, and handlers that nobody has wrapped, pass the gateway."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import frameworks.django_project  # noqa: F401  Django is set up first

# isort: split

import pytest
from asgiref.sync import markcoroutinefunction
from django.conf import settings as django_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path

from frameworks.django_project.urls import Urls
from gatekeep.component import Component, Hooks, Plan, Spec
from gatekeep.components import STANDARD
from gatekeep.components.ip_rules import IPRules
from gatekeep.errors import ConfigurationError, DependencyError
from gatekeep.exchange import Exchange, current
from gatekeep.frameworks.django import GatekeepMiddleware
from gatekeep.frameworks.django_middleware import _entry
from gatekeep.gateway import Gateway
from gatekeep.message import Response
from gatekeep.testing import Client as PlainClient

nobody = IPRules(deny=["0.0.0.0/0"])
GATEKEEP = "gatekeep.frameworks.django.GatekeepMiddleware"
HERE = __name__
ran: list[str] = []
"""What ran; emptied before each test."""


class Browser:
    """Django's test client of either colour; gives the response with its whole body at `.body`."""

    def __init__(self, protocol: str, **options: Any) -> None:
        self._async = protocol == "asgi"
        self.client: Any = AsyncClient(**options) if self._async else Client(**options)

    def __call__(self, method: str, target: str, *args: Any, **options: Any) -> Any:
        call = getattr(self.client, method.lower())
        if self._async:
            return asyncio.run(self._await(call, target, args, options))
        response = call(target, *args, **options)
        response.body = b"".join(response.streaming_content) if response.streaming else response.content
        return response

    async def _await(self, call: Any, target: str, args: Any, options: Any) -> Any:
        response = await call(target, *args, **options)
        if response.streaming and response.is_async:
            response.body = b"".join([chunk async for chunk in response.streaming_content])
        elif response.streaming:
            response.body = b"".join(response.streaming_content)
        else:
            response.body = response.content
        await asyncio.sleep(0)  # what close() has asked of the loop
        return response


Serve = Callable[..., Browser]


@pytest.fixture
def project() -> Iterator[Callable[..., Gateway]]:
    """Settings with a gateway named in MIDDLEWARE, until the test ends."""
    ran.clear()
    made: list[Any] = []

    def make(urlpatterns: list[Any], *specs: Any, behind: tuple[str, ...] = (), **options: Any) -> Gateway:
        gateway = Gateway(*specs, **options)
        middleware = [GATEKEEP, *(f"{HERE}.{name}" for name in behind)]
        changed = override_settings(ROOT_URLCONF=Urls(urlpatterns), MIDDLEWARE=middleware, GATEKEEP=gateway)
        changed.enable()
        made.append(changed)
        return gateway

    yield make
    for changed in reversed(made):
        changed.disable()
    _entry.cache_clear()


@pytest.fixture
def browse(project: Callable[..., Gateway], protocol: str) -> Serve:
    def make(urlpatterns: list[Any], *specs: Any, client: dict[str, Any] | None = None, **options: Any) -> Browser:
        project(urlpatterns, *specs, **options)
        return Browser(protocol, **(client or {}))

    return make


def opened(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    ran.append("view")
    return HttpResponse("open")


def closed() -> Any:
    """A view that a policy closes; a new one each time, so that none is left over when its test is."""

    @nobody
    def view(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        ran.append("view")
        return HttpResponse("closed")

    return view


async def opened_async(request: HttpRequest) -> HttpResponse:
    ran.append("view")
    return HttpResponse("open")


class Sync:
    """A middleware without an async form."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponse:
        ran.append("before")
        response: HttpResponse = self.get_response(request)
        response["X-Behind"] = "yes"
        return response

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        ran.append("process_view")


class Async(Sync):
    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        markcoroutinefunction(self)

    async def __call__(self, request: Any) -> HttpResponse:  # type: ignore[override]
        ran.append("before")
        response: HttpResponse = await self.get_response(request)
        response["X-Behind"] = "yes"
        return response


BEHIND = [(), ("Sync",), ("Async",), ("Sync", "Async"), ("Async", "Sync")]


@pytest.mark.parametrize("behind", BEHIND, ids=str)
def test_a_policy_holds_in_the_test_client(browse: Serve, behind: tuple[str, ...]) -> None:
    browser = browse([path("open/", opened), path("async/", opened_async), path("closed/", closed())], behind=behind)
    answer = browser("GET", "/closed/")
    assert answer.status_code == 403
    assert answer.json()["code"] == "ip_denied"
    assert ran == []
    for target in ("/open/", "/async/"):
        answer = browser("GET", target)
        assert (answer.status_code, answer.body) == (200, b"open")
        assert ("X-Behind" in answer) == bool(behind)
        assert answer.resolver_match.route == target[1:]
    assert browser("GET", "/none/").status_code == 404
    assert browser("HEAD", "/closed/").body == b""


def test_what_the_view_made_is_what_the_test_gets(browse: Serve) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        response = JsonResponse(
            {"same": current() is getattr(request, "scope", request.META)["gatekeep"], "route": current().route}
        )
        response.mark = "mine"  # type: ignore[attr-defined]
        response.set_cookie("a", "1", httponly=True)
        return response

    answer = browse([path("<int:x>/", lambda request, x: view(request))])("GET", "/5/")
    assert answer.json() == {"same": True, "route": "/{x:int}/"}
    assert answer.mark == "mine"
    assert answer.cookies["a"]["httponly"] is True
    assert list(answer.headers) == ["Content-Type"]


def test_forms_files_and_paths_beyond_ascii(browse: Serve) -> None:
    def view(request: HttpRequest, name: str) -> JsonResponse:
        files = {key: file.read().decode() for key, file in request.FILES.items()}  # type: ignore[union-attr]
        return JsonResponse(
            {"name": name, "path": request.path, "q": request.GET.dict(), "post": request.POST.dict(), "files": files}
        )

    def post() -> Any:
        sent = {"x": "é", "file": SimpleUploadedFile("a.txt", b"x" * 100_000)}
        return browser("POST", "/t%C3%A9%E2%82%AC/?q=%C3%A9", sent).json()

    browser = browse([path("<str:name>/", view)])
    told = post()
    assert told["files"] == {"file": "x" * 100_000}
    with override_settings(MIDDLEWARE=[]):
        assert post() == told


def test_both_entries_have_one_table(project: Callable[..., Gateway], protocol: str) -> None:
    policy = IPRules(allow=["127.0.0.1"])
    gateway = project([path("open/", opened)], policy)
    application = gateway.wrap(ASGIHandler() if protocol == "asgi" else WSGIHandler())
    assert gateway.check(application) == [("* /open/", [policy])]


def test_csrf_stays_what_the_client_says(browse: Serve) -> None:
    csrf = "django.middleware.csrf.CsrfViewMiddleware"
    for enforced in (False, True):
        browser = browse([path("open/", opened)], client={"enforce_csrf_checks": enforced})
        with override_settings(MIDDLEWARE=[GATEKEEP, csrf]):
            assert browser("POST", "/open/", {"a": "b"}).status_code == (403 if enforced else 200)


def chunks() -> Iterator[str]:
    for number in range(3):
        ran.append(str(number))
        yield f"{number}\n"


async def chunks_async() -> Any:
    for chunk in chunks():
        await asyncio.sleep(0)
        yield chunk


def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(chunks_async() if hasattr(request, "scope") else chunks())


def test_streams_stay_streams(browse: Serve, protocol: str) -> None:
    closings: list[Any] = []
    browser = browse([path("stream/", stream)])
    request_finished.connect(lambda **_: closings.append(1), weak=False, dispatch_uid="test")
    try:
        assert browser("GET", "/stream/").body == b"0\n1\n2\n"
        assert browser("HEAD", "/stream/").body == b""
        assert len(closings) == 2
    finally:
        request_finished.disconnect(dispatch_uid="test")


@pytest.mark.parametrize("behind", BEHIND, ids=str)
def test_streams_through_middleware_of_any_colour(project: Any, protocol: str, behind: tuple[str, ...]) -> None:
    gateway = project([path("stream/", stream)], Probe(), order=[Prober], behind=behind)
    with PlainClient(WSGIHandler() if protocol == "wsgi" else ASGIHandler()) as client:
        answer = client.get("/stream/")
    assert answer.chunks == [b"0\n", b"1\n", b"2\n"]
    assert gateway.components[0].outcomes == ["completed"]


def test_a_streams_head_comes_before_its_rest(project: Any) -> None:
    project([path("stream/", stream)])
    response = Client().get("/stream/")
    assert ran == ["0"]  # the head comes with the first byte
    assert next(iter(response.streaming_content)) == b"0\n"  # type: ignore[arg-type]
    response.close()
    assert ran == ["0"]


@pytest.mark.parametrize("first", [[], ["0"], ["", "", "0"]], ids=str)
def test_a_stream_that_fails(browse: Serve, first: list[str]) -> None:
    def failing() -> Iterator[str]:
        yield from first
        raise LookupError("lost")

    async def failing_async() -> Any:
        for chunk in failing():
            yield chunk

    def view(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(failing_async() if hasattr(request, "scope") else failing())

    with pytest.raises(LookupError, match="lost"):
        browse([path("", view)], Probe(), order=[Prober])("GET", "/")


def test_a_stream_whose_client_goes_away_is_stopped(project: Any) -> None:
    gateway = project([path("stream/", stream)], Probe(), order=[Prober])

    async def leave() -> None:
        response: Any = await AsyncClient().get("/stream/")
        iterator = aiter(response.streaming_content)
        assert await anext(iterator) == b"0\n"
        response.close()
        for _ in range(5):
            await asyncio.sleep(0)

    asyncio.run(leave())
    assert len(asyncio.run(_tasks())) == 1
    assert gateway.components[0].outcomes == ["disconnected"]


def test_a_stream_that_outlives_its_loop_is_closed_all_the_same(project: Any) -> None:
    gateway = project([path("stream/", stream)], Probe(), order=[Prober])
    response: Any = asyncio.run(AsyncClient().get("/stream/"))
    response.close()
    assert gateway.components[0].outcomes == ["disconnected"]


def test_a_stream_whose_client_goes_away_in_the_middle_of_waiting(project: Any) -> None:
    async def endless() -> Any:
        yield "0"
        await asyncio.Event().wait()

    gateway = project([path("", lambda request: StreamingHttpResponse(endless()))], Probe(), order=[Prober])

    async def leave() -> None:
        inbox = [{"type": "http.request", "body": b"", "more_body": False}]
        started = asyncio.Event()

        async def receive() -> Any:
            if inbox:
                return inbox.pop()
            await started.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message.get("body"):
                started.set()

        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
        await ASGIHandler()(scope, receive, send)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(leave())
    assert gateway.components[0].outcomes == ["disconnected"]


class Halt(BaseException):
    """What no error handler catches."""


def test_what_is_no_exception_passes_through(browse: Serve) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        raise Halt

    with pytest.raises(Halt):
        browse([path("", view)], Probe(), order=[Prober])("GET", "/")


async def _tasks() -> set[Any]:
    return asyncio.all_tasks()


def test_files(project: Any, protocol: str, tmp_path: Any) -> None:
    (tmp_path / "a.txt").write_bytes(b"a" * 10_000)
    project([path("file/", lambda request: FileResponse((tmp_path / "a.txt").open("rb")))])
    with PlainClient(WSGIHandler() if protocol == "wsgi" else ASGIHandler()) as client, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Django's own: that a file is no async iterator
        answer = client.get("/file/")
    assert answer.body == b"a" * 10_000
    assert answer.headers.get("content-length") == "10000"


# Handlers that nobody has wrapped, and those that somebody has.


@pytest.mark.parametrize("behind", BEHIND, ids=str)
def test_a_handler_of_any_colour_passes_the_gateway(project: Any, protocol: str, behind: tuple[str, ...]) -> None:
    project([path("open/<str:x>", opened), path("closed/", closed())], behind=behind)
    with PlainClient(WSGIHandler() if protocol == "wsgi" else ASGIHandler()) as client:
        assert client.get("/closed/").status == 403
        assert ran == []
        assert client.get("/open/%E2%82%AC").body == b"open"
        assert client.post("/open/x", body=[b"a", b"b"]).status == 200


@pytest.mark.parametrize("behind", BEHIND, ids=str)
def test_what_has_passed_the_wrapped_handler_passes_once(project: Any, protocol: str, behind: tuple[str, ...]) -> None:
    gateway = project([path("open/", opened), path("closed/", closed())], Probe(), behind=behind, order=[Prober, *STANDARD])
    with PlainClient(gateway.wrap(WSGIHandler() if protocol == "wsgi" else ASGIHandler())) as client:
        assert client.get("/open/").body == b"open"
        assert client.get("/closed/").status == 403
    assert gateway.components[0].outcomes == ["completed", "completed"]


def test_a_body_without_a_length_is_bounded(project: Any, protocol: str) -> None:
    project([path("tell/", tell)], max_stream=1000)
    with PlainClient(WSGIHandler() if protocol == "wsgi" else ASGIHandler()) as client:
        assert client.post("/tell/", body=[b"x" * 600, b"x" * 400]).status == 200
        assert client.post("/tell/", body=[b"x" * 600, b"x" * 401]).status == (413 if protocol == "asgi" else 200)


class Outside(Sync):
    """A middleware before the gateway's that looks at the request."""

    def __call__(self, request: Any) -> HttpResponse:
        ran.append(f"{request.GET.get('q')} {request.COOKIES} {request.headers.get('X-New')}")
        response: HttpResponse = self.get_response(request)
        return response


def test_a_middleware_before_it(browse: Serve) -> None:
    def before(exchange: Exchange, component: Any) -> None:
        exchange.forward().query_string = "q=new"
        exchange.forward().headers.set("x-new", "new")

    browser = browse([path("tell/", tell)], Probe(before=before), order=[Prober])
    with override_settings(MIDDLEWARE=[f"{HERE}.Outside", GATEKEEP]):
        assert browser("GET", "/tell/?q=old").json()["told"][1:3] == ["/tell/?q=new", "new"]
    assert ran == ["old {} None", "process_view", "view"]


def test_a_gateway_that_did_not_know_the_routes_does_not_count(project: Any, protocol: str) -> None:
    """Somebody has wrapped the handler together with a middleware of the server's kind."""
    gateway = project([path("open/", opened), path("closed/", closed())])
    handler: Any = WSGIHandler() if protocol == "wsgi" else ASGIHandler()

    def around_wsgi(environ: Any, start_response: Any) -> Any:
        return handler(environ, start_response)

    async def around_asgi(scope: Any, receive: Any, send: Any) -> None:
        await handler(scope, receive, send)

    with PlainClient(gateway.wrap(around_wsgi if protocol == "wsgi" else around_asgi)) as client:
        assert client.get("/open/").body == b"open"
        assert client.get("/closed/").status == 403


@pytest.mark.parametrize("behind", BEHIND, ids=str)
def test_a_wrapped_handler_that_is_called_raw_is_refused(project: Any, protocol: str, behind: tuple[str, ...]) -> None:
    gateway = project([path("open/", opened)], behind=behind)
    handler = WSGIHandler() if protocol == "wsgi" else ASGIHandler()
    gateway.wrap(handler)
    with PlainClient(handler) as client:
        answer = client.get("/open/")
    assert (answer.status, answer.json()["code"]) == (500, "not_guarded")
    assert "view" not in ran
    assert "process_view" not in ran


# The guard.


class Stranger(Sync):
    """A middleware that goes on with a request of its own making."""

    def __call__(self, request: Any) -> HttpResponse:
        made = HttpRequest()
        made.method, made.path_info, made.path = "GET", request.path_info, request.path
        response: HttpResponse = self.get_response(made)
        return response


class Spoiler(Sync):
    """A middleware that makes the best of everything."""

    def __call__(self, request: Any) -> HttpResponse:
        self.get_response(request)
        return HttpResponse("all is well")


def test_a_route_that_comes_late_is_refused_once_and_then_known(browse: Serve) -> None:
    browser = browse([path("<str:x>/", opened)], behind=("Sync",))
    assert browser("GET", "/late/").body == b"open"
    django_settings.ROOT_URLCONF.urlpatterns.insert(0, path("late/", closed()))
    ran.clear()
    answer = browser("GET", "/late/")
    assert (answer.status_code, answer.json()["code"]) == (500, "not_guarded")
    assert ran == ["before"]
    assert "X-Behind" not in answer
    assert browser("GET", "/late/").status_code == 403


def test_no_middleware_makes_a_refusal_undone(browse: Serve) -> None:
    browser = browse([path("<str:x>/", opened)], behind=("Spoiler",))
    assert browser("GET", "/late/").body == b"all is well"
    django_settings.ROOT_URLCONF.urlpatterns.insert(0, path("late/", closed()))
    assert browser("GET", "/late/").json()["code"] == "not_guarded"


def test_a_request_of_a_middlewares_own_making_is_refused(browse: Serve) -> None:
    answer = browse([path("open/", opened)], behind=("Stranger",))("GET", "/open/")
    assert (answer.status_code, answer.json()["code"]) == (500, "not_guarded")
    assert ran == []


# What components do to requests and responses arrives.


@dataclass(frozen=True)
class Probe(Spec):
    before: Any = None
    after: Any = None
    wants: bool = False


class Prober(Component):
    spec: ClassVar[type[Spec]] = Probe

    def __init__(self, services: Any) -> None:
        super().__init__(services)
        self.outcomes: list[str] = []

    def bind(self, plan: Plan) -> Hooks | None:
        if not plan.specs:
            return None
        spec = plan.specs[-1].spec

        def on_request(exchange: Exchange) -> Any:
            return spec.before(exchange, self) if spec.before is not None else None

        def on_response(exchange: Exchange) -> Any:
            return spec.after(exchange) if spec.after is not None else None

        return Hooks(
            on_request=on_request,
            on_response=on_response,
            on_finish=lambda exchange: self.outcomes.append(exchange.outcome),
            needs_request_body=spec.wants,
            needs_response_body=(lambda exchange: True) if spec.wants else None,
            filters_response_body=True,
        )


def tell(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    ran.append("view")
    told = [
        request.method,
        request.get_full_path(),
        request.headers.get("X-New"),
        request.COOKIES.get("c"),
        request.body.decode(),
    ]
    response = JsonResponse({"told": told, "again": request.headers.get("X-New")})
    response.set_cookie("view", "1", path="/view")
    return response


@pytest.mark.parametrize("behind", [(), ("Sync",), ("Async",)], ids=str)
def test_a_changed_request_is_what_the_view_sees(browse: Serve, behind: tuple[str, ...]) -> None:
    def before(exchange: Exchange, component: Any) -> None:
        forwarded = exchange.forward()
        forwarded.headers.set("x-new", "yes")
        forwarded.headers.set("cookie", "c=2")
        forwarded.query_string = "q=new"
        forwarded.body = b"new body"
        forwarded.method = "PUT"

    browser = browse([path("tell/<str:x>", tell)], Probe(before=before), order=[Prober], behind=behind)
    answer = browser("POST", "/tell/x?q=old", "old body", content_type="text/plain")
    assert answer.json()["told"] == ["PUT", "/tell/x?q=new", "yes", "2", "new body"]


@pytest.mark.parametrize("behind", [(), ("Sync",), ("Async",)], ids=str)
def test_a_rewritten_path_leads_to_its_own_view(browse: Serve, behind: tuple[str, ...]) -> None:
    def before(exchange: Exchange, component: Any) -> None:
        if exchange.request.path == "/open/":
            exchange.forward().path = "/tell/é"

    browser = browse([path("open/", opened), path("tell/<str:x>", tell)], Probe(before=before), order=[Prober], behind=behind)
    assert browser("GET", "/open/").json()["told"][1] == "/tell/%C3%A9"


@pytest.mark.parametrize("behind", [(), ("Sync",), ("Async",)], ids=str)
@pytest.mark.parametrize("body", [b"", b"small", b"x" * 200_000])
def test_a_body_that_the_gateway_has_read_is_read_again(browse: Serve, behind: tuple[str, ...], body: bytes) -> None:
    seen: list[bytes | None] = []
    browser = browse(
        [path("tell/", tell)],
        Probe(before=lambda exchange, component: seen.append(exchange.request.body), wants=True),
        order=[Prober],
        behind=behind,
    )
    assert browser("POST", "/tell/", body, content_type="text/plain").json()["told"][4] == body.decode()
    assert seen == [body]


def test_a_body_is_bounded(browse: Serve) -> None:
    browser = browse([path("tell/", tell)], order=[Prober], max_stream=1000)
    assert browser("POST", "/tell/", b"x" * 1000, content_type="text/plain").status_code == 200
    ran.clear()
    assert browser("POST", "/tell/", b"x" * 1001, content_type="text/plain").status_code == 413
    assert ran == []


def test_a_changed_head_is_the_responses(browse: Serve) -> None:
    def after(exchange: Exchange) -> None:
        response = exchange.response
        assert response is not None
        response.status = 201
        response.headers.add("Link", "<a>")
        response.headers.add("Link", "<b>")
        response.headers.add("Set-Cookie", "gateway=2; Path=/; HttpOnly")

    answer = browse([path("tell/", tell)], Probe(after=after), order=[Prober])("GET", "/tell/")
    assert answer.status_code == 201
    assert answer["Link"] == "<a>, <b>"
    assert {name: cookie.value for name, cookie in answer.cookies.items()} == {"view": "1", "gateway": "2"}
    assert answer.cookies["view"]["path"] == "/view"
    assert answer.cookies["gateway"]["httponly"] is True
    assert answer["X-Request-Id"]


class Upper:
    def feed(self, chunk: bytes) -> bytes:
        return chunk.upper()

    def end(self) -> bytes:
        return b"!"

    def abort(self) -> None:
        ran.append("abort")


@pytest.mark.parametrize("target", ["/open/", "/stream/"])
def test_a_filtered_body(browse: Serve, target: str) -> None:
    def after(exchange: Exchange) -> None:
        assert exchange.response is not None
        exchange.response.attach(Upper())

    browser = browse([path("open/", opened), path("stream/", stream)], Probe(after=after), order=[Prober])
    assert browser("GET", target).body == (b"OPEN!" if target == "/open/" else b"0\n1\n2\n!")


@pytest.mark.parametrize("target", ["/open/", "/stream/"])
def test_a_buffered_body(browse: Serve, target: str) -> None:
    def after(exchange: Exchange) -> None:
        assert exchange.response is not None
        assert exchange.response.body is not None
        exchange.response.body = exchange.response.body[::-1]

    browser = browse([path("open/", opened), path("stream/", stream)], Probe(after=after, wants=True), order=[Prober])
    assert browser("GET", target).body == (b"nepo" if target == "/open/" else b"\n2\n1\n0")


def test_an_answer_instead_of_the_view(browse: Serve, protocol: str) -> None:
    made = Response(418, [("content-type", "text/plain"), ("Set-Cookie", "a=1")], b"teapot")
    browser = browse([path("open/", opened)], Probe(before=lambda exchange, component: made), order=[Prober])
    answer = browser("GET", "/open/")
    assert (answer.status_code, answer.body, answer["Content-Type"]) == (418, b"teapot", "text/plain")
    assert answer.cookies["a"].value == "1"
    assert ran == []


def test_on_finish_comes_once(project: Any, protocol: str) -> None:
    gateway = project(
        [path("open/", opened), path("stream/", stream), path("closed/", closed())], Probe(), order=[Prober, *STANDARD]
    )
    browser = Browser(protocol)
    for target in ("/open/", "/stream/", "/closed/", "/none/"):
        browser("GET", target)
    assert gateway.components[0].outcomes == ["completed"] * 4


@pytest.mark.parametrize("behind", [(), ("Sync",), ("Async",)], ids=str)
def test_the_app_called_again(browse: Serve, behind: tuple[str, ...]) -> None:
    def before(exchange: Exchange, component: Any) -> Any:
        fresh = yield from exchange.refetch(component)
        exchange.state["fresh"] = fresh

    def after(exchange: Exchange) -> None:
        fresh = exchange.state.get("fresh")
        if fresh is not None:
            assert exchange.response is not None
            exchange.response.headers.add("X-Fresh", fresh.body.decode())

    def view(request: HttpRequest, x: str) -> HttpResponse:
        response = opened(request)
        response._resource_closers.append(lambda: ran.append("closed"))  # type: ignore[attr-defined]
        return response

    browser = browse([path("<str:x>", view)], Probe(before=before, after=after), order=[Prober], behind=behind)
    answer = browser("GET", "/%C3%A9")
    assert (answer.body, answer["X-Fresh"]) == (b"open", "open")
    assert ran.count("view") == ran.count("closed") == 2


def test_a_fault_before_the_view_is_answered(browse: Serve) -> None:
    def before(exchange: Exchange, component: Any) -> None:
        raise DependencyError("down")

    assert browse([path("open/", opened)], Probe(before=before), order=[Prober])("GET", "/open/").status_code == 503


# Settings.


def test_settings_that_a_test_overrides_bring_their_own_routes(browse: Serve) -> None:
    browser = browse([path("a/", opened)])
    for _ in range(3):
        assert browser("GET", "/a/").body == b"open"
        with override_settings(ROOT_URLCONF=Urls([path("a/", closed()), path("b/", opened)])):
            assert browser("GET", "/b/").body == b"open"
            assert browser("GET", "/a/").status_code == 403


@pytest.mark.parametrize("value", [None, "math.pi", object()])
def test_a_setting_that_names_no_gateway(value: Any) -> None:
    with override_settings(GATEKEEP=value, MIDDLEWARE=[GATEKEEP]), pytest.raises(ConfigurationError, match=r"settings\.GATEKEEP"):
        GatekeepMiddleware(lambda request: HttpResponse())


def test_mistakes_show_at_the_start(project: Any, protocol: str) -> None:
    view = Probe()(lambda request: HttpResponse())  # no component runs it
    project([path("", view)])
    with pytest.raises(ConfigurationError, match="no component"):
        WSGIHandler() if protocol == "wsgi" else ASGIHandler()


class AsgiOnly(Component):
    """As one with an async function of the user's."""

    spec: ClassVar[type[Spec]] = Probe

    def bind(self, plan: Plan) -> None:
        if plan.protocol == "wsgi":
            raise ConfigurationError("async")


def test_a_sync_middleware_makes_no_wsgi_app_of_an_asgi_one(project: Any) -> None:
    project([path("open/", opened)], order=[AsgiOnly], behind=("Sync",))
    with PlainClient(ASGIHandler()) as client:
        assert client.get("/open/").body == b"open"


gateway = Gateway()


def test_a_setting_that_names_one(protocol: str) -> None:
    ran.clear()
    with override_settings(MIDDLEWARE=[GATEKEEP], GATEKEEP=f"{HERE}.gateway", ROOT_URLCONF=Urls([path("", opened)])):
        assert Browser(protocol)("GET", "/").body == b"open"


def test_many_clients_share_one_table(project: Any, protocol: str) -> None:
    made = project([path("open/", opened)])
    for _ in range(3):
        Browser(protocol)("GET", "/open/")
    assert len(made._fronts) == 1
