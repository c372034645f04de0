"""Formats: what a JSON value is in XML, CSV, YAML and so on, and back. Bounded; nothing in a body is executed or fetched.

What these formats can say beyond JSON (dates, bytes, references, entities) is refused rather than guessed at.
"""

from __future__ import annotations

import csv
import functools
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from ... import strict_json

__all__ = ["FORMATS", "Format", "Unreadable", "Unwritable"]


class Unreadable(ValueError):
    """A body that is not what its type says, or says more than JSON can. The text is for the client, and repeats nothing."""


class Unwritable(ValueError):
    """A value that a format has no words for."""


class Format(NamedTuple):
    """One format. `types` are its media types, the one that answers are given first."""

    types: tuple[str, ...]
    loads: Callable[[bytes], Any]
    """Raises Unreadable."""
    dumps: Callable[[Any], bytes]
    """Raises Unwritable."""
    needs: str | None = None
    """The module that must be installed."""


def _sound(value: Any) -> Any:
    """The value, if it is one of JSON's within the bounds that JSON bodies have. Raises Unreadable."""
    _count(value, strict_json.MAX_VALUES)
    return value


def _count(value: Any, most: int) -> int:
    """How many values there are in one, and it is `most` at most. Raises Unreadable."""
    left, seen = [(value, 1)], 0
    while left:
        each, depth = left.pop()
        seen += 1
        kind = type(each)
        if kind is dict:
            if not all(type(name) is str for name in each):
                raise Unreadable("has a name that is no text")
            left += [(member, depth + 1) for member in each.values()]
        elif kind is list:
            left += [(item, depth + 1) for item in each]
        elif not (each is None or kind in (str, bool, int) or (kind is float and math.isfinite(each))):
            raise Unreadable("holds a value that JSON does not have")
        if depth > strict_json.MAX_DEPTH or seen + len(left) > most:
            raise Unreadable(_TOO_MUCH)
    return seen


_TOO_MUCH = "is nested too deeply or holds too many values"
_MAX_SIZE = 4_000_000
_MAX_FORM = 1_000_000
"""Bytes: what its parser makes of one."""


def _text(body: bytes, most: int = _MAX_SIZE) -> str:
    if len(body) > most:
        raise Unreadable(f"is larger than {most} bytes")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise Unreadable("is not UTF-8") from None


# JSON, and JSON by the line.


def _json_loads(body: bytes) -> Any:
    try:
        return strict_json.loads(body).value
    except strict_json.Malformed as error:
        raise Unreadable(str(error)) from None


def _lines_loads(body: bytes) -> list[Any]:
    items, left = [], strict_json.MAX_VALUES
    if body.count(b"\n") > strict_json.MAX_VALUES:
        raise Unreadable(_TOO_MUCH)
    for line in body.split(b"\n"):
        if line.strip():
            items.append(_json_loads(line))
            left -= _count(items[-1], left)
    return items


def _lines_dumps(value: Any) -> bytes:
    items = value if isinstance(value, list) else [value]
    return b"".join(strict_json.dumps(item) + b"\n" for item in items)


# Forms and CSV: names and texts. What is no text stands there as JSON.


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else strict_json.dumps(value).decode()


def _form_loads(body: bytes) -> dict[str, Any]:
    try:
        pairs = parse_qsl(
            _text(body, _MAX_FORM),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=strict_json.MAX_VALUES,
        )
    except ValueError:
        raise Unreadable("is not a form") from None
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found


def _form_dumps(value: Any) -> bytes:
    if not isinstance(value, dict):
        raise Unwritable("a form is an object")
    pairs = [
        (name, _as_text(item)) for name, member in value.items() for item in (member if isinstance(member, list) else [member])
    ]
    return urlencode(pairs).encode()


def _csv_loads(body: bytes) -> list[dict[str, str]]:
    if len(body) > _MAX_SIZE:
        raise Unreadable(f"is larger than {_MAX_SIZE} bytes")
    if b"\0" in body:
        raise Unreadable("holds a NUL")
    found: list[dict[str, str]] = []
    names: list[str] | None = None
    left = strict_json.MAX_VALUES - 1
    try:
        for row in csv.reader(_csv_lines(body), strict=True):
            if names is None:
                names = row or None
                if len(set(row)) != len(row):
                    raise Unreadable("has two columns of one name")
            elif row:
                if len(row) != len(names):
                    raise Unreadable("has a row of another length than its first")
                left -= 1 + len(row)
                if left < 0:
                    raise Unreadable(_TOO_MUCH)
                found.append(dict(zip(names, row, strict=True)))
    except csv.Error:
        raise Unreadable("is not CSV") from None
    except UnicodeDecodeError:
        raise Unreadable("is not UTF-8") from None
    return found


def _csv_lines(body: bytes) -> Iterator[str]:
    for number, line in enumerate(io.TextIOWrapper(io.BytesIO(body), "utf-8", newline="")):
        if number > strict_json.MAX_VALUES or line.count(",") > strict_json.MAX_VALUES:
            raise Unreadable(_TOO_MUCH)
        yield line


_MAX_CELLS = 5_000_000


def _csv_dumps(value: Any) -> bytes:
    rows = value if isinstance(value, list) else [value]
    if not all(isinstance(row, dict) for row in rows):
        raise Unwritable("CSV is a list of objects")
    names = list(dict.fromkeys(name for row in rows for name in row))
    if len(rows) * len(names) > _MAX_CELLS:  # each row may have names of its own
        raise Unwritable("there are too many cells")
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")  # RFC 4180 §2
    if names:
        writer.writerow(names)
    for row in rows:
        cells = [_as_text(row.get(name)) for name in names]
        if not any(cells) and len(cells) == 1:
            out.write('""\r\n')  # not the empty line that readers pass over
        else:
            writer.writerow(cells)
    return out.getvalue().encode()


# XML, by xmltodict: members are elements, lists are repeated ones, "@name" is an attribute, "#text" the text beside these.

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ROOT = "response"


def _xml_loads(body: bytes) -> Any:
    import xmltodict

    text = _text(body)
    # Without a document type there are no entities but the five of XML itself, and nothing external.
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise Unreadable("has a document type, which is not taken")
    if text.count("<") > 2 * strict_json.MAX_VALUES or text.count("=") > strict_json.MAX_VALUES // 2:
        raise Unreadable("holds too many values")
    try:
        return _sound(xmltodict.parse(text, encoding="utf-8", disable_entities=True))
    except Unreadable:
        raise
    except Exception:  # expat's errors are of several kinds
        raise Unreadable("is not XML") from None


def _xml_dumps(value: Any) -> bytes:
    import xmltodict

    if not (isinstance(value, dict) and len(value) == 1 and not isinstance(next(iter(value.values())), list)):
        value = {_ROOT: {"item": value} if isinstance(value, list) else value}
    try:
        text: str = xmltodict.unparse(_as_xml(value))
    except ValueError as error:
        raise Unwritable(str(error)) from None
    if _NOT_XML.search(text):
        raise Unwritable("XML has no such characters")
    return text.encode()


_XML_NAME = re.compile(r"@?[A-Za-z_][\w.-]*|#text")


def _as_xml(value: Any) -> Any:
    if isinstance(value, dict):
        for name in value:
            if not _XML_NAME.fullmatch(name):
                raise Unwritable(f"{name!r} is not the name of an element")
        return {name: _as_xml(member) for name, member in value.items()}
    if isinstance(value, list):
        # A list in a list has no name of its own.
        return [{"item": _as_xml(item)} if isinstance(item, list) else _as_xml(item) for item in value]
    return _as_text(value)


# MessagePack and YAML.


def _unique(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Unreadable("has a name twice in one object")
        found[name] = value
    return found


def _msgpack_loads(body: bytes) -> Any:
    import msgpack

    if len(body) > _MAX_SIZE:
        raise Unreadable(f"is larger than {_MAX_SIZE} bytes")
    left = strict_json.MAX_VALUES

    def counted(items: list[Any]) -> list[Any]:
        nonlocal left
        left -= len(items)
        if left < 0:  # told as soon as it is so: a value may take one byte, and its place in a list eight
            raise Unreadable(_TOO_MUCH)
        return items

    most = {"max_array_len": strict_json.MAX_VALUES, "max_map_len": strict_json.MAX_VALUES}
    try:
        return _sound(msgpack.unpackb(body, raw=False, strict_map_key=True, object_pairs_hook=_unique, list_hook=counted, **most))
    except Unreadable:
        raise
    except Exception:  # those of msgpack are of several kinds
        raise Unreadable("is not MessagePack") from None


def _msgpack_dumps(value: Any) -> bytes:
    import msgpack

    try:
        return msgpack.packb(value)  # type: ignore[no-any-return]
    except (OverflowError, ValueError, TypeError):
        raise Unwritable("MessagePack has no such value") from None


_MAX_YAML = 100_000
"""Bytes. Its parser is a hundred times slower than that of JSON."""


@functools.cache
def _yaml_loader() -> Any:
    """Reads the core schema of YAML 1.2 (§10.3), where `no` is a text and `012` is not ten."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as the library has it

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            return _unique(
                (self.construct_object(name, deep=True), self.construct_object(member, deep=deep)) for name, member in node.value
            )

    _add_core(Loader)
    return Loader


def _add_core(kind: Any) -> None:
    core = {
        "null": (r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
        "bool": (r"(?:true|True|TRUE|false|False|FALSE)", list("tTfF")),
        "int": (r"[-+]?(?:0|[1-9][0-9]{0,99})", list("-+0123456789")),
        "float": (r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]{1,4})?", list("-+.0123456789")),
    }
    for name, (pattern, firsts) in core.items():
        kind.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(rf"{pattern}\Z"), firsts)


def _yaml_loads(body: bytes) -> Any:
    import yaml

    text, loader, depth = _text(body, _MAX_YAML), _yaml_loader(), 0
    try:
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.AliasEvent):
                raise Unreadable("holds a reference, which is not taken")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > strict_json.MAX_DEPTH:
                raise Unreadable("is nested too deeply")
        return _sound(yaml.load(text, Loader=loader))  # noqa: S506 - made of the safe one
    except Unreadable:
        raise
    except (yaml.YAMLError, TypeError, ValueError):  # TypeError: a name that is a list; ValueError: what is tagged as a number
        raise Unreadable("is not YAML") from None


_BREAKS = re.compile("[\x85\u2028\u2029\ufeff]")


def _yaml_dumps(value: Any) -> bytes:
    import yaml

    dumper = _yaml_dumper()
    text: str = yaml.dump(value, Dumper=dumper, allow_unicode=True, sort_keys=False)
    if _BREAKS.search(text):  # which are line breaks to YAML 1.1, and unescaped would be lost
        text = yaml.dump(value, Dumper=dumper, sort_keys=False)
    return text.encode()


@functools.cache
def _yaml_dumper() -> Any:
    """Writes so that readers of YAML 1.1 and 1.2 read the same: what either could take for a number is quoted."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    _add_core(Dumper)
    return Dumper


FORMATS: Mapping[str, Format] = {
    "json": Format(("application/json",), _json_loads, strict_json.dumps),
    "form": Format(("application/x-www-form-urlencoded",), _form_loads, _form_dumps),
    "xml": Format(("application/xml", "text/xml"), _xml_loads, _xml_dumps, "xmltodict"),
    "csv": Format(("text/csv",), _csv_loads, _csv_dumps),
    "msgpack": Format(
        ("application/vnd.msgpack", "application/msgpack", "application/x-msgpack"), _msgpack_loads, _msgpack_dumps, "msgpack"
    ),
    "yaml": Format(("application/yaml", "application/x-yaml", "text/yaml"), _yaml_loads, _yaml_dumps, "yaml"),
    "ndjson": Format(("application/x-ndjson", "application/jsonl"), _lines_loads, _lines_dumps),
}
