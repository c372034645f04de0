"""Hostile bodies for a Validate."""

from __future__ import annotations

import gzip
import json
import zlib

from gatekeep import Validate
from hostile_runner import Cases

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
PARTS = "multipart/form-data; boundary=XX"

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^([a-z]+)+$"},
        "code": {"type": "string", "pattern": "^(?=.*\\d)(?:a[ab]{14}c|x.*y.*z)$", "maxLength": 100_000},
        "count": {"type": "integer", "minimum": 0, "maximum": 1000, "multipleOf": 3},
        "price": {"type": "number", "multipleOf": 0.01},
        "tags": {"type": "array", "uniqueItems": True, "items": {"type": "string"}},
        "lines": {
            "type": "array",
            "items": {
                "anyOf": [
                    {"type": "object", "properties": {"k": {"const": "a"}, "v": {"type": "integer"}}, "required": ["k", "v"]},
                    {"type": "object", "properties": {"k": {"const": "b"}, "v": {"type": "string"}}, "required": ["k", "v"]},
                ]
            },
        },
        "tree": {"$ref": "#/$defs/tree"},
        "open": {"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False},
    },
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {
        "tree": {
            "anyOf": [
                {"type": "integer"},
                {"type": "object", "properties": {"l": {"$ref": "#/$defs/tree"}}, "required": ["a"]},
                {"type": "object", "properties": {"l": {"$ref": "#/$defs/tree"}}, "required": ["b"]},
            ]
        }
    },
}
FILES = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "file": {"format": "binary", "maxLength": 1000}},
    "required": ["file"],
}


def _part(head: str, content: bytes = b"x") -> bytes:
    return b"--XX\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n"


_FILE = 'Content-Disposition: form-data; name="file"; filename="a"'
_BOMB = json.dumps({"name": "a" * 50_000_000}).encode

# By name: content type, other header fields, and what makes the body.
CASES: Cases = {
    name: (JSON, {}, make)
    for name, make in {
        "deep arrays": lambda: b"[" * 100_000,
        "deep and closed": lambda: b"[" * 100_000 + b"]" * 100_000,
        "deep objects": lambda: b'{"name":' * 100_000,
        "deeper than the bound": lambda: b'{"name":' + b"[" * 64 + b"]" * 64 + b"}",
        "a wide array": lambda: b'{"name":[' + b"0," * 300_000 + b"0]}",
        "as many values as there may be": lambda: b'{"name":"a","lines":[' + b'{"k":"a","v":1},' * 6_000 + b'{"k":"a","v":"x"}]}',
        "all of them wrong": lambda: b'{"name":"a","lines":[' + b'{"k":"b","v":1},' * 6_000 + b"1]}",
        "empty objects": lambda: b'{"name":[' + b"{}," * 300_000 + b"{}]}",
        "duplicate names": lambda: b'{"name":"a","name":"a"}',
        "duplicate names by escape": lambda: b'{"name":"a","n\\u0061me":"a"}',
        "duplicate names deeper": lambda: b'{"name":"a","tags":[{"a":1,"a":1}]}',
        "a huge integer": lambda: b'{"name":"a","count":' + b"9" * 1_000_000 + b"}",
        "a huge fraction": lambda: b'{"name":"a","price":0.' + b"9" * 1_000_000 + b"}",
        "an overflow": lambda: b'{"name":"a","count":1e999999999}',
        "a large integer": lambda: b'{"name":"a","count":' + b"9" * 99 + b"}",
        "a large exponent": lambda: b'{"name":"a","price":1.5e-308}',
        "NaN": lambda: b'{"name":"a","count":NaN}',
        "Infinity": lambda: b'{"name":"a","count":-Infinity}',
        "a lone surrogate": lambda: b'{"name":"\\ud800"}',
        "surrogates in the wrong order": lambda: b'{"name":"\\udc00\\ud800"}',
        "a surrogate in UTF-8": lambda: b'{"name":"\xed\xa0\x80"}',
        "an overlong form": lambda: b'{"name":"\xc0\xaf"}',
        "bytes": lambda: bytes(range(256)),
        "UTF-16": lambda: '{"name":"a"}'.encode("utf-16"),
        "a byte order mark": lambda: b'\xef\xbb\xbf{"name":"a"}',
        "truncated": lambda: b'{"name":"a","tags":["x","y"',
        "two documents": lambda: b'{"name":"a"}{"name":"a"}',
        "backslashes": lambda: b'{"name":"' + b"\\\\" * 500_000 + b'"}',
        "quotes": lambda: b'"' * 500_000,
        "wide characters": lambda: ('{"name":"' + "😀" + "a" * 1_000_000 + '"}').encode(),
        "a pattern that backtracks": lambda: b'{"name":"' + b"a" * 500_000 + b'!"}',
        "a pattern with many states": lambda: b'{"name":"a","code":"1' + b"abbab" * 18_000 + b'"}',
        "a pattern with many ways": lambda: b'{"name":"a","code":"1' + b"xy" * 45_000 + b'"}',
        "many equal items": lambda: b'{"name":"a","tags":[' + b'"x",' * 19_000 + b'"x"]}',
        "items of another kind": lambda: b'{"name":"a","tags":[' + b'{"a":1},' * 9_000 + b"1]}",
        "many unknown members": lambda: b'{"name":"a",' + b",".join(b'"%d":1' % number for number in range(19_000)) + b"}",
        "many unevaluated members": lambda: (
            b'{"name":"a","open":{' + b",".join(b'"%d":1' % number for number in range(19_000)) + b"}}"
        ),
        "a branching recursion": lambda: b'{"name":"a","tree":' + b'{"l":' * 60 + b'"x"' + b"}" * 60 + b"}",
        "a name of a megabyte": lambda: b'{"name":"a","' + b"x" * 1_000_000 + b'":1}',
        "larger than the gateway takes": lambda: b'{"name":"' + b"a" * 11_000_000 + b'"}',
    }.items()
} | {
    "a gzip bomb": (JSON, {"content-encoding": "gzip"}, lambda: gzip.compress(_BOMB())),
    "a gzip bomb of many members": (JSON, {"content-encoding": "gzip"}, lambda: gzip.compress(b" " * 1_000) * 20_000),
    "a deflate bomb": (JSON, {"content-encoding": "deflate"}, lambda: zlib.compress(_BOMB())),
    "not in its encoding": (JSON, {"content-encoding": "gzip"}, lambda: b'{"name":"a"}'),
    "cut off in its encoding": (JSON, {"content-encoding": "gzip"}, lambda: gzip.compress(b'{"name":"a"}')[:-9]),
    "encoded again and again": (JSON, {"content-encoding": "gzip, gzip, gzip"}, lambda: gzip.compress(b"{}")),
    "a truncated part": (PARTS, {}, lambda: _part(_FILE)[:-4]),
    "parts without an end": (PARTS, {}, lambda: _part(_FILE)),
    "ten thousand parts": (PARTS, {}, lambda: _part(_FILE) * 10_000 + b"--XX--"),
    "a part with an endless head": (PARTS, {}, lambda: b"--XX\r\nX: " + b"a" * 5_000_000),
    "boundaries that are none": (PARTS, {}, lambda: _part(_FILE, b"\r\n--X" * 500_000) + b"--XX--"),
    "a file that is too large": (PARTS, {}, lambda: _part(_FILE, b"x" * 9_000_000) + b"--XX--"),
    "a name twice in one head": (PARTS, {}, lambda: _part(_FILE + '; name="title"') + b"--XX--"),
    "many fields": (FORM, {}, lambda: b"a=1&" * 200_000),
    "a field of escapes": (FORM, {}, lambda: b"file=" + b"%ff" * 300_000),
    "entities": (
        "application/xml",
        {},
        lambda: b'<!DOCTYPE a [<!ENTITY b "x">' + b"<!ENTITY c '&b;&b;'>" * 1_000 + b"]><a>&c;</a>",
    ),
    "XML in JSON's name": (JSON, {}, lambda: b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'),
}

SPECS = [Validate(content={JSON: SCHEMA, FORM: FILES, "multipart/form-data": FILES})]
GOOD = (JSON, b'{"name":"a"}')
