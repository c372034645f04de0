"""Both engines: the same verdict, and answers that are equal byte for byte, over a generated corpus."""

from __future__ import annotations

import json
import re
import sys
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import opaque
from gatekeep import strict_json
from gatekeep.clock import SYSTEM_CLOCK
from gatekeep.components.validator import Validate
from gatekeep.components.validator.formats import FORMATS
from gatekeep.components.validator.schema import JUST_THIS, Schema
from gatekeep.gateway import Gateway
from gatekeep.stores import open_store
from gatekeep.testing import Client

STORE = open_store("memory://", SYSTEM_CLOCK)
_numbers = st.integers(-20, 20) | st.sampled_from([0.5, 1.0, -2.5, 1e3, 100000, 10**15 - 1, 0.1, 1e300, -1e18])
_texts = st.text("ab1😀é \n", max_size=4) | st.sampled_from(["2020-02-30", "2020-02-29", "a@b.c", "::1", "1.2.3.4"])
_scalars = st.none() | st.booleans() | _numbers | _texts
_names = st.sampled_from(["a", "b", "c", "é1"])
_instances = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=8,
)
_types = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
_small = st.integers(0, 3)
_patterns = st.sampled_from(
    [
        "^a",
        "a$",
        r"\d",
        r"^\w*$",
        r"\s",
        r"\S",
        r"^.$",
        r"\p{L}",
        r"^[^\p{Lu}1]+$",
        "^(a+)+$",
        "(?:a|b){2}",
        r"^(?=.*1)(?!b)a",
        "",
    ]
)


def _schemas(inner, draft):
    children = st.lists(inner, min_size=1, max_size=3)
    keywords = {
        "type": _types | st.lists(_types, min_size=1, max_size=2, unique=True),
        "enum": st.lists(_scalars, min_size=1, max_size=3, unique_by=repr),
        "minimum": _numbers,
        "maximum": _numbers,
        "multipleOf": st.integers(1, 5) | st.sampled_from([0.5, 0.1]),
        "minLength": _small,
        "maxLength": _small,
        "pattern": _patterns,
        "format": st.sampled_from([*FORMATS, "color"]),
        "minItems": _small,
        "maxItems": _small,
        "minProperties": _small,
        "maxProperties": _small,
        "uniqueItems": st.booleans(),
        "required": st.lists(_names, min_size=1, max_size=2, unique=True),
        "properties": st.dictionaries(_names, inner, max_size=3),
        "patternProperties": st.dictionaries(_patterns.filter(lambda each: "?" not in each), inner, max_size=2),
        "additionalProperties": st.booleans() | inner,
        "items": inner,
        "allOf": children,
        "anyOf": children,
        "oneOf": children,
        "not": inner,
    }
    if draft != "4":
        keywords |= {"const": _scalars, "contains": inner, "propertyNames": inner, "exclusiveMinimum": _numbers}
    if draft not in ("4", "6"):
        keywords |= {"if": inner, "then": inner, "else": inner}
    if draft in ("4", "6", "7"):
        keywords |= {"dependencies": st.dictionaries(_names, st.lists(_names, min_size=1, unique=True) | inner, max_size=2)}
        keywords |= {"items": inner | children, "additionalItems": inner}
    else:
        keywords |= {"dependentRequired": st.dictionaries(_names, st.lists(_names, unique=True), max_size=2)}
        keywords |= {"dependentSchemas": st.dictionaries(_names, inner, max_size=2), "minContains": _small, "maxContains": _small}
    if draft == "2020-12":
        keywords |= {"prefixItems": children}
    return st.fixed_dictionaries({}, optional=keywords)


@st.composite
def _documents(draw):
    draft = draw(st.sampled_from(["4", "6", "7", "2019-09", "2020-12"]))
    return draft, draw(st.recursive(_schemas(st.just({}), draft), lambda inner: _schemas(inner, draft), max_leaves=4))


@settings(max_examples=100, deadline=None)
@given(_documents(), st.lists(_instances, min_size=1, max_size=5), st.booleans())
def test_both_engines_give_the_same_verdict(document, instances, formats):
    draft, document = document
    source = JUST_THIS._replace(formats=formats)
    schema = Schema({"definitions": {"d": document}, "allOf": [{"$ref": "#/definitions/d"}]}, draft, "body", source)
    for instance in instances:
        document = strict_json.loads(json.dumps(instance).encode())
        if schema._fast is not None and document.plain:
            assert schema.accepts(document.value) == (not schema.violations(document.value))


@pytest.fixture(scope="module")
def answers():
    """Send bodies past a schema, with both engines; gives what each answers but for the request's id."""

    def client(schema, formats):
        spec = Validate(body=schema, formats=formats)
        return Client(Gateway(spec, store=STORE).wrap(opaque.wsgi_app(lambda request: (200, [], b"ok"))))

    def ask(schema, bodies, formats=False):
        fast = client(schema, formats)
        with mock.patch.dict(sys.modules, {"jsonschema_rs": None, "orjson": None}):
            slow = client(schema, formats)
        given = []
        for each in (fast, slow):
            got = [each.post("/", headers={"content-type": "application/json"}, body=body) for body in bodies]
            given.append([(answer.status, re.sub(rb'"request_id":"\w+"', b"", answer.body)) for answer in got])
            each.close()
        return given

    return ask


@settings(max_examples=25, deadline=None)
@given(_documents().filter(lambda pair: pair[0] == "2020-12"), st.lists(_instances, min_size=1, max_size=5), st.booleans())
def test_answers_are_equal_byte_for_byte(answers, document, instances, formats):
    bodies = [json.dumps(instance, ensure_ascii=False).encode() for instance in instances]
    fast, slow = answers(document[1], bodies, formats)
    assert fast == slow


ODD = [
    b'"1\\n"',
    '"٣"'.encode(),
    '"\u00a0"'.encode(),
    '"é"'.encode(),
    b'"\\ud83d\\ude00"',
    b'"\\ud800"',
    b"0.07",
    b"0.075",
    b"1.1",
    b"1e2",
    b"100000000000000000001",
    b"9007199254740993",
    b"1.0",
    b"-0.0",
    b"1e400",
    b'"' + b"a" * 40 + b'"',
    b"true",
    b'{"a":1,"a":1}',
]


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": r"^\d$"},
        {"pattern": r"^\w$"},
        {"pattern": r"^\s$"},
        {"pattern": r"^.$"},
        {"pattern": "1$"},
        {"pattern": r"^\p{L}$"},
        {"pattern": "^(a+)+$"},
        {"multipleOf": 0.01},
        {"multipleOf": 0.1},
        {"multipleOf": 3},
        {"type": "integer"},
        {"enum": [1, 9007199254740993]},
        {"maximum": 9007199254740992},
        {"maxLength": 1},
        {"uniqueItems": True, "type": "array"},
    ],
    ids=json.dumps,
)
def test_where_the_engines_themselves_differ(answers, schema):
    fast, slow = answers(schema, ODD)
    assert fast == slow


def test_numbers_are_read_as_they_are_written(answers):
    statuses = dict(zip(ODD, [status for status, _ in answers({"multipleOf": 0.01}, ODD)[0]], strict=True))
    assert [statuses[number] for number in (b"0.07", b"0.075", b"1.1", b"1e2", b"1.0", b"-0.0")] == [200, 400, 200, 200, 200, 200]
