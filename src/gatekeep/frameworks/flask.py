"""Flask: the app's url_map as a Resolver, the guard around `full_dispatch_request`, the gateway around `wsgi_app`.

Werkzeug tries its rules in a fixed order: a tree of path parts, static before dynamic, dynamic by weight, with backtracking.
The tree is read once, in that order, into a SegmentTrie; the first candidate that fits is the one Flask will run. What
depends on more than method and path (host and subdomain matching, WebSocket rules, redirecting rules) is asked of
werkzeug's own matcher, as is everything where an app or a later werkzeug does its matching in another way.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import flask
from werkzeug.routing import (
    AnyConverter,
    FloatConverter,
    IntegerConverter,
    Map,
    PathConverter,
    Rule,
    UnicodeConverter,
    UUIDConverter,
    ValidationError,
)

from ..component import caller
from ..effects import Protocol as Wire
from ..errors import ConfigurationError
from ..message import Request
from ..routing import Endpoint, Found
from ..trie import Segment, SegmentTrie
from . import Guard

__all__ = ["FlaskAdapter", "FlaskTable"]

_EXTENSION = "gatekeep.guard"
"""Where Flask keeps what belongs to an extension: `app.extensions`."""

_PLAIN_CONVERTERS = (UnicodeConverter, PathConverter, AnyConverter, UUIDConverter)
_NUMBERS = (IntegerConverter, FloatConverter)
"""They may reject a text which fits their pattern; Flask then answers 404, and tries no other rule."""
_MAX_DIGITS = 4_000
"""Python itself rejects integers from 4,300 digits on."""


class FlaskAdapter:
    """One Flask app: `read` its rules, `arm` its dispatch, `install` a gateway in place."""

    protocol: Wire = "wsgi"
    exposed = True

    def __init__(self, app: Any) -> None:
        self.app: flask.Flask = app

    def read(self) -> FlaskTable:
        """Compile `app.url_map` and `app.view_functions` as they are now."""
        return FlaskTable(self.app)

    def document(self) -> Mapping[str, Any] | None:
        """This framework describes no app."""
        return None

    def arm(self, guard: Guard) -> None:
        """Guard every request that has an endpoint before any hook, preprocessor or view runs, whatever is added later.

        The refusal is returned from `full_dispatch_request`, outside of the app's error handlers and after_request hooks.
        404, 405 and redirects have no endpoint and stay the app's. Raises ConfigurationError behind another gateway.
        """
        app = self.app
        code: Any = getattr(inspect.unwrap(flask.Flask.wsgi_app), "__code__", None)
        is_own = getattr(code, "co_filename", None) == flask.app.__file__  # what others put around it can't be looked into
        if is_own and "full_dispatch_request" not in code.co_names:
            raise ConfigurationError(
                "this Flask does not dispatch through Flask.full_dispatch_request(), where the guard stands",
                fix="use a version of Flask that gatekeep supports",
            )
        armed = app.extensions.get(_EXTENSION)
        if armed is guard:
            return
        if armed is not None:
            raise ConfigurationError(
                f"{app!r} stands behind another gateway already", origin=caller(), fix="one gateway per Flask app"
            )
        dispatch = app.full_dispatch_request
        context: ContextVar[Any] = flask.request.__wrapped__  # type: ignore[attr-defined]

        @functools.wraps(dispatch)
        def guarded(*args: Any, **kwargs: Any) -> flask.Response:
            request = context.get().request
            rule = request.url_rule
            if rule is not None:
                environ = request.environ
                exchange = environ.get("gatekeep")
                admits = guard.admits(exchange, _key(app, rule), request.method, environ.get("PATH_INFO") or "/")
                if not admits and not guard.lifted:
                    answer = guard.refuse(exchange, f"the Flask endpoint {rule.endpoint!r} at {rule.rule!r}")
                    return flask.Response(answer.body, answer.status, answer.headers.text())
            return dispatch(*args, **kwargs)

        app.extensions[_EXTENSION] = guard
        app.full_dispatch_request = guarded  # type: ignore[method-assign]

    def install(self, wrap: Callable[[Any], Any]) -> None:
        """Make `wrap(app.wsgi_app)` the app's own `wsgi_app`: servers, `flask run` and `app.test_client()` go through it."""
        self.app.wsgi_app = wrap(self.app.wsgi_app)  # type: ignore[method-assign]


def _key(app: flask.Flask, rule: Rule) -> tuple[int, int]:
    # Rules compare equal when their texts do, whatever their methods: identity it is. The view is in it because an app may
    # replace a view function, whose policy is then not the compiled one.
    return (id(rule), id(app.view_functions.get(rule.endpoint)))


class FlaskTable:
    """A Flask app's rules, compiled: `find` gives the endpoint that Flask itself will run, None for its 404, 405, redirects."""

    endpoints: Sequence[Endpoint]
    by_path: bool

    def __init__(self, app: flask.Flask) -> None:
        self._app = app
        self._rules = [rule for rule in app.url_map.iter_rules() if not rule.build_only]
        self.endpoints = _endpoints(app, self._rules)
        self._by_rule = {id(rule): endpoint for rule, endpoint in zip(self._rules, self.endpoints, strict=True)}
        redirecting = {rule.endpoint for rule in self._rules if rule.defaults and app.url_map.redirect_defaults}
        self._asking = {
            id(rule) for rule in self._rules if rule.alias or rule.redirect_to is not None or rule.endpoint in redirecting
        }
        """Rules whose match may end in a redirect: werkzeug knows."""
        self._has_websockets = any(rule.websocket for rule in self._rules)
        self._trie = self._compile() if _matches_plainly(app) else None
        self.by_path = self._trie is not None and not self._asking and not self._has_websockets
        converters = (converter for rule in self._rules for converter in _converters(rule).values())
        self._context: Callable[[], Any] = (
            contextlib.nullcontext
            if all(type(converter) in (*_PLAIN_CONVERTERS, *_NUMBERS) for converter in converters)
            else app.app_context
        )
        """What werkzeug's matcher is asked in: an app's own converters may want its context."""

    def _compile(self) -> SegmentTrie[_Candidate] | None:
        url_map = self._app.url_map
        root = url_map._matcher._root
        if root.dynamic:  # a subdomain with a variable in it
            return None
        trie: SegmentTrie[_Candidate] = SegmentTrie()
        domain = root.static.get(url_map.default_subdomain or "")
        for parts, rule, slash in _in_order(domain, ()) if domain is not None else ():
            if not rule.websocket:
                candidate = _Candidate(self._by_rule[id(rule)], rule, parts, slash, asks=id(rule) in self._asking)
                trie.add(_segments(parts), candidate)
        return trie

    def find(self, request: Request) -> Found | None:
        # A Host that Flask answers with 400, and an upgrade that no rule takes, run no view either way.
        trie = self._trie
        if trie is None or (self._has_websockets and "HTTP_UPGRADE" in request.native):
            return self._ask(request)
        path, method = _routed_path(request.path), request.method.upper()
        for candidate in trie.candidates(path.split("/")):
            if candidate.methods is None or method in candidate.methods:
                values = candidate.match(path)
                if values is not None:
                    return self._ask(request) if candidate.asks else candidate.found(path, values)
        return None

    def _ask(self, request: Request) -> Found | None:
        app = self._app
        try:
            with self._context():
                adapter = app.create_url_adapter(app.request_class(request.native))
                if adapter is None:
                    return None
                rule, values = adapter.match(request.path, request.method, return_rule=True)
        except Exception:
            # A 404, 405 or redirect, a host that is refused, or a converter that fails: Flask will come to the same end,
            # and has no endpoint then. If it does come to one, the guard refuses it.
            return None
        endpoint = self._by_rule.get(id(rule))
        return Found(endpoint, values) if endpoint is not None else None


def _routed_path(path: str) -> str:
    # As MapAdapter.match has it: any number of leading slashes counts as one.
    return "/" + path.lstrip("/") if path else ""


def _matches_plainly(app: flask.Flask) -> bool:
    """Whether werkzeug's own matcher decides by method and path alone, and is built as we know it."""
    url_map = app.url_map
    return (
        type(url_map) is Map
        and type(app).create_url_adapter is flask.Flask.create_url_adapter
        and hasattr(getattr(url_map, "_matcher", None), "_root")
        and all(hasattr(rule, "_parts") for rule in url_map.iter_rules())
        and not url_map.host_matching
        and not app.subdomain_matching
        and app.config.get("TRUSTED_HOSTS") is None
    )


def _converters(rule: Rule) -> Mapping[str, Any]:
    return getattr(rule, "_converters", None) or {}


# Endpoints.

_VARIABLE = re.compile(r"<(?:(\w+)(?:\(.*?\))?:)?(\w+)>")
_KINDS = {"int": ":int", "float": ":float", "uuid": ":uuid", "path": ":path"}


def _template(rule: Rule) -> str:
    text = re.sub("/{2,}", "/", rule.rule) if rule.merge_slashes else rule.rule
    return _VARIABLE.sub(lambda found: f"{{{found[2]}{_KINDS.get(found[1], '')}}}", text)


def _endpoints(app: flask.Flask, rules: Sequence[Rule]) -> list[Endpoint]:
    endpoints: list[Endpoint] = []
    taken: set[str] = set()
    for rule in rules:
        domain = (rule.host if app.url_map.host_matching else rule.subdomain) or ""
        make = functools.partial(
            Endpoint,
            template=_template(rule),
            methods=rule.methods,
            view=app.view_functions.get(rule.endpoint),
            key=_key(app, rule),
            handshake=rule.websocket,
            segments=_segments(rule._parts[1:]) if hasattr(rule, "_parts") and not domain else (...,),
            params=rule.arguments,  # those with a default too
        )
        names = _names(domain, rule.endpoint)
        endpoint = next(made for name in names if (made := make(name=name)).id not in taken)
        taken.add(endpoint.id)
        endpoints.append(endpoint)
    return endpoints


def _names(domain: str, endpoint: str) -> Iterator[str | None]:
    # What to tell rules of the same methods and template apart by, best first.
    yield domain or None
    name = f"{domain} {endpoint}".lstrip()
    yield name
    yield from (f"{name} #{number}" for number in itertools.count(2))


# Werkzeug's tree. A state holds the rules that end there, and parts that lead on: static ones by text, dynamic ones by weight.


def _in_order(state: Any, parts: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Rule, str]]:
    """Every (parts, rule, how the slash at the end is) below a state, in the order in which werkzeug's matcher tries them.

    The slash is "exact"; "missing" where the rule has one and the path has not (a redirect if the rule is strict, and that
    ends the search); or "extra", the other way round, which strict rules don't take.
    """
    for rule in state.rules:
        yield parts, rule, "exact"
    for rule in state.static[""].rules if "" in state.static else ():
        yield parts, rule, "missing"
    for text, following in state.static.items():
        yield from _in_order(following, (*parts, text))
    for part, following in state.dynamic:
        yield from _in_order(following, (*parts, part))
    for rule in state.rules:
        if not rule.strict_slashes and not (parts and getattr(parts[-1], "final", False)):
            yield (*parts, ""), rule, "extra"


def _segments(parts: Sequence[Any]) -> list[Segment]:
    segments: list[Segment] = []
    for part in parts:
        if isinstance(part, str) or part.static:
            segments.append(part if isinstance(part, str) else part.content)
        elif part.final:
            return [*segments, ...]
        else:
            segments.append(None)
    return segments


class _Candidate:
    """One way in which one rule can match. `match` tests what the trie left open: the dynamic parts."""

    __slots__ = ("_converters", "_defaults", "_redirects", "_suffix", "_sure", "_tests", "asks", "endpoint", "methods")

    def __init__(self, endpoint: Endpoint, rule: Rule, parts: Sequence[Any], slash: str, asks: bool) -> None:
        self.endpoint = endpoint
        self.methods = endpoint.methods
        self.asks = asks
        self._redirects = slash == "missing" and rule.strict_slashes
        self._tests: list[tuple[int, bool, Callable[[str], re.Match[str] | None], list[int]]] = []
        self._suffix: str | None = None
        for index, part in enumerate(parts):
            if not isinstance(part, str):
                pattern = re.compile(part.content)
                groups = [position for name, position in pattern.groupindex.items() if name.startswith("__werkzeug_")]
                self._tests.append((index, part.final, pattern.match, groups))
                if part.suffixed:
                    self._suffix = "" if slash == "missing" else "/"
        self._defaults = rule.defaults or {}
        # An app's own converters run in Flask alone: gatekeep runs no code of the app before the pipeline.
        self._converters = {
            name: converter if type(converter) in (*_PLAIN_CONVERTERS, *_NUMBERS) else None
            for name, converter in _converters(rule).items()
        }
        numbers: list[Any] = [converter for converter in self._converters.values() if type(converter) in _NUMBERS]
        bounded = any(number.fixed_digits or number.min is not None or number.max is not None for number in numbers)
        self._sure = 0 if bounded else _MAX_DIGITS if numbers else sys.maxsize
        """In paths shorter than this no converter rejects what fits its pattern, so that converting can wait."""

    def match(self, path: str) -> list[str] | None:
        """The texts of the variables, or None."""
        values: list[str] = []
        if self._tests:
            segments = path.split("/")
            for index, final, match, groups in self._tests:
                found = match("/".join(segments[index:]) if final else segments[index])
                if found is None or (final and self._suffix is not None and found[found.re.groups] != self._suffix):
                    return None
                values += [found[group] for group in groups]
        return values

    def found(self, path: str, values: list[str]) -> Found | None:
        if self._redirects:
            return None
        if not values and not self._defaults:
            return Found(self.endpoint, None)
        if len(path) < self._sure:
            return Found(self.endpoint, functools.partial(self._params, values))
        try:
            return Found(self.endpoint, self._params(values))
        except ValidationError:
            return None

    def _params(self, values: list[str]) -> Mapping[str, Any]:
        params: dict[str, Any] = {
            name: value if converter is None else converter.to_python(value)
            for (name, converter), value in zip(self._converters.items(), values, strict=False)
        }
        params.update(self._defaults)
        return params
