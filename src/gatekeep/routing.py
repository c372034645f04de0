"""Routes: Route (a pattern with specs), Endpoint (what the app's own table leads to), and what a resolver of these has found."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias

from .component import Spec, caller, check_specs
from .errors import ConfigurationError
from .message import Request
from .template import Template
from .trie import Segment

__all__ = ["Endpoint", "Found", "Params", "Resolver", "Route"]

Params: TypeAlias = Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None


_NAMED = re.compile(r"\{(\w+)")


class Endpoint:
    """A place in the app that a request can end at: one framework route, or for an opaque app a set of Route entries.

    `key` is what the guard compares for equality with the framework's own match. `handshake` marks WebSocket routes.
    """

    __slots__ = ("handshake", "id", "key", "methods", "params", "segments", "template", "view")

    def __init__(
        self,
        *,
        template: str,
        methods: Collection[str] | None,
        view: object,
        key: object,
        handshake: bool = False,
        name: str | None = None,
        segments: Sequence[Segment] = (...,),
        params: Iterable[str] = (),
    ) -> None:
        self.template = template
        self.segments = segments
        """As the trie has them, mounts included: every path of the endpoint fits them."""
        self.methods = frozenset(methods) if methods is not None else None
        self.view = view
        self.key = key
        self.handshake = handshake
        verbs = "WS" if handshake else ",".join(sorted(self.methods)) if self.methods is not None else "*"
        self.id = f"{verbs} {template}" if name is None else f"{verbs} {template} {name}"
        """The same in every process; the adapter passes `name` where verbs and template alone would not be unique."""
        self.params = frozenset(_NAMED.findall(f"{template} {name or ''}")).union(params)
        """The names of its path parameters; the adapter passes those that neither template nor name has, such as defaults."""

    def __repr__(self) -> str:
        return f"<Endpoint {self.id}>"


class Found(NamedTuple):
    endpoint: Endpoint
    params: Params


class Resolver(Protocol):
    """A framework's route table, compiled: picks the endpoint that the framework itself will run, or None."""

    endpoints: Sequence[Endpoint]
    by_path: bool
    """Whether method, path, root path and handshake alone decide; what was found may then be remembered."""

    def find(self, request: Request) -> Found | None: ...


class Route:
    """A policy on paths: the route table of an app that has none, or an extra layer over many framework routes.

    `methods` None means every method; GET takes HEAD along. Paths with dot segments, encoded slashes and the like are
    refused with 400 where a Route decides, unless `allow_ambiguous_paths`.
    """

    as_spec: ClassVar[str] = "routes=[{}(...)]"

    def __init__(
        self,
        path: str,
        *specs: Spec,
        methods: Collection[str] | None = None,
        allow_ambiguous_paths: bool = False,
    ) -> None:
        self.origin = caller()
        foreign = re.search(r"<[^<>]*>|\*", path)
        if foreign is not None:
            raise ConfigurationError(
                f"Route: {path!r}: {foreign[0]} would stand for itself alone", origin=self.origin, fix=f'"{_respelled(path)}"'
            )
        try:
            self.template = Template(path)
        except ValueError as error:
            raise ConfigurationError(f"Route: {error}", origin=self.origin) from None
        if isinstance(methods, str):
            raise ConfigurationError(
                f"Route: methods={methods!r} is a string", origin=self.origin, fix=f"write methods={{{methods!r}}}"
            )
        check_specs(specs, "Route(path, *specs)", self.origin)
        verbs = None if methods is None else {method.upper() for method in methods}
        if verbs is not None and "GET" in verbs:
            verbs.add("HEAD")
        self.path = path
        self.specs = specs
        self.methods = None if verbs is None else frozenset(verbs)
        self.allow_ambiguous_paths = allow_ambiguous_paths

    def allows(self, method: str) -> bool:
        """Whether the policy is meant for this method (upper case)."""
        return self.methods is None or method in self.methods

    def __repr__(self) -> str:
        return f"Route({self.path!r})"


_CONVERTER = re.compile(r"<(?:(int|float|uuid|path)\s*:|[^<>:]*:)?\s*([^<>]*)>")


def _respelled(path: str) -> str:
    """A path of another pattern language in the words of ours, as well as can be guessed."""
    named = _CONVERTER.sub(lambda found: f"{{{found[2]}:{found[1]}}}" if found[1] else f"{{{found[2]}}}", path)
    return re.sub(r"\*", "{name}", re.sub(r"\*+$", "{rest:path}", named))
