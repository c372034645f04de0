"""DjangoTable: whatever the URLconf and the request, it names the endpoint that Django itself runs."""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any, ClassVar

import frameworks.django_project  # noqa: F401  Django is set up first

# isort: split

import pytest
from django.conf.urls.i18n import i18n_patterns
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.wsgi import WSGIHandler
from django.http import Http404, HttpResponse
from django.test import override_settings
from django.urls import include, path, re_path, register_converter
from django.urls.resolvers import RoutePattern, URLPattern, URLResolver
from django.utils import translation
from django.utils.functional import lazy
from django.views import View
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from rest_framework.routers import DefaultRouter
from rest_framework.viewsets import ViewSet

from frameworks.django_project.urls import Urls
from gatekeep.frameworks.django_table import DjangoTable, _regex_shapes, key_of
from gatekeep.requests import AsgiRequest, WsgiRequest


class Year:
    regex = "[0-9]{4}"

    def to_python(self, value: str) -> int:
        if value < "1900":
            raise ValueError
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


class Anything(Year):
    regex = ".*"

    def to_python(self, value: str) -> Any:
        if value == "lost":
            raise Http404
        return value


register_converter(Year, "year")
register_converter(Anything, "anything")


def environ(path: str, **headers: str) -> dict[str, Any]:
    native = {"REQUEST_METHOD": "GET", "PATH_INFO": path.encode().decode("latin-1"), "SCRIPT_NAME": "", "wsgi.input": BytesIO()}
    return {**native, "SERVER_NAME": "a.example", "SERVER_PORT": "80", **headers}


def scope(path: str, root_path: str = "", **more: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": path, "root_path": root_path, "headers": [], "query_string": b"", **more}


def served(urlpatterns: list[Any], path: str, **headers: str) -> Any:
    """The ResolverMatch of a real run through a WSGIHandler, None if no view ran."""
    seen: list[Any] = []
    with override_settings(ROOT_URLCONF=Urls(urlpatterns)):
        handler = WSGIHandler()
        _run.matches = seen  # type: ignore[attr-defined]
        handler(environ(path, **headers), lambda status, headers: None)
    return seen[0] if seen else None


def _run(request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
    _run.matches.append(request.resolver_match)  # type: ignore[attr-defined]
    return HttpResponse("")


def views(count: int) -> list[Any]:
    """Distinct views."""
    return [lambda request, *args, **kwargs: _run(request) for _ in range(count)]


def agree(urlpatterns: list[Any], path: str, **headers: str) -> Any:
    """What the table finds, which must be what Django runs, under both protocols."""
    with override_settings(ROOT_URLCONF=Urls(urlpatterns)):
        wsgi = DjangoTable("wsgi").find(WsgiRequest(environ(path, **headers)))
        asgi = DjangoTable("asgi").find(AsgiRequest(scope(path), None))  # type: ignore[arg-type]
        try:
            matched = ASGIHandler().resolve_request(ASGIRequest(scope(path), BytesIO()))
        except Exception:
            matched = None
    same(path, served(urlpatterns, path, **headers), wsgi)
    same(path, matched, asgi)
    return wsgi


def same(path: str, match: Any, found: Any) -> None:
    if match is None:
        assert found is None, (path, found)
    else:
        assert found is not None, (path, match)
        assert found.endpoint.key == key_of(match.tried[-1], match.func)
        assert found.endpoint.view is match.func
        assert {**found.params, **match.extra_kwargs} == match.kwargs


# The property.

PIECES = [
    "a",
    "b",
    "A",
    "<str:{}>",
    "<int:{}>",
    "<slug:{}>",
    "<path:{}>",
    "<year:{}>",
    "<anything:{}>",
    "v<int:{}>",
    "<{}>.<{}2>",
    "",
]
REGEXES = [
    "a",
    "b",
    r"(?P<{}>\d+)",
    r"(?P<{}>[^/.]+)",
    r"(?P<{}>[^/]+)",
    r"(?P<{}>.*)",
    r"(\w+)",
    r"[ab]",
    "a|b",
    "(?:a|b)",
    "b?",
    r"a\.b",
]
REGEXES += [
    "a/|b",
    "a/?b",
    "b/*a",
    "a/{0,2}",
    r"(?P<{}>[a-z.]+)",
    r"(?P<{}>a|b)",
    r"(?P<{}>a|b/a)?",
    "a/?",
    "[!-~]",
    r"\d{2,}",
    "é",
]
TEXTS = ["a", "b", "A", "1", "22", "1850", "1999", "v1", "a.b", "", "é", "..", "a\nb", "a/b", "lost", "٣", "a\n", "9" * 5000]


@st.composite
def urls(draw: Any, depth: int = 0) -> list[tuple[Any, ...]]:
    """Descriptions: (kind, text, None or the description of an include, extra kwargs)."""
    entries = []
    for number in range(draw(st.integers(1, 3))):
        name = f"x{depth}{number}"
        kind = draw(st.sampled_from(["path", "path", "re_path"]))
        pieces = draw(st.lists(st.sampled_from(PIECES if kind == "path" else REGEXES), max_size=2))
        named = [piece.replace("{}", f"{name}{place}", 1).replace("{}", f"{name}{place}") for place, piece in enumerate(pieces)]
        text = "/".join(named) + draw(
            st.sampled_from(["", "/", "/"]) if kind == "path" else st.sampled_from(["", "/", "/$", "$", "/?$", r"\Z"])
        )
        if kind == "re_path":
            text = draw(st.sampled_from(["^", "^", "^", "", "(?i)^"])) + text
        inner = draw(urls(depth + 1)) if depth < 2 and draw(st.integers(0, 2)) == 0 else None
        entries.append((kind, text, inner, draw(st.sampled_from([{}, {}, {"mode": "x"}]))))
    return entries


def build(description: list[tuple[Any, ...]], shared: list[Any] | None = None) -> list[Any]:
    made = []
    for kind, text, inner, extra in description:
        target = views(1)[0] if inner is None else include(build(inner))
        try:
            made.append((path if kind == "path" else re_path)(text, target, extra))
            made[-1].pattern.match("")  # an invalid regex shows now
        except Exception:
            event("invalid pattern")
    return made


def literal(text: str, draw: Any) -> str:
    """A path that has a good chance to match a pattern's text."""
    text = re.sub(
        r"\(\?P<[^>]*>[^()]*\)\??|\([^)]*\)|<[^>]*>|\[[^]]*\]|\\d[{}0-9,]*", lambda _: draw(st.sampled_from(TEXTS)), text
    )
    return re.sub(r"\\Z|\(\?i\)|[\\^$?|]", "", text)


@st.composite
def conf_and_paths(draw: Any) -> tuple[list[Any], list[str]]:
    description = draw(urls())
    paths = []
    for _ in range(draw(st.integers(1, 5))):
        text, entries = "", description
        while entries is not None:
            _, piece, entries, _ = draw(st.sampled_from(entries))
            text += literal(piece, draw)
        text = draw(st.sampled_from(["/", "/", "/", "//", ""])) + text + draw(st.sampled_from(["", "", "/", "/a", "\n"]))
        paths.append(text)
    return description, paths


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(case=conf_and_paths())
def test_the_table_picks_what_django_runs(case: Any) -> None:
    description, paths = case
    urlpatterns = build(description)
    for each in paths:
        event("found" if agree(urlpatterns, each) else "none")


# Languages.

LOCALE = ["django.middleware.locale.LocaleMiddleware"]


@pytest.mark.parametrize("prefix_default", [True, False])
@pytest.mark.parametrize("language", [None, "de", "pt-BR,de;q=0.5", "fr"])
@pytest.mark.parametrize("cookie", [None, "django_language=de"])
def test_language_prefixes_and_translated_routes(prefix_default: bool, language: str | None, cookie: str | None) -> None:
    news, about, any_, plain = views(4)
    translated = lazystr({"de": "neues/", "en": "news/"})
    urlpatterns = [
        path("plain/", plain),
        path(translated, news),
        *i18n_patterns(
            path(translated, news), path("about/<int:x>/", about), path("<x>/", any_), prefix_default_language=prefix_default
        ),
    ]
    headers = {"HTTP_ACCEPT_LANGUAGE": language, "HTTP_COOKIE": cookie}
    headers = {name: value for name, value in headers.items() if value is not None}
    before = translation.get_language()
    with override_settings(MIDDLEWARE=LOCALE):
        for prefix in ("/", "/de/", "/en/", "/pt-br/", "/pt/", "/fr/", "/EN/"):
            for rest in ("plain/", "news/", "neues/", "about/1/", "about/x/", "other/", ""):
                with translation.override("en"):
                    match = served(urlpatterns, prefix + rest, **headers)  # type: ignore[arg-type]
                with override_settings(ROOT_URLCONF=Urls(urlpatterns)):
                    found = DjangoTable("wsgi").find(WsgiRequest(environ(prefix + rest, **headers)))  # type: ignore[arg-type]
                    pairs = [(b"cookie", (cookie or "").encode()), (b"accept-language", (language or "").encode())]
                    request = AsgiRequest(scope(prefix + rest, headers=pairs), None)  # type: ignore[arg-type]
                    asgi = DjangoTable("asgi").find(request)
                same(prefix + rest, match, found)
                same(prefix + rest, match, asgi)
                assert translation.get_language() == before


def test_without_a_locale_middleware_the_active_language_counts() -> None:
    (view,) = views(1)
    urlpatterns = i18n_patterns(path("a/", view))
    with translation.override("de"):
        assert agree(urlpatterns, "/de/a/") is not None
        assert agree(urlpatterns, "/en/a/") is None
    assert agree(urlpatterns, "/en/a/") is not None


def lazystr(texts: dict[str, str]) -> Any:
    return lazy(lambda: texts.get(translation.get_language() or "en", texts["en"]), str)()


# Paths.


def test_a_converter_that_fails() -> None:
    first, second = views(2)
    assert agree([path("<anything:x>/", first), path("<str:x>/", second)], "/lost/") is None


def test_a_path_that_is_not_utf8_is_escaped_as_django_does() -> None:
    (view,) = views(1)
    urlpatterns = [path("<str:x>", view)]
    with override_settings(ROOT_URLCONF=Urls(urlpatterns)):
        native = environ("/")
        native["PATH_INFO"] = "/\xff"
        assert DjangoTable("wsgi").find(WsgiRequest(native)).params == {"x": "%FF"}  # type: ignore[union-attr]


@pytest.mark.parametrize("force", [None, "/forced", "/api"])
@pytest.mark.parametrize("root_path", ["", "/api", "/api/", "/other"])
@pytest.mark.parametrize("path_", ["/api/a", "/apia", "/a", "/forced/a", "/api/api/a", "/forceda"])
def test_a_root_path_is_taken_off_as_django_does(path_: str, root_path: str, force: str | None) -> None:
    view, other = views(2)
    native = scope(path_, root_path)
    with override_settings(ROOT_URLCONF=Urls([path("a", view), path("api/a", other)]), FORCE_SCRIPT_NAME=force):
        found = DjangoTable("asgi").find(AsgiRequest(native, None))  # type: ignore[arg-type]
        try:
            match = ASGIHandler().resolve_request(ASGIRequest(native, BytesIO()))
        except Http404:
            # A prefix that ends within a segment leads nowhere in Django; behind the policy of what stands there.
            assert found is None or (force is None and not path_.startswith(f"{root_path}/"))
        else:
            assert found is not None
            assert found.endpoint.view is match.func


@pytest.mark.parametrize(
    "pattern",
    [
        path("<year:x>/", lambda request, x: HttpResponse("")),
        path(lazy(lambda: "a/", str)(), lambda request: HttpResponse("")),
        *i18n_patterns(path("a/", lambda request: HttpResponse(""))),
        path("a/", include([path("<anything:x>", lambda request, x: HttpResponse(""))])),
    ],
    ids=str,
)
def test_what_more_than_the_path_decides_is_not_remembered(pattern: Any) -> None:
    plain = [path("<int:x>/<slug:y>/", include([re_path("^(?P<z>a)$", views(1)[0])]))]
    with override_settings(ROOT_URLCONF=Urls(plain)):
        assert DjangoTable("wsgi").by_path
    with override_settings(ROOT_URLCONF=Urls([*plain, pattern])):
        assert not DjangoTable("wsgi").by_path
    with override_settings(ROOT_URLCONF=Urls(plain), FORCE_SCRIPT_NAME="/x"):
        assert not DjangoTable("asgi").by_path


# Endpoints.


def endpoints(urlpatterns: list[Any]) -> list[Any]:
    with override_settings(ROOT_URLCONF=Urls(urlpatterns)):
        return list(DjangoTable("wsgi").endpoints)


def test_templates_and_segments() -> None:
    (view,) = views(1)
    inner = [
        path("<slug:s>/<path:rest>", view),
        re_path(r"^(?P<y>[0-9]{4})/(?P<kind>a|b)/(\w+)\.(?P<f>[^/.]+)/?$", view),
        path("", view),
    ]
    urlpatterns = [
        path("orders/<int:id>/", include(inner)),
        *i18n_patterns(path("<uuid:u>/", view), prefix_default_language=False),
        re_path(r"^old/(?P<rest>.*)$", view),
        re_path("anywhere", view),
        re_path("^open", view),
    ]
    made = endpoints(urlpatterns)
    assert [e.template for e in made] == [
        "/orders/{id:int}/{s}/{rest:path}",
        "/orders/{id:int}/{y}/{kind}/{}.{f}/",
        "/orders/{id:int}/",
        "/{language}/{u:uuid}/",
        "/old/{rest}",
        "/anywhere",
        "/open",
    ]
    assert [e.segments for e in made] == [
        ["", "orders", None, None, ...],
        ["", "orders", None, None, None, None, ""],
        ["", "orders", None, ""],
        ["", None, None, ""],
        ["", "old", ...],
        ["", ...],
        ["", ...],
    ]
    assert {e.methods for e in made} == {None}


def test_ids_are_unique_and_the_same_every_time() -> None:
    a, b = views(2)
    inner = [path("x/", a), path("x/", a)]
    urlpatterns = [
        path("1/", include(inner)),
        path("2/", include(inner)),
        re_path(r"^(?P<x>\d+)$", b),
        re_path(r"^(?P<x>\w+)$", b),
    ]
    urlpatterns += [path("1/", include(inner))]
    ids = [e.id for e in endpoints(urlpatterns)]
    assert ids == [
        "* /1/x/",
        "* /1/x/ 1/x/",
        "* /2/x/",
        "* /2/x/ 2/x/",
        "* /{x}",
        r"* /{x} ^(?P<x>\w+)$",
        "* /1/x/ 1/x/ #2",
        "* /1/x/ 1/x/ #3",
    ]
    assert len({e.key for e in endpoints(urlpatterns)}) == len(ids)
    assert ids == [e.id for e in endpoints(urlpatterns)]


def test_class_based_views_keep_their_class() -> None:
    class Orders(View):
        pass

    (endpoint,) = endpoints([path("a", Orders.as_view())])
    assert endpoint.view.view_class is Orders


def test_a_urlconf_that_includes_itself(caplog: pytest.LogCaptureFixture) -> None:
    (view,) = views(1)
    inner: list[Any] = [path("a/", view)]
    inner.append(path("deeper/", include(inner)))
    assert [e.template for e in endpoints([path("in/", include(inner))])] == ["/in/a/"]
    assert "includes itself" in caplog.text


def test_a_pattern_of_its_own_kind() -> None:
    class Evens(RoutePattern):
        def match(self, path: str) -> Any:
            return ("", (), {"n": path}) if path.isdigit() and int(path) % 2 == 0 else None

    class Bare:
        """Has nothing but what Django calls."""

        converters: ClassVar[dict[str, Any]] = {}
        name = None

        def match(self, path: str) -> Any:
            return (path[4:], (), {}) if path.startswith("bare") else None

        def __str__(self) -> str:
            return ""

    view, other = views(2)
    urlpatterns = [URLPattern(Evens("", is_endpoint=True), view), URLResolver(Bare(), [path("/<int:x>", other)])]  # type: ignore[arg-type]
    assert agree(urlpatterns, "/4").params == {"n": "4"}
    assert agree(urlpatterns, "/5") is None
    assert agree(urlpatterns, "/bare/5").params == {"x": 5}
    assert agree(urlpatterns, "/bar/5") is None


@pytest.mark.parametrize(
    ("regex", "shapes"),
    [
        (r"^orders/$", ["orders/"]),
        (r"^orders/(?P<pk>[^/.]+)/$", ["orders/\0/"]),
        (r"^orders\.(?P<format>[a-z0-9]+)/?$", ["orders.\0/", "orders.\0"]),
        (r"^orders/(a|b)/\d{4}-[0-9]+/x\Z", ["orders/\0/\0-\0/x"]),
        (r"^orders/(?P<rest>.*)$", ["orders/\1"]),
        (r"^orders/((a)|b/c)", ["\1"]),
        (r"^orders", ["orders\1"]),
        (r"orders/$", ["\1"]),
        (r"(?i)^orders/$", ["\1"]),
        (r"^a/|^b", ["\1"]),
        (r"^a/?b$", ["a\1"]),
        (r"^[!-~]/$", ["\1"]),
    ],
)
def test_what_is_literal_of_a_regex(regex: str, shapes: list[str]) -> None:
    assert _regex_shapes(regex, is_end=True) == shapes


def test_a_router_of_the_rest_framework_costs_the_same_with_many_viewsets() -> None:
    class Orders(ViewSet):
        def list(self, request: Any, **kwargs: Any) -> Any:
            return _run(request._request)

        def retrieve(self, request: Any, **kwargs: Any) -> Any:
            return _run(request._request)

    router = DefaultRouter()
    for number in range(50):
        router.register(f"orders{number}", Orders, basename=f"orders{number}")
    urlpatterns = [path("api/", include(router.urls))]
    assert agree(urlpatterns, "/api/orders7/") is not None
    assert agree(urlpatterns, "/api/orders7/5/").params == {"pk": "5"}
    assert agree(urlpatterns, "/api/orders7/5.json").params == {"pk": "5", "format": "json"}
    with override_settings(ROOT_URLCONF=Urls(urlpatterns)):
        assert len(DjangoTable("wsgi")._trie.candidates(["", "api", "orders7", "5", ""])) < 5
