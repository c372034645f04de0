"""Hostile bodies: each is a 4xx, quickly, and the app is not called."""

from __future__ import annotations

import time

import pytest

from gatekeep.components.validator import Validate

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^([a-z]+)+$"},
        "count": {"type": "integer", "minimum": 0, "maximum": 1000},
        "tags": {"type": "array", "uniqueItems": True, "items": {"type": "string"}},
        "tree": {"$ref": "#/$defs/tree"},
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

BODIES = {
    "deep arrays": b"[" * 100_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"name":' * 100_000,
    "deeper than the bound": b'{"name":' + b"[" * 64 + b"]" * 64 + b"}",
    "a wide array": b'{"name":[' + b"0," * 300_000 + b"0]}",
    "empty objects": b'{"name":[' + b"{}," * 300_000 + b"{}]}",
    "duplicate names": b'{"name":"a","name":"a"}',
    "duplicate names by escape": b'{"name":"a","n\\u0061me":"a"}',
    "duplicate names deeper": b'{"name":"a","tags":[{"a":1,"a":1}]}',
    "a huge integer": b'{"name":"a","count":' + b"9" * 1_000_000 + b"}",
    "a huge fraction": b'{"name":"a","count":0.' + b"9" * 1_000_000 + b"}",
    "an overflow": b'{"name":"a","count":1e999999999}',
    "a large integer": b'{"name":"a","count":' + b"9" * 99 + b"}",
    "an exponent": b'{"name":"a","count":1e308}',
    "NaN": b'{"name":"a","count":NaN}',
    "Infinity": b'{"name":"a","count":-Infinity}',
    "a lone surrogate": b'{"name":"\\ud800"}',
    "surrogates in the wrong order": b'{"name":"\\udc00\\ud800"}',
    "a surrogate in UTF-8": b'{"name":"\xed\xa0\x80"}',
    "an overlong form": b'{"name":"\xc0\xaf"}',
    "bytes": bytes(range(256)),
    "UTF-16": '{"name":"a"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"name":"a"}',
    "truncated": b'{"name":"a","tags":["x","y"',
    "truncated in a string": b'{"name":"a',
    "truncated in an escape": b'{"name":"a\\u00',
    "a trailing comma": b'{"name":"a",}',
    "two documents": b'{"name":"a"}{"name":"a"}',
    "a comment": b'{"name":"a"/**/}',
    "single quotes": b"{'name':'a'}",
    "a control character": b'{"name":"a\x00"}',
    "blank": b" \n ",
    "backslashes": b'{"name":"' + b"\\\\" * 500_000 + b'"}',
    "quotes": b'"' * 500_000,
    "a pattern that backtracks": b'{"name":"' + b"a" * 500_000 + b'!"}',
    "many equal items": b'{"name":"a","tags":[' + b'"x",' * 90_000 + b'"x"]}',
    "items of another kind": b'{"name":"a","tags":[' + b'{"a":1},' * 30_000 + b"1]}",
    "many unknown members": b'{"name":"a",' + b",".join(b'"%d":1' % number for number in range(50_000)) + b"}",
    "a branching recursion": b'{"name":"a","tree":' + b'{"l":' * 60 + b'"x"' + b"}" * 60 + b"}",
    "a name of a megabyte": b'{"name":"a","' + b"x" * 1_000_000 + b'":1}',
}


@pytest.fixture(scope="module")
def spec():
    return Validate(body=SCHEMA)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_hostile_body(site, spec, body):
    called = []

    def view(request):
        called.append(request)
        return 200, [], b"ok"

    client = site(spec, view=view)
    start = time.process_time()
    answer = client.post("/", headers={"content-type": "application/json"}, body=body)
    assert time.process_time() - start < 2.0
    assert answer.status == 400
    assert answer.json()["code"] == "invalid_request"
    assert 1 <= len(answer.json()["errors"]) <= 50
    assert len(answer.body) < 20_000
    assert not called
