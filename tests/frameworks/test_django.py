"""A gateway in front of Django: policies on views, the guard, and what must stay as it was, under both protocols."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import frameworks.django_project  # noqa: F401  Django is set up first

# isort: split

import pytest
from asgiref.sync import markcoroutinefunction
from django.conf import settings as django_settings
from django.conf.urls.i18n import i18n_patterns
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler, StaticFilesHandler
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import include, path, re_path, reverse
from django.utils import translation
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.routers import DefaultRouter
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from frameworks.django_project.urls import Urls
from gatekeep.component import Component, Hooks, Plan, Spec
from gatekeep.components.ip_rules import IPRules
from gatekeep.components.validator import Validate
from gatekeep.effects import Flow
from gatekeep.errors import ConfigurationError
from gatekeep.exchange import Exchange, current
from gatekeep.frameworks.django import DjangoAdapter
from gatekeep.gateway import Gateway
from gatekeep.routing import Route
from gatekeep.testing import Answer, Client, unguarded

nobody = IPRules(deny=["0.0.0.0/0"])
"""A policy that lets nobody in."""

HERE = __name__
ran: list[str] = []
"""What of the project's own ran; emptied before each test."""

Serve = Callable[..., Client]


def handler_of(protocol: str) -> Any:
    return ASGIHandler() if protocol == "asgi" else WSGIHandler()


@pytest.fixture
def serve(protocol: str) -> Iterator[Serve]:
    """Put a gateway in front of a Django project made of URL patterns and settings; they hold until the test ends."""
    ran.clear()
    opened: list[Any] = []

    def make(urlpatterns: list[Any], *specs: Any, settings: dict[str, Any] | None = None, **options: Any) -> Client:
        changed = override_settings(ROOT_URLCONF=Urls(urlpatterns), **(settings or {}))
        changed.enable()
        opened.append(changed.disable)
        gateway = Gateway(*specs, **options)
        client = Client(gateway.wrap(handler_of(protocol)))
        opened.append(client.close)
        return client

    yield make
    for close in reversed(opened):
        close()


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


class Watching:
    """A middleware that tells which of its hooks run."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        ran.append("before")
        response = self.get_response(request)
        ran.append("after")
        response["X-Watched"] = "yes"
        return response

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        ran.append("process_view")

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse:
        ran.append("process_exception")
        return HttpResponse("all is well")


WATCHED = {"MIDDLEWARE": [f"{HERE}.Watching"]}


# Policies.


def test_a_policy_holds_on_its_view_alone(serve: Serve) -> None:
    client = serve([path("open/", opened), path("closed/", closed())], settings=WATCHED)
    assert client.get("/closed/").status == 403
    assert ran == []
    assert client.get("/open/").body == b"open"
    assert ran == ["before", "process_view", "view", "after"]


def test_decorators_in_any_order(serve: Serve) -> None:
    def ours(view: Any) -> Any:
        @functools.wraps(view)
        def inner(*args: Any, **kwargs: Any) -> Any:
            return view(*args, **kwargs)

        return inner

    @nobody
    async def asynchronous(request: HttpRequest) -> HttpResponse:
        return HttpResponse("async")

    def plain(request: HttpRequest) -> HttpResponse:
        return HttpResponse("plain")

    views = {
        "below": ours(nobody(plain)),
        "above": nobody(ours(lambda request: plain(request))),
        "exempt": csrf_exempt(nobody(lambda request: plain(request))),
        "partial": functools.partial(nobody(lambda request, x: plain(request)), x=1),
        "async": asynchronous,
    }
    client = serve([path(f"{name}/", view) for name, view in views.items()])
    for name in views:
        assert client.get(f"/{name}/").status == 403, name


def test_class_based_views(serve: Serve) -> None:
    class Orders(View):
        def get(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("get")

        @nobody
        def post(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("post")

    @nobody
    class Closed(View):
        async def get(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("closed")

    class Reading(View):
        @nobody
        def get(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse("read")

    client = serve([path("orders", Orders.as_view()), path("closed", Closed.as_view()), path("reading", Reading.as_view())])
    assert client.get("/orders").body == b"get"
    assert client.post("/orders").status == 403
    assert client.request("post", "/orders").status == 403
    assert client.request("PUT", "/orders").status == 405
    assert client.get("/closed").status == 403
    for method in ("GET", "get", "HEAD", "Head"):
        assert client.request(method, "/reading").status == 403, method


def test_views_of_the_rest_framework(serve: Serve) -> None:
    class Orders(APIView):
        def get(self, request: Any) -> Response:
            return Response({"orders": []})

        @nobody
        def post(self, request: Any) -> Response:
            return Response({})

    @nobody
    class Closed(APIView):
        def get(self, request: Any) -> Response:
            return Response({})

    class Things(ViewSet):
        def list(self, request: Any, format: Any = None) -> Response:
            return Response([])

        @nobody
        def create(self, request: Any, format: Any = None) -> Response:
            return Response({})

        @nobody
        @action(detail=True, methods=["post"])
        def close(self, request: Any, pk: str) -> Response:
            return Response({})

        @action(detail=True, methods=["post"])
        def open(self, request: Any, pk: str) -> Response:
            return Response({"pk": pk, "params": dict(current().path_params)})

    router = DefaultRouter()
    router.register("things", Things, basename="things")
    client = serve([path("orders/", Orders.as_view()), path("closed/", Closed.as_view()), path("api/", include(router.urls))])
    assert client.get("/orders/").json() == {"orders": []}
    assert client.post("/orders/").status == 403
    assert client.get("/closed/").status == 403
    assert client.get("/api/things/").json() == []
    assert client.get("/api/things.json").json() == []
    assert client.post("/api/things/").status == 403
    assert client.post("/api/things/5/close/").status == 403
    assert client.post("/api/things/5/open/").json() == {"pk": "5", "params": {"pk": "5"}}
    assert client.request("DELETE", "/api/things/").status == 405


def test_route_and_params_through_includes(serve: Serve) -> None:
    def who(request: HttpRequest, **kwargs: Any) -> JsonResponse:
        return JsonResponse({"route": current().route, **current().path_params})

    inner = [path("<int:x>/", who, {"extra": 1}), re_path(r"^old/(?P<year>[0-9]{4})/$", who)]
    client = serve([path("a/<slug:tenant>/", include((inner, "app"), namespace="ns"))])
    assert client.get("/a/t/5/").json() == {"route": "/a/{tenant}/{x:int}/", "tenant": "t", "x": 5}
    assert client.get("/a/t/old/1999/").json() == {"route": "/a/{tenant}/old/{year}/", "tenant": "t", "year": "1999"}


def test_one_include_twice_is_two_places(serve: Serve) -> None:
    inner = [path("x/", opened)]
    urlpatterns = [path("a/", include(inner)), path("b/", include(inner))]
    client = serve(urlpatterns, routes=[Route("/a/{rest:path}", nobody)])
    assert client.get("/a/x/").status == 403
    assert client.get("/b/x/").body == b"open"


TARGETS = [
    "/closed",
    "//closed",
    "///closed",
    "/closed/",
    "/CLOSED",
    "/%63losed",
    "/closed%2f",
    "/./closed",
    "/a/../closed",
    "/closed;a=b",
    "/closed%00",
    "/closed%0a",
    "/closed?x",
    "/closed/./",
    "/%2e/closed",
    "/closed//",
    "%2fclosed",
    "closed",
    "/%ffclosed",
]


@pytest.mark.parametrize(("make", "text"), [(path, "closed"), (re_path, "^closed$"), (re_path, "closed")])
def test_no_path_opens_a_door(serve: Serve, make: Any, text: str) -> None:
    client = serve([make(text, closed())], settings=WATCHED)
    for target in TARGETS:
        for method in ("GET", "get", "HEAD", "OPTIONS", "TRACE"):
            for root_path in ("", "/closed", "/x", "/clo"):
                ran.clear()
                answer = client.request(method, target, root_path=root_path)
                assert "view" not in ran, (target, method, root_path)
                assert "process_view" not in ran, (target, method, root_path)
                assert answer.status in {403, 404, 400}, (target, method, root_path)


# The guard.


def not_guarded(answer: Answer) -> None:
    assert answer.status == 500
    assert answer.headers.get("content-type") == "application/problem+json"
    assert answer.json()["code"] == "not_guarded"


def test_the_raw_handler_is_refused_before_views_and_view_middleware(
    serve: Serve, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = serve([path("open/", opened), path("async/", asynchronously)], settings=WATCHED)
    raw = Client(client.app.app)
    for target in ("/open/", "/async/"):
        ran.clear()
        answer = raw.get(target)
        not_guarded(answer)
        assert "X-Watched" not in answer.headers
        assert ran == ["before"]
    assert raw.request("HEAD", "/open/").body == b""
    assert f"the Django view {HERE}.opened at 'open/' was reached, but the request did not pass the gateway" in caplog.text
    assert client.get("/open/").body == b"open"
    raw.close()


async def asynchronously(request: HttpRequest) -> HttpResponse:
    ran.append("view")
    return HttpResponse("open")


class WatchingAsync(Watching):
    """As Watching, of the other colour."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        ran.append("before")
        response: HttpResponse = await self.get_response(request)  # type: ignore[misc]
        ran.append("after")
        return response


@pytest.mark.parametrize(
    "middleware",
    [["Watching"], ["WatchingAsync"], ["Watching", "WatchingAsync"], ["WatchingAsync", "Watching"], ["WatchingAsync"] * 2],
    ids=str,
)
def test_a_refusal_passes_middleware_of_any_colour(serve: Serve, middleware: list[str]) -> None:
    client = serve([path("open/", opened)], settings={"MIDDLEWARE": [f"{HERE}.{name}" for name in middleware]})
    raw = Client(client.app.app)
    not_guarded(raw.get("/open/"))
    assert ran == ["before"] * len(middleware)
    assert client.get("/open/").body == b"open"
    raw.close()


def test_the_projects_error_pages_see_no_refusal(serve: Serve) -> None:
    def handler(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        ran.append("handler")
        return HttpResponse("all is well")

    client = serve([path("open/", opened), path("fail/", fail)], settings={**WATCHED, "DEBUG_PROPAGATE_EXCEPTIONS": False})
    django_settings.ROOT_URLCONF.handler500 = django_settings.ROOT_URLCONF.handler404 = handler
    raw = Client(client.app.app)
    not_guarded(raw.get("/open/"))
    assert "handler" not in ran
    assert raw.get("/none/").body == b"all is well"
    raw.close()


def fail(request: HttpRequest) -> HttpResponse:
    raise LookupError("lost")


def test_a_route_that_comes_late_is_refused_once_and_then_known(serve: Serve) -> None:
    urlconf = [path("<str:x>/", opened)]
    client = serve(urlconf)
    assert client.get("/late/").body == b"open"
    django_settings.ROOT_URLCONF.urlpatterns.insert(0, path("late/", closed()))
    ran.clear()
    not_guarded(client.get("/late/"))
    assert ran == []
    assert client.get("/late/").status == 403


def test_settings_that_a_test_overrides_bring_their_own_routes(serve: Serve) -> None:
    client = serve([path("a/", opened)])
    for _ in range(3):
        assert client.get("/a/").body == b"open"
        with override_settings(ROOT_URLCONF=Urls([path("a/", closed()), path("b/", opened)])):
            assert client.get("/b/").body == b"open"
            assert client.get("/a/").status == 403
        with override_settings(LANGUAGE_CODE="de"):
            assert client.get("/a/").body == b"open"


class OtherUrls:
    """Middleware that sends requests to another URLconf, as multi-tenant projects do."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponse:
        if "other" in request.GET:
            request.urlconf = Urls([path("open/", closed())])
        return self.get_response(request)  # type: ignore[no-any-return]


def test_another_urlconf_of_a_middleware_is_refused(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    client = serve([path("open/", opened)], settings={"MIDDLEWARE": [f"{HERE}.OtherUrls"]})
    assert client.get("/open/").body == b"open"
    not_guarded(client.get("/open/?other"))
    assert "resolved in request.urlconf" in caplog.text


def test_a_language_that_is_not_foreseen_is_refused(serve: Serve) -> None:
    """A middleware that activates a language on its own makes Django resolve differently."""
    client = serve(i18n_patterns(path("<str:x>/", opened)), settings={"MIDDLEWARE": [f"{HERE}.German"]})
    assert client.get("/en/a/").status == 404
    not_guarded(client.get("/de/a/"))


class German(OtherUrls):
    def __call__(self, request: Any) -> HttpResponse:
        with translation.override("de"):
            return self.get_response(request)  # type: ignore[no-any-return]


def test_unguarded_lifts_the_guard(serve: Serve) -> None:
    client = serve([path("closed/", closed())])
    raw = Client(client.app.app)
    with unguarded(client.app):
        assert raw.get("/closed/").body == b"closed"
    not_guarded(raw.get("/closed/"))
    raw.close()


def test_static_files_handlers_are_guarded_within(serve: Serve, protocol: str) -> None:
    serve([path("open/", opened)], settings={"STATIC_URL": "static/"})
    inner = handler_of(protocol)
    outer: Any = ASGIStaticFilesHandler(inner) if protocol == "asgi" else StaticFilesHandler(inner)
    wrapped, raw = Client(Gateway().wrap(outer)), Client(inner)
    assert wrapped.get("/open/").body == b"open"
    assert wrapped.get("/static/none.css").status == 404
    not_guarded(raw.get("/open/"))
    wrapped.close()
    raw.close()


def test_one_gateway_for_a_handler(protocol: str) -> None:
    handler = handler_of(protocol)
    gateway = Gateway()
    gateway.wrap(handler)
    resolve = handler.resolve_request
    gateway.wrap(handler)
    DjangoAdapter(handler).arm(resolve.guard)
    assert handler.resolve_request is resolve
    with pytest.raises(ConfigurationError, match=r"^\S+test_django\.py:\d+: .*another gateway"):
        Gateway().wrap(handler)


def test_init_app_says_what_to_do_instead(protocol: str) -> None:
    with pytest.raises(ConfigurationError, match=r"gateway\.wrap"):
        Gateway().init_app(handler_of(protocol))


def test_other_objects_of_django_are_no_apps() -> None:
    with pytest.raises(ConfigurationError, match="HttpRequest is no Django handler"):
        Gateway().wrap(HttpRequest())


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (BaseHandler, "_get_response"),
        (BaseHandler, "_get_response_async"),
        (WSGIHandler, "__call__"),
        (ASGIHandler, "run_get_response"),
    ],
)
def test_a_django_that_works_otherwise_is_a_mistake(owner: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = WSGIHandler()
    other: dict[str, Any] = {}
    exec(compile("def other(*args): pass", inspect.getfile(owner), "exec"), other)
    monkeypatch.setattr(owner, name, other["other"])
    with pytest.raises(ConfigurationError, match="this Django does not"):
        Gateway().wrap(handler)


def test_a_django_that_an_instrumentation_has_wrapped_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = BaseHandler._get_response  # type: ignore[attr-defined]
    monkeypatch.setattr(BaseHandler, "_get_response", lambda self, request: inner(self, request))
    assert Gateway().wrap(WSGIHandler())
    monkeypatch.delattr(BaseHandler, "_get_response")
    with pytest.raises(ConfigurationError, match="this Django does not"):
        Gateway().wrap(ASGIHandler())


# What stays as it was.


def stream(request: HttpRequest) -> StreamingHttpResponse:
    response = StreamingHttpResponse((f"{number}\n" for number in range(3)), content_type="text/plain")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


async def stream_async(request: HttpRequest) -> StreamingHttpResponse:
    async def chunks() -> Any:
        for number in range(3):
            yield f"{number}\n"

    return StreamingHttpResponse(chunks(), content_type="text/event-stream")


def echo(request: HttpRequest, where: str) -> JsonResponse:
    return JsonResponse({"where": where, "post": request.POST.dict(), "at": reverse(echo, args=[where])})


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("HEAD", "/stream/", b""),
        ("POST", "/echo/a%2fb//%C3%A9", b"x=1&y=%C3%A9"),
        ("GET", "/slash", b""),
        ("OPTIONS", "/slash/", b""),
    ]
    + [("GET", target, b"") for target in ("/fail/", "/none/", "/slash/", "/echo/x")],
)
def test_a_gateway_with_nothing_on_changes_no_byte(serve: Serve, protocol: str, method: str, target: str, body: bytes) -> None:
    urlpatterns = [path("stream/", stream), path("echo/<path:where>", echo), path("fail/", fail), path("slash/", opened)]
    settings = {"MIDDLEWARE": ["django.middleware.common.CommonMiddleware", "django.middleware.http.ConditionalGetMiddleware"]}
    if protocol == "asgi":
        urlpatterns[0] = path("stream/", stream_async)
    behind = serve(urlpatterns, settings=settings)
    bare = Client(handler_of(protocol))
    headers = {"content-type": "application/x-www-form-urlencoded"} if body else {}
    one, other = (client.request(method, target, body=body, headers=headers) for client in (bare, behind))
    assert (one.status, list(one.headers), one.chunks) == (other.status, list(other.headers), other.chunks)
    bare.close()


# Django puts decoded paths into the environ that it was called with.


@pytest.mark.parametrize("target", ["/%C3%A9", "/%E2%82%AC"])
def test_paths_beyond_ascii_can_be_looked_at_and_fetched_again_afterwards(serve: Serve, target: str) -> None:
    class Again(Spec):
        pass

    class Repeater(Component):
        spec = Again

        def bind(self, plan: Plan) -> Hooks:
            return Hooks(on_response=self.repeat)

        def repeat(self, exchange: Exchange) -> Flow[None]:
            assert exchange.request.raw_path == target.encode()
            if not ran.count("refetch"):
                ran.append("refetch")
                fresh = yield from exchange.refetch(self)
                ran.append(f"{fresh.status} {fresh.body!r}")

    client = serve([path("<str:x>", opened)], Again(), order=[Repeater])
    assert client.get(target).body == b"open"
    assert ran == ["view", "refetch", "view", "200 b'open'"]


def test_paths_that_are_not_utf8_are_told_apart(protocol: str, serve: Serve) -> None:
    client = serve([path("<str:x>", lambda request, x: JsonResponse([x, current().path_params["x"]], safe=False))])
    for target in ("/%ff", "/%fe"):
        view, gateway = client.get(target).json()
        assert view == gateway
        assert protocol == "asgi" or view == target[1:].upper()


def test_a_chunked_body_that_was_judged_reaches_the_view(serve):
    @csrf_exempt
    @Validate(body={"required": ["item"]})
    def order(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.body)

    client = serve([path("orders", order)])
    json = {"content-type": "application/json"}
    assert client.post("/orders", headers=json, body=[b'{"item"', b": 1}"]).body == b'{"item": 1}'
    assert client.post("/orders", headers=json, body=[b"{", b"}"]).status == 400
