"""Documents: the schemas that references may lead to, by URI: given, read from files, or the drafts' own. None is fetched.

Everything is read at start-up, while Reach follows the references; what a reference leads to at run time is what it led to then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from jsonschema_specifications import REGISTRY as SPECIFICATIONS
from referencing import Registry, Resource, Specification
from referencing.exceptions import NoSuchResource

from ...errors import to_install

__all__ = ["Documents", "SchemaMistake", "copied", "read_file"]

_MAX_FILE = 10 * 1024 * 1024


class SchemaMistake(ValueError):
    """A schema that can't be used; the text says why."""


def copied(document: Any) -> Any:
    """A copy of what JSON can say: what the caller does to the original later changes nothing. Raises SchemaMistake."""
    try:
        return json.loads(json.dumps(document, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise SchemaMistake(f"it is not JSON: {error}") from None


def read_file(path: Path) -> Any:
    """A JSON file, or with PyYAML installed (the extra `formats`) a YAML one. Raises SchemaMistake."""
    try:
        if path.stat().st_size > _MAX_FILE:
            raise SchemaMistake(f"{path.name} is larger than {_MAX_FILE} bytes")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SchemaMistake(f"{path} can't be read: {error}") from None
    try:
        if path.suffix.lower() not in (".yaml", ".yml"):
            return json.loads(text)
        import yaml
    except ValueError as error:
        raise SchemaMistake(f"{path} is not JSON: {error}") from None
    except ImportError:
        raise SchemaMistake(f"{path} is YAML, which takes PyYAML to read: {to_install('formats')}") from None
    try:
        return yaml.load(text, _yaml_loader(yaml))  # noqa: S506
    except (yaml.YAMLError, RecursionError) as error:
        raise SchemaMistake(f"{path} is not YAML: {error}") from None


def _yaml_loader(yaml: Any) -> Any:
    """The safe loader with JSON's types only: a date stays the text that it is, and names of members are text."""

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            return {str(name): value for name, value in super().construct_mapping(node, deep).items()}

    Loader.yaml_implicit_resolvers = {
        first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader


class Documents:
    """One schema and what it may refer to. `base` is the URI that its references are relative to.

    The documents `given` are copied, unless they are ours to share among many schemas.
    """

    def __init__(
        self,
        root: Any,
        specification: Specification[Any],
        *,
        base: str = "",
        given: Mapping[str, Any] | None = None,
        shared: bool = False,
    ) -> None:
        self.root = root
        self.specification = specification
        self._base = base
        self._shared = shared
        self._given = {urldefrag(uri)[0]: document for uri, document in (given or {}).items()}
        self._read: dict[str, Resource[Any]] = {}
        resource = specification.create_resource(root)
        self._uri = urljoin(base, resource.id() or "") if isinstance(root, Mapping) else base
        registry: Registry[Any] = Registry(retrieve=self._retrieve)  # type: ignore[call-arg]
        self.registry = registry.with_resources([(base, resource), (self._uri, resource)])

    def _retrieve(self, uri: str) -> Resource[Any]:
        known = self._read.get(uri)
        if known is None:
            known = self._read[uri] = self.specification.create_resource(self._find(uri))
        return known

    def _find(self, uri: str) -> Any:
        if uri in self._given:
            return self._given[uri] if self._shared else copied(self._given[uri])
        for key in (uri, f"{uri}#"):
            if key in SPECIFICATIONS:
                return copied(SPECIFICATIONS[key].contents)
        if uri.startswith("file:") and self._base.startswith("file:"):
            return copied(read_file(Path(unquote(urlsplit(uri).path))))
        raise NoSuchResource(ref=uri)  # type: ignore[call-arg]

    def find(self, uri: str) -> Any:
        """A whole document. Raises NoSuchResource."""
        return self.registry.get_or_retrieve(urldefrag(uri)[0]).value.contents

    def resolver(self) -> Any:
        """What resolves the references of the root."""
        return self.registry.resolver(base_uri=self._uri)

    def freeze(self) -> None:
        """From here on nothing is read any more: all that references lead to is there."""
        registry: Registry[Any] = Registry()
        root = self.specification.create_resource(self.root)
        self.registry = registry.with_resources([*self._read.items(), (self._base, root), (self._uri, root)]).crawl()
