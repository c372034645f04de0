"""Django's URLconf as a Resolver: every URLPattern, with the includes that lead to it.

Django takes the first pattern, in order and depth first, whose whole chain of includes matches. The chains go into a
SegmentTrie in that order, by what of their texts is literal; the first candidate whose patterns match one after the other,
each called as Django calls it, is the one Django will run.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import get_path_info
from django.http import HttpRequest
from django.http.cookie import parse_cookie
from django.middleware.locale import LocaleMiddleware
from django.urls import converters, get_resolver
from django.urls.resolvers import LocalePrefixPattern, RegexPattern, RoutePattern
from django.utils import translation
from django.utils.module_loading import import_string

from ..effects import Protocol as Wire
from ..message import Request
from ..routing import Endpoint, Found
from ..trie import Segment, SegmentTrie

__all__ = ["Chain", "DjangoTable", "key_of", "path_below"]

_log = logging.getLogger("gatekeep.django")

Chain = Sequence[Any]
"""The URLResolvers of the includes, from the outside, and the URLPattern."""


def key_of(chain: Chain, view: object) -> tuple[int, ...]:
    """What tells an endpoint from every other: one URLPattern is another endpoint under each include that leads to it."""
    return (id(view), *map(id, chain))


class DjangoTable:
    """The ROOT_URLCONF as it is now: `find` gives the endpoint that Django itself will run, None for its 404."""

    endpoints: Sequence[Endpoint]
    by_path: bool

    def __init__(self, protocol: Wire) -> None:
        self._path = _path_of[protocol]
        root = get_resolver()
        chains = list(_chains(root, ()))
        with translation.override(settings.LANGUAGE_CODE):
            self.endpoints = _endpoints(chains)
        self._trie: SegmentTrie[_Candidate] = SegmentTrie()
        for chain, endpoint in zip(chains, self.endpoints, strict=True):
            candidate = _Candidate(endpoint, chain)
            for segments in _segments(chain):
                self._trie.add(segments, candidate)
        patterns = [step.pattern for chain in chains for step in chain]
        self._locale = _locale_middleware() if any(map(_is_translated, patterns)) else None
        self.by_path = all(map(_is_pure, patterns)) and not settings.FORCE_SCRIPT_NAME

    def find(self, request: Request) -> Found | None:
        path = self._path(request)
        if not path.startswith("/"):
            return None
        try:
            if self._locale is None:
                return self._first(path)
            with translation.override(translation.get_language()):  # put back at the end
                self._locale.process_request(_for_locale(request, path))
                return self._first(path)
        except Exception:
            # A converter failed: Django will come to the same end, and runs no view then. If it does, the guard refuses.
            return None

    def _first(self, path: str) -> Found | None:
        for candidate in self._trie.candidates(path.split("/")):
            params = candidate.match(path[1:])
            if params is not None:
                return Found(candidate.endpoint, params)
        return None


def _chains(resolver: Any, above: Chain) -> Iterator[Chain]:
    for pattern in resolver.url_patterns:
        chain = (*above, pattern)
        if not hasattr(pattern, "url_patterns"):
            yield chain
        elif any(outer.url_patterns is pattern.url_patterns for outer in above):
            _log.warning("the URLconf at %s includes itself: what lies deeper is refused", pattern.pattern)
        else:
            yield from _chains(pattern, chain)


def _endpoints(chains: Sequence[Chain]) -> list[Endpoint]:
    endpoints: list[Endpoint] = []
    taken: set[str] = set()
    for chain in chains:
        text = "".join(_text(step.pattern) for step in chain)
        names = itertools.chain([None, text], (f"{text} #{number}" for number in itertools.count(2)))
        made = (
            Endpoint(
                template="/" + "".join(_template(step.pattern) for step in chain),
                methods=None,  # views decide
                view=chain[-1].callback,
                key=key_of(chain, chain[-1].callback),
                name=name,
                segments=_segments(chain)[0],
            )
            for name in names
        )
        endpoint = next(candidate for candidate in made if candidate.id not in taken)
        taken.add(endpoint.id)
        endpoints.append(endpoint)
    return endpoints


# The path and the language, as Django sees them.


def _wsgi_path(request: Request) -> str:
    path = request.path if request.path.isascii() else get_path_info(request.native)
    return path or "/"


def _asgi_path(request: Request) -> str:
    forced: str | None = settings.FORCE_SCRIPT_NAME
    path: str = request.native["path"]
    if not _WHOLE_SEGMENTS and not forced:
        return request.path
    return path_below(forced or request.root_path, path)


def path_below(root: str, path: str) -> str:
    """What is left of a scope's path below its root_path, as this Django's requests have it."""
    if not _WHOLE_SEGMENTS:
        return path.removeprefix(root)
    prefix = root.rstrip("/")
    return path[len(prefix) :] if path == prefix or path.startswith(f"{prefix}/") else path


_WHOLE_SEGMENTS = "removeprefix" not in ASGIRequest.__init__.__code__.co_names
"""Whether this Django takes a root_path off where a segment ends; 5.2 does within one, too, and then leads nowhere."""


_path_of: Mapping[Wire, Callable[[Request], str]] = {"wsgi": _wsgi_path, "asgi": _asgi_path}


def _is_translated(pattern: Any) -> bool:
    return isinstance(pattern, LocalePrefixPattern) or not isinstance(_source(pattern), str)


def _is_pure(pattern: Any) -> bool:
    """Whether the path alone decides: a converter of the project's own may ask a database."""
    return (
        type(pattern) in (RoutePattern, RegexPattern)
        and isinstance(_source(pattern), str)
        and all(type(converter) in _CONVERTERS for converter in pattern.converters.values())
    )


def _locale_middleware() -> LocaleMiddleware | None:
    """Who chooses the language that patterns are matched in; None where it is the one that is active anyway."""
    classes = [import_string(name) for name in settings.MIDDLEWARE]
    if any(isinstance(each, type) and issubclass(each, LocaleMiddleware) for each in classes):
        return LocaleMiddleware(lambda request: request)
    return None


def _for_locale(request: Request, path: str) -> HttpRequest:
    native = HttpRequest()
    native.path_info = path
    native.COOKIES = parse_cookie(request.header("cookie") or "")
    native.META["HTTP_ACCEPT_LANGUAGE"] = request.header("accept-language") or ""
    return native


# Matching.


class _Candidate:
    """One chain; `match` takes a path without its first slash, as the root resolver hands it on."""

    __slots__ = ("_steps", "endpoint")

    def __init__(self, endpoint: Endpoint, chain: Chain) -> None:
        self.endpoint = endpoint
        self._steps = tuple(_step(each.pattern) for each in chain if not _is_void(each.pattern) or each is chain[-1])

    def match(self, path: str) -> Mapping[str, Any] | None:
        """The named parameters, converted, or None."""
        params: dict[str, Any] = {}
        for step in self._steps:
            found = step(path)
            if found is None:
                return None
            path, _, captured = found
            if captured:
                params.update(captured)
        return params


_Step = Callable[[str], "tuple[str, Sequence[Any], Mapping[str, Any]] | None"]


def _is_void(pattern: Any) -> bool:
    return type(pattern) in (RoutePattern, RegexPattern) and _source(pattern) == ""


def _step(pattern: Any) -> _Step:
    """The pattern's own `match`, or a quicker one of the same outcome for a text without parameters."""
    text, is_end = _source(pattern), getattr(pattern, "_is_endpoint", None)
    if type(pattern) is not RoutePattern or not isinstance(text, str) or pattern.converters or is_end is None:
        return pattern.match  # type: ignore[no-any-return]
    if is_end:
        return lambda path: ("", (), {}) if path == text else None
    return lambda path: (path[len(text) :], (), {}) if path.startswith(text) else None


# Texts: what of a pattern is literal, and how it reads.

_CONVERTERS = frozenset(type(converter) for converter in converters.DEFAULT_CONVERTERS.values())
_PARAMETER = re.compile(r"<(?:([^>:]+):)?([^>]+)>")
_KINDS = {"int": ":int", "uuid": ":uuid", "path": ":path"}
_ONE, _REST = "\0", "\1"
"""Stand for any text within one segment, and for any text at all."""


def _source(pattern: Any) -> Any:
    """The text that a pattern was made of: a str, or a lazy translation; None if there is none to be had."""
    return getattr(pattern, "_route", getattr(pattern, "_regex", None))


def _text(pattern: Any) -> str:
    return "{language}/" if isinstance(pattern, LocalePrefixPattern) else str(pattern)


def _template(pattern: Any) -> str:
    if isinstance(pattern, RoutePattern):
        return _PARAMETER.sub(lambda found: f"{{{found[2]}{_KINDS.get(found[1], '')}}}", str(pattern))
    return _readable(str(pattern)) if isinstance(pattern, RegexPattern) else _text(pattern)


def _segments(chain: Chain) -> list[list[Segment]]:
    """What every path of the chain fits, the usual form first: a language prefix or a last slash may be left out."""
    shapes = itertools.product(*(_shapes(step.pattern) for step in chain))
    return [_split("/" + "".join(shape)) for shape in shapes]


def _split(shape: str) -> list[Segment]:
    segments: list[Segment] = []
    for part in shape.split("/"):
        if _REST in part:
            return [*segments, ...]
        segments.append(None if _ONE in part else part)
    return segments


def _shapes(pattern: Any) -> list[str]:
    if type(pattern) is LocalePrefixPattern:
        return [_ONE + "/"] if pattern.prefix_default_language else [_ONE + "/", ""]
    source = _source(pattern)
    if type(pattern) is RoutePattern and isinstance(source, str):
        return [_PARAMETER.sub(lambda found: _ONE if _is_one_segment(pattern.converters[found[2]]) else _REST, source)]
    if type(pattern) is RegexPattern and isinstance(source, str):
        return _regex_shapes(source, getattr(pattern, "_is_endpoint", False))
    return [_REST]


def _is_one_segment(converter: Any) -> bool:
    return type(converter) in (converters.IntConverter, converters.UUIDConverter) or _within_segment(converter.regex)


# Regular expressions: only the simple ones are understood; whatever else is there may match anything.

_LITERAL = re.compile(r"([\w/~@%=:;,&!'\"<> -]|\\[^\w\s])(?![*+?{])")
_GROUP = re.compile(r"\((?:\?P<\w+>|(?!\?))([^()]*)\)(?![*+?{])")
_ATOM = re.compile(r"(\[\^?\]?(?:\\.|[^\]\\])*\]|\\[dw.+@-]|[\w-])(?:(?:[*+?]|\{\d+(?:,\d*)?\})\??)?")
_END = re.compile(r"(/\?)?(?:\$|\\Z)")


def _within_segment(regex: str) -> bool:
    """Whether a regex surely matches no slash."""
    for alternative in regex.split("|"):
        position = 0
        while position < len(alternative):
            atom = _ATOM.match(alternative, position)
            if atom is None or re.match(atom[1], "/"):
                return False
            position = atom.end()
    return True


def _regex_shapes(regex: str, is_end: bool) -> list[str]:
    if not regex.startswith("^"):
        return [_REST]  # Django searches: it may begin anywhere
    shape, position = "", 1
    while position < len(regex):
        if literal := _LITERAL.match(regex, position):
            shape += literal[1][-1]
            position = literal.end()
        elif (group := _GROUP.match(regex, position)) and _within_segment(group[1]):
            shape += _ONE
            position = group.end()
        elif (atom := _ATOM.match(regex, position)) and _within_segment(atom[0]):
            shape += _ONE
            position = atom.end()
        else:
            break
    rest = regex[position:]
    end = _END.fullmatch(rest)
    if end is not None:
        return [shape + "/", shape] if end[1] else [shape]
    if "|" in rest:
        return [_REST]  # what stands before it may be one alternative of several
    return [shape] if not rest and not is_end else [shape + _REST]


_NAMED = re.compile(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)")
_UNNAMED = re.compile(r"\((?:[^()]|\([^()]*\))*\)")


def _readable(regex: str) -> str:
    """A regex as a template, simplified: named groups as {name}, others as {}, anchors and the like left out."""
    return re.sub(r"\\Z|[\\^$?*+]", "", _UNNAMED.sub("{}", _NAMED.sub(r"{\1}", regex)))
