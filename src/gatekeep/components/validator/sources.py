"""Sources: what a schema may be given as: a JSON Schema, a file, a pydantic model, a dataclass, a msgspec type → the schema."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .documents import SchemaMistake, read_file
from .violations import shown

__all__ = ["Given", "given"]

_MODELS = "2020-12"
"""The draft that pydantic and msgspec write."""
_OF_MODELS = ("model_json_schema", "__struct_config__", "__dataclass_fields__")
"""What only models have: those of pydantic and msgspec, and dataclasses."""


class Given(NamedTuple):
    """A schema, the draft that it is written in (None: the spec's), and the URI that its references are relative to."""

    schema: Any
    draft: str | None = None
    base: str = ""


def given(source: Any) -> Given:
    """A schema out of whatever stands for one. Raises SchemaMistake."""
    if isinstance(source, (Mapping, bool)):
        return Given(source)
    if isinstance(source, (str, os.PathLike)):
        if isinstance(source, str) and not os.path.isfile(source.partition("#")[0]):
            raise SchemaMistake(
                f"{shown(source)!r} is taken for the path of a file, as all text is, and there is no such file: "
                'write the schema itself as a mapping, such as {"type": "object"}'
            )
        return _file(os.fspath(source))
    if not isinstance(source, type) and any(hasattr(source, name) for name in _OF_MODELS):
        kind = type(source).__name__
        raise SchemaMistake(f"an instance of {kind} is no schema: give the class itself, {kind}")
    if hasattr(source, "model_json_schema"):
        return Given(source.model_json_schema(mode="validation"), _MODELS)
    if hasattr(source, "__struct_config__"):
        return Given(_by_msgspec(source), _MODELS)
    if isinstance(source, type) or hasattr(source, "__origin__") or hasattr(source, "__args__"):
        return Given(_by_type(source), _MODELS)
    raise SchemaMistake(f"{source!r} is no schema: give a mapping, a path, a pydantic model, a dataclass or a msgspec type")


def _file(text: str) -> Given:
    name, _, fragment = text.partition("#")
    path = Path(name).resolve()
    base = path.as_uri()
    if fragment:
        return Given({"$ref": f"{base}#{fragment}"}, None, "file:")
    return Given(read_file(path), None, base)


def _by_type(source: Any) -> Any:
    # Whoever has both uses pydantic, as its framework most likely does.
    if "msgspec" in sys.modules and _holds_struct(source):
        return _by_msgspec(source)
    try:
        from pydantic import PydanticUserError, TypeAdapter
        from pydantic.errors import PydanticSchemaGenerationError
    except ImportError:
        return _by_msgspec(source)
    try:
        return TypeAdapter(source).json_schema(mode="validation")
    except (PydanticUserError, PydanticSchemaGenerationError) as error:
        raise SchemaMistake(f"pydantic makes no schema of {source!r}: {str(error)[:200]}") from None


def _holds_struct(source: Any) -> bool:
    return hasattr(source, "__struct_config__") or any(map(_holds_struct, getattr(source, "__args__", ())))


def _by_msgspec(source: Any) -> Any:
    try:
        import msgspec
    except ImportError:
        raise SchemaMistake(f"{source!r} takes pydantic or msgspec to become a schema; neither is installed") from None
    try:
        return msgspec.json.schema(source)
    except TypeError as error:
        raise SchemaMistake(f"msgspec makes no schema of {source!r}: {str(error)[:200]}") from None
