"""OpenAPI: a document of version 2.0, 3.0 or 3.1, read once; its operations by the template and method of a route."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urldefrag, urljoin, urlsplit

from .dialects import ANSWER, REQUEST, converted
from .documents import SchemaMistake, copied, read_file

__all__ = ["Located", "OpenApi", "Operation", "Tree"]

_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
_PARAMETER = re.compile(r"\{[^{}]*\}")
_NAME = re.compile(r"\{([^{}:]*)[^{}]*\}")
_HERE = "urn:gatekeep:openapi"
_VERSION = re.compile(r"(2\.0|3\.[012])(?:\.\d+)?(?:-.*)?")


class Located(NamedTuple):
    """A part of a document, and the URI that leads to it."""

    value: Any
    uri: str

    def child(self, *names: str | int) -> Located:
        """A part of it; its value is None where there is none."""
        value, uri = self.value, self.uri
        for name in names:
            if isinstance(value, Mapping):
                value = value.get(name)
            else:
                value = value[name] if isinstance(value, Sequence) and isinstance(name, int) else None
            uri += "/" + quote(str(name).replace("~", "~0").replace("/", "~1"), safe="")
        return Located(value, uri)


class Tree:
    """A document and the files that it refers to, their schemas converted for one direction."""

    def __init__(self, root: Any, base: str, files: Mapping[str, Any], version: str, direction: str) -> None:
        self.documents: dict[str, Any] = {base: converted(root, version, direction)}
        for uri, document in files.items():
            self.documents[uri] = converted(document, version, direction, fragment=True)
        self.checked: set[int] = set()
        """The id() of every schema that was found to be one."""
        self._base = base

    def root(self) -> Located:
        return Located(self.documents[self._base], f"{self._base}#")

    def follow(self, part: Located) -> Located:
        """What a `$ref` leads to; the part itself where it is none. Raises SchemaMistake."""
        for _ in range(100):
            if not isinstance(part.value, Mapping) or not isinstance(part.value.get("$ref"), str):
                return part
            part = self._at(_absolute(urldefrag(part.uri)[0], part.value["$ref"]), part.value["$ref"])
        raise SchemaMistake(f"{part.uri} leads in circles")

    def _at(self, uri: str, reference: str) -> Located:
        document, fragment = urldefrag(uri)
        found = Located(self.documents.get(document), f"{document}#")
        for step in fragment.split("/")[1:]:
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            found = found.child(int(name) if isinstance(found.value, list) and name.isdecimal() else name)
        if found.value is None:
            raise SchemaMistake(f"$ref {reference!r} leads nowhere that is known, and nothing is fetched")
        return found


def _absolute(base: str, reference: str) -> str:
    return base + reference if reference.startswith("#") else urljoin(base, reference)


class Operation(NamedTuple):
    """One method of one path, in both directions."""

    template: str
    method: str
    request: Located
    """Its path item's parameters come through `shared`."""
    shared: Located
    answer: Located


class OpenApi:
    """Raises SchemaMistake for what is no such document."""

    def __init__(self, source: Any) -> None:
        base = _HERE
        if isinstance(source, Path):
            base = source.resolve().as_uri()
            source = read_file(source)
        root = copied(source)
        version = root.get("openapi") or root.get("swagger") if isinstance(root, dict) else None
        found = _VERSION.fullmatch(str(version))
        if found is None:
            raise SchemaMistake("it is no OpenAPI document of version 2.0, 3.0 or 3.1")
        self.version = found[1]
        self.title = str(root.get("info", {}).get("title", "it"))
        files = _files(root, base) if base != _HERE else {}
        meaning = "3.1" if self.version == "3.2" else self.version
        self.requests = Tree(root, base, files, meaning, REQUEST)
        self.answers = Tree(root, base, files, meaning, ANSWER)
        self.made: dict[Any, Any] = {}
        """What operations have come to, for specs to keep."""
        self.root = self.requests.root()
        self._prefixes = ["", *_bases(root)]
        self._paths: dict[str, dict[str, Operation]] = {}
        for operation in self._operations():
            for prefix in self._prefixes:
                self._paths.setdefault(_shape(prefix + operation.template), {}).setdefault(operation.method, operation)

    def _operations(self) -> Iterator[Operation]:
        paths = self.root.child("paths")
        if not isinstance(paths.value or {}, Mapping):
            raise SchemaMistake("its paths are no mapping")
        for template in paths.value or {}:
            item = self.requests.follow(paths.child(template))
            answers = self.answers.follow(self.answers.root().child("paths", template))
            for name in item.value or {}:
                if name in _METHODS:
                    request, answer = item.child(name), answers.child(name)
                    yield Operation(template, name.upper(), request, item.child("parameters"), answer)

    def operations(self, template: str) -> Mapping[str, Operation]:
        """What there is for a route's template, by method; parameters may have other names there."""
        shape = _shape(template)
        return self._paths.get(shape) or self._paths.get(shape.rstrip("/") or "/", {})

    def names(self, operation: Operation, template: str) -> dict[str, str]:
        """The document's names of path parameters by the route's: by name, and for those that differ by place."""
        own, theirs = _NAME.findall(template), _NAME.findall(operation.template)
        theirs = [""] * (len(own) - len(theirs)) + theirs  # a prefix of the route's may have parameters of its own
        return {name: name if name in theirs else other for name, other in zip(own, theirs, strict=True) if other}

    def security(self, operation: Operation) -> list[Mapping[str, Sequence[str]]]:
        """The alternatives that a caller has: scopes by scheme; an empty list where nothing is asked for."""
        declared = operation.request.value.get("security", self.root.value.get("security"))
        return [each for each in declared or () if isinstance(each, Mapping)]

    def schemes(self) -> Mapping[str, Any]:
        """The security schemes by name."""
        older = self.root.value.get("securityDefinitions")
        found: Any = older if older is not None else self.root.child("components", "securitySchemes").value
        return found or {}


def _shape(template: str) -> str:
    return _PARAMETER.sub("{}", template)


def _bases(root: Mapping[str, Any]) -> list[str]:
    """The paths of its servers: routes may have them in their templates or not."""
    servers = [server for server in root.get("servers") or () if isinstance(server, Mapping)]
    found = {str(root.get("basePath", "")), *(urlsplit(str(server.get("url", ""))).path for server in servers)}
    return sorted({base.rstrip("/") for base in found} - {""})


def _files(root: Any, base: str) -> dict[str, Any]:
    """The files that a document refers to, and those that they refer to, by URI."""
    found: dict[str, Any] = {}
    waiting = [(base, root)]
    while waiting:
        here, document = waiting.pop()
        for reference in _references(document):
            uri = urldefrag(_absolute(here, reference))[0]
            if uri != base and uri not in found and uri.startswith("file:"):
                found[uri] = copied(read_file(Path(unquote(urlsplit(uri).path))))
                waiting.append((uri, found[uri]))
    return found


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, Mapping):
        reference = part.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#"):
            yield reference
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)
