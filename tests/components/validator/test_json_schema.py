"""Schemas: what is refused at start-up, what violations say, and that the fast engine and the reference engine agree."""

from __future__ import annotations

import sys
import time
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gatekeep.components.validator import Validate
from gatekeep.components.validator.schema import JUST_THIS, MAX_VIOLATIONS, Schema, Source
from gatekeep.errors import ConfigurationError
from pace import allowed


def violations(schema, value, draft="2020-12"):
    return Schema(schema, draft, "body").violations(value)


def pairs(schema, value, draft="2020-12"):
    return [(entry["pointer"], entry["keyword"]) for entry in violations(schema, value, draft)]


# Start-up.


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "strin"}, "at /type: 'strin' is not one of .'array', .*'string'.$"),
        ({"type": ["strin"]}, "at /type/0: 'strin' is not one of"),
        ({"type": ["string", "string"]}, r"at /type: .* has non-unique elements"),
        ({"properties": {"a": {"type": 5}}}, "at /properties/a/type: 5 is not one of"),
        ({"items": 5}, "at /items"),
        ('{"type": "object"}', "taken for the path of a file, as all text is, and there is no such file: write the schema"),
        ("page", "'page' is taken for the path of a file"),
        ("no.json#/a", "taken for the path of a file"),
        ("\0" * 5000, "taken for the path of a file"),
        ({"properties": {"a": {"minimum": "1"}}}, "at /properties/a/minimum"),
        ({"pattern": "("}, "lacks a"),
        ({"pattern": r"(a)\1"}, "back-references"),
        ({"properties": {"a": {"pattern": "(?=x)"}}}, "not usable"),
        ({"patternProperties": {r"\bx": {}}}, "boundaries"),
        ({"$ref": "https://example.com/schema"}, "nothing is fetched"),
        ({"$ref": "other.json#/a"}, "nothing is fetched"),
        ({"$ref": "#/$defs/none"}, "leads nowhere"),
        ({"$ref": "#anchor"}, "leads nowhere"),
        ({"items": [{}], "$ref": "#/items/x"}, "at /items"),
        ({"allOf": [{}], "$ref": "#/allOf/x"}, "leads nowhere"),
        ({"$ref": "#/x", "x": {"type": 5}}, "at /type"),
        ({"$ref": "#/x", "x": {"pattern": "(?!a)"}}, "not usable"),
        ({"$ref": "#"}, "without end"),
        ({"allOf": [{"anyOf": [{"$ref": "#"}]}]}, "without end"),
        ({"properties": {"a": {"if": {"$ref": "#/properties/a"}}}}, "without end"),
        ({"dependentSchemas": {"a": {"$ref": "#"}}}, "without end"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "its \\$schema is"),
        ({"properties": {"a": {"$schema": "urn:x"}}}, "its \\$schema is"),
        ({"const": float("nan")}, "not JSON"),
        ({"const": {1, 2}}, "not JSON"),
        (5, "5 is no schema"),
        ({"properties": 5}, "at /properties"),
    ],
)
def test_refused_at_start_up(schema, reason):
    with pytest.raises(ConfigurationError, match=reason) as caught:
        Validate(body=schema)
    assert "test_json_schema.py:" in str(caught.value)


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"properties": {"a": True}}, "at /properties/a"),
        ({"dependencies": {"b": ["c"], "a": {"$ref": "#/nowhere"}}}, "leads nowhere"),
        ({"dependencies": {"b": ["c"], "a": {"$ref": "#"}}}, "without end"),
        ({"$schema": "https://json-schema.org/draft/2020-12/schema"}, "its \\$schema is"),
    ],
)
def test_refused_in_draft_4(schema, reason):
    with pytest.raises(ConfigurationError, match=reason):
        Validate(body=schema, draft="4")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "checks nothing"),
        ({"body": True, "draft": "5"}, "none of 2020-12"),
        ({"body": True, "content_types": "application/json"}, "is a string"),
        ({"body": True, "content_types": ["json"]}, "no media type"),
        ({"body": True, "content_types": []}, "no body could pass"),
        ({"body": True, "max_depth": 0}, "max_depth"),
        ({"body": True, "max_depth": 1000}, "max_depth"),
        ({"body": True, "max_values": 0}, "max_values"),
        ({"query": ["limit"]}, "query: .* is no schema"),
        ({"query": {"limit": {"type": "int"}}}, "query: at /properties/limit/type"),
        ({"query": {"filter": {"type": "object"}}}, "filter is of type object"),
        ({"headers": {"type": "object", "additionalProperties": False}}, "headers: additionalProperties"),
        ({"headers": {"type": "object", "additionalProperties": {"type": "string"}}}, "headers: additionalProperties"),
        ({"headers": {"x tenant": {}}}, "'x tenant' is not a header name"),
        ({"headers": {"type": "object", "required": ["é"]}}, "'é' is not a header name"),
        ({"body": True, "mode": "off"}, "mode"),
    ],
)
def test_mistakes_in_the_spec(fields, reason):
    with pytest.raises(ConfigurationError, match=reason) as caught:
        Validate(**fields)
    assert "test_json_schema.py:" in str(caught.value)


@pytest.mark.parametrize(
    ("schema", "draft", "told"),
    [
        ({"type": "object", "propertys": {"a": {}}}, "2020-12", "'propertys' (did you mean 'properties'?)"),
        ({"properties": {"a": {"minlenght": 1}}}, "2020-12", "'minlenght' (did you mean 'minLength'?)"),
        ({"allOf": [{"ref": "#"}, {"Type": "string"}]}, "7", "'Type' (did you mean 'type'?), 'ref' (did you mean '$ref'?)"),
        ({"requried": ["a"], "items": {"requried": ["b"]}}, "4", "'requried' (did you mean 'required'?)"),
        ({"definitions": {"a": {"tpye": "null"}}, "$ref": "#/definitions/a"}, "6", "'tpye' (did you mean 'type'?)"),
        ({"x-type": 1, "x-propertys": 1}, "2020-12", None),
        ({"note": 1, "tsType": 1, "unit": "m", "comment": "c", "id": "i", "errorMessage": "e", "no": 1}, "2020-12", None),
        ({"example": 1, "nullable": True, "discriminator": {}}, "2020-12", None),
        ({"properties": {"propertys": {}, "typ": {}}, "enum": [{"typ": 1}]}, "2020-12", None),
        ({"dependentSchemas": {}, "examples": []}, "4", None),
        ({"definitions": {}, "dependencies": {}, "id": "x", "additionalItems": True}, "2020-12", None),
    ],
)
def test_what_looks_like_a_misspelt_keyword_is_told_once(caplog, schema, draft, told):
    spec = Validate(body=schema, response=schema, draft=draft)
    said = [record.getMessage() for record in caplog.records if record.name == "gatekeep"]
    if told is None:
        assert said == []
    else:
        assert said == [f"Validate of {spec.origin}: no keyword of JSON Schema, and judges nothing: {told}"]
        assert "test_json_schema.py:" in said[0]


def test_the_schema_is_copied():
    document = {"type": "object", "$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema = Schema(document, "2020-12", "body")
    assert document == {"type": "object", "$schema": "https://json-schema.org/draft/2020-12/schema"}
    document["type"] = "array"
    assert schema.violations({}) == []


# What violations say.


@pytest.mark.parametrize(
    ("schema", "value", "pointer", "keyword", "detail"),
    [
        ({"type": "string"}, 1, "", "type", "must be of type string"),
        ({"type": ["string", "null"]}, 1, "", "type", "must be of type string or null"),
        ({"required": ["a"]}, {}, "/a", "required", "is required"),
        ({"properties": {"a": {"minimum": 2}}}, {"a": 1}, "/a", "minimum", "must be at least 2"),
        ({"properties": {"a": False}}, {"a": 1}, "/a", "false", "is not allowed here"),
        ({"additionalProperties": False}, {"a": 1}, "/a", "additionalProperties", "is not allowed here"),
        ({"additionalProperties": {"type": "null"}}, {"a": 1}, "/a", "type", "must be of type null"),
        ({"patternProperties": {"^x-": {"type": "null"}}}, {"x-a": 1, "b": 2}, "/x-a", "type", "must be of type null"),
        ({"patternProperties": {"^x-": False}}, {"x-a": 1}, "/x-a", "false", "is not allowed here"),
        ({"items": {"maximum": 1}}, [0, 2], "/1", "maximum", "must be at most 1"),
        ({"exclusiveMinimum": 1}, 1, "", "exclusiveMinimum", "must be greater than 1"),
        ({"multipleOf": 2}, 3, "", "multipleOf", "must be a multiple of 2"),
        ({"enum": ["a", 1]}, 2, "", "enum", 'must be one of ["a", 1]'),
        ({"enum": ["x" * 500]}, 2, "", "enum", 'must be one of ["' + "x" * 198 + "…"),
        ({"const": "a"}, 2, "", "const", 'must be "a"'),
        ({"pattern": r"^\d+$"}, "x", "", "pattern", r"must match the pattern ^\d+$"),
        ({"minLength": 1}, "", "", "minLength", "must have at least 1 character"),
        ({"uniqueItems": True}, [1, 1.0], "", "uniqueItems", "has the same item twice"),
        ({"uniqueItems": True}, [{"a": [1]}, {"a": [1]}], "", "uniqueItems", "has the same item twice"),
        ({"not": {}}, 1, "", "not", "has a form that is not allowed"),
        ({"oneOf": [{}, {}]}, 1, "", "oneOf", "matches more than one of the allowed forms"),
        ({"oneOf": [{"type": "null"}, {"type": "string"}]}, 1, "", "oneOf", "matches none of the allowed forms"),
        ({"anyOf": [False, {"type": "null"}]}, 1, "", "anyOf", "matches none of the allowed forms"),
        ({"contains": {"type": "null"}}, [1], "", "contains", "lacks an item of the required form"),
        ({"minContains": 2, "contains": {"const": 1}}, [1], "", "minContains", "must have at least 2 items of the required form"),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "", "dependentRequired", "lacks a member that another one requires"),
        ({"propertyNames": {"maxLength": 1}}, {"aa": 1}, "", "maxLength", "must have at most 1 character"),
        ({"unevaluatedProperties": False}, {"a": 1}, "/a", "unevaluatedProperties", "is not allowed here"),
        ({"unevaluatedItems": False}, [1], "/0", "unevaluatedItems", "is not allowed here"),
        ({"unevaluatedItems": {"type": "null"}}, [1], "/0", "type", "must be of type null"),
        (
            {"patternProperties": {"^x-": True}, "unevaluatedProperties": False},
            {"x-a": 1, "b": 1},
            "/b",
            "unevaluatedProperties",
            "is not allowed here",
        ),
        ({"multipleOf": 0.01}, 0.075, "", "multipleOf", "must be a multiple of 0.01"),
        (False, 1, "", "false", "is not allowed here"),
        ({"properties": {"a/b~c": {"type": "null"}}}, {"a/b~c": 1}, "/a~1b~0c", "type", "must be of type null"),
    ],
)
def test_violation(schema, value, pointer, keyword, detail):
    [found] = violations(schema, value)
    assert (found["in"], found["pointer"], found["keyword"], found["detail"]) == ("body", pointer, keyword, detail)


def test_keywords_for_objects_say_nothing_about_other_values():
    schema = {
        "patternProperties": {"a": False},
        "properties": {"a": False},
        "additionalProperties": False,
        "required": ["a"],
        "unevaluatedItems": False,
    }
    assert pairs(schema, 5) == []
    assert pairs({"pattern": "a", "uniqueItems": True}, 5) == []


def test_draft_4():
    schema = {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True, "type": "integer"}
    assert [entry["detail"] for entry in violations(schema, 1, "4")] == ["must be greater than 1"]
    assert pairs({"type": "integer"}, 1.0, "4") == [("", "type")]
    assert pairs({"type": "integer"}, 1.0, "6") == []
    assert pairs({"$ref": "#/definitions/a", "type": "null", "definitions": {"a": {}}}, 1, "4") == []


def test_equality_is_that_of_json():
    assert (
        pairs({"uniqueItems": True}, [1, True, 0, False, "1", None, [1], [True], {"a": 1}, {"a": True}, 1e300, "", [], {}]) == []
    )
    assert pairs({"uniqueItems": False}, [1, 1]) == []
    assert pairs({"uniqueItems": True}, "aa") == []


def test_the_branch_that_was_meant_speaks():
    optional = {"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 2}]}
    assert pairs(optional, "abc") == [("", "maxLength")]
    assert pairs(optional, 1) == [("", "anyOf")]
    tagged = {
        "oneOf": [
            {"properties": {"kind": {"const": "a"}, "x": {"type": "integer"}}, "required": ["kind"]},
            {"properties": {"kind": {"enum": ["b", "c"]}, "y": {"type": "integer"}}, "required": ["kind"]},
        ]
    }
    assert pairs(tagged, {"kind": "c", "y": "1"}) == [("/y", "type")]
    assert pairs(tagged, {"kind": "d"}) == [("", "oneOf")]
    assert pairs({"items": {"anyOf": [{"type": "null"}, {"allOf": [optional, {"type": "string"}]}]}}, ["abc"]) == [
        ("/0", "maxLength")
    ]


def test_violations_come_in_the_order_of_the_schema_and_the_instance():
    schema = {"properties": {"b": {"type": "null"}, "a": {"type": "null"}}, "required": ["z", "y"], "additionalProperties": False}
    value = {"q": 1, "a": 1, "p": 1, "b": 1}
    assert [pointer for pointer, _ in pairs(schema, value)] == ["/b", "/a", "/z", "/y", "/q", "/p"]


# Bounds.


def test_violations_are_bounded_in_number():
    assert len(violations({"items": {"type": "null"}}, [1] * 1000)) == MAX_VIOLATIONS
    assert len(violations({"anyOf": [{"type": "array", "items": {"type": "null"}}, {"type": "null"}]}, [1] * 100_000)) == 20


def test_violations_are_bounded_in_work():
    schema = {"items": {"items": {"type": "null"}}}
    assert pairs(schema, [[1], *[[None] * 1_000] * 30, [1]]) == [("/0/0", "type")]
    assert pairs(schema, [[1], *[[None] * 1_000] * 10, [1]]) == [("/0/0", "type"), ("/11/0", "type")]
    assert pairs(schema, [*[[None] * 1_000] * 30, [1], [1]]) == [("/30/0", "type"), ("/31/0", "type")]


def test_what_is_expected_and_what_came():
    def told(schema, value, source=JUST_THIS):
        [found] = Schema(schema, "2020-12", "body", source).violations(value)
        return found.get("expected"), found.get("got")

    assert told({"minimum": 2}, 1) == (2, 1)
    assert told({"type": ["string", "null"]}, [1, 2]) == (["string", "null"], "array of 2")
    assert told({"type": "string"}, {"a": 1}) == ("string", "object of 1")
    assert told({"enum": ["x" * 500]}, "y" * 500) == ('["' + "x" * 198 + "…", "y" * 80 + "…")
    assert told({"required": ["a"]}, {}) == (None, None)
    assert told({"additionalProperties": False}, {"a": "secret"}) == (None, None)
    assert told({"properties": {"pin": {"writeOnly": True, "maxLength": 2}}}, {"pin": "1234"}) == (2, "[redacted]")
    assert told({"properties": {"pin": {"format": "password", "maxLength": 2}}}, {"pin": "1234"}) == (2, "[redacted]")
    behind = {"properties": {"pin": {"$ref": "#/$defs/p"}}, "$defs": {"p": {"writeOnly": True, "items": {"type": "null"}}}}
    assert told(behind, {"pin": [1]}) == ("null", "[redacted]")
    assert told({"items": {"maxLength": 2}}, ["1234"], Source(secrets=frozenset({"/0"}))) == (2, "[redacted]")
    for schema in ({"items": {"$ref": "#/$defs/s"}}, {"additionalProperties": {"$ref": "#/$defs/s"}}, {"$ref": "#/$defs/s"}):
        secret = {"$defs": {"s": {"writeOnly": True, "allOf": [{"maxLength": 2}]}}}
        value = ["1234"] if "items" in schema else "1234" if "$ref" in schema else {"a": "1234"}
        assert told({**schema, **secret}, value) == (2, "[redacted]")
    assert told({"maxLength": 2, "format": "password"}, "1234") == (2, "[redacted]")
    card = {"properties": {"card": {"properties": {"n": {"maxLength": 2}}}}}
    assert told(card, {"card": {"n": "1234"}}, Source(secrets=frozenset({"/card"}))) == (2, "[redacted]")
    assert told(card, {"card": {"n": "1234"}}, Source(secrets=frozenset({"/car"}))) == (2, "1234")
    assert told({"properties": {"pin": {"maxLength": 2}}}, {"pin": "1234"}, Source(secrets=frozenset({"pin"}))) == (
        2,
        "[redacted]",
    )


def test_pointers_are_bounded():
    [entry] = violations({"additionalProperties": False}, {"x" * 1000: 1})
    assert len(entry["pointer"]) == 257


TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "oneOf": [
                {"properties": {"next": {"$ref": "#/$defs/node"}, "kind": {"const": "a"}}, "required": ["kind"]},
                {"properties": {"next": {"$ref": "#/$defs/node"}, "kind": {"const": "b"}}, "required": ["kind"]},
            ]
        }
    },
}


def test_recursive_schemas_have_a_budget():
    def chain(length):
        value = {"kind": "a"}
        for _ in range(length):
            value = {"next": value, "kind": "a"}
        return value

    assert pairs(TREE, chain(4)) == []
    start = time.process_time()
    assert pairs(TREE, chain(60)) == [("", "$ref")]
    assert allowed(2.0, time.process_time() - start)


def test_nesting_beyond_the_stack_is_a_violation():
    value = []
    for _ in range(800):
        value = [value]
    assert pairs({"items": {"$ref": "#"}}, value) == [("", "$ref")]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"uniqueItems": True}, [{"a": number} for number in range(50_000)]),
        ({"uniqueItems": True}, [number * (2**61 - 1) for number in range(50_000)]),
        ({"items": {"pattern": "^(a+)+$"}}, ["a" * 5_000 + "b"] * 2),
        ({"unevaluatedProperties": False, "properties": {"a": {}}}, {str(number): 1 for number in range(50_000)}),
        ({"anyOf": [{"items": {"type": "string"}}, {"type": "null"}]}, [1] * 100_000),
    ],
    ids=["unique objects", "colliding numbers", "backtracking", "unevaluated", "branches"],
)
def test_costly_instances_are_judged_quickly(schema, value):
    compiled = Schema(schema, "2020-12", "body")
    start = time.process_time()
    compiled.violations(value)
    assert allowed(2.0, time.process_time() - start)


# Both engines.


def test_which_schemas_the_fast_engine_judges(monkeypatch):
    def is_fast(schema, draft="2020-12"):
        return Schema(schema, draft, "body")._fast is not None

    assert is_fast({"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "properties": {"b": {"format": "email"}}}}})
    assert is_fast({"items": {"enum": [1, {"a": [2.5]}]}, "minimum": 0.1, "title": "x"})
    assert is_fast(True)
    assert is_fast({"properties": {"a": {"pattern": r"^(?=.*\d)(?!admin)[^\s]+$"}}})
    assert is_fast({"patternProperties": {r"^\p{L}+$": {"contains": {"const": 1}}}, "propertyNames": {"maxLength": 2}})
    assert is_fast({"minimum": 2**60, "multipleOf": 3, "dependentRequired": {"a": ["b"]}, "prefixItems": [True]})
    assert is_fast({"x-mine": 1, "$id": "urn:a", "$ref": "urn:a#/$defs/b", "$defs": {"b": {}}})
    assert not is_fast({"multipleOf": 0.01})
    assert not is_fast({"minimum": 2**53 + 1})
    assert not is_fast({"maximum": 10**400})
    assert not is_fast({"pattern": "^[]$"})
    assert not is_fast({"pattern": r"\p{L}{2500}"})
    assert not is_fast({"patternProperties": {"^(?=a)": {}}})
    assert not is_fast({"patternProperties": {"a": {}, "(?:a)": {}}})
    assert not is_fast({"unevaluatedItems": False})
    assert not is_fast({"$dynamicRef": "#a", "$defs": {"a": {"$dynamicAnchor": "a"}}})
    assert not is_fast({"enum": [{"a": [2**53]}]})
    assert not is_fast({"minLength": 1.0})
    assert not is_fast({"items": {"$ref": "#"}})
    assert not is_fast(TREE)
    assert is_fast({"const": 1, "unevaluatedItems": False}, "4")  # means nothing there
    assert not is_fast({"const": "\ud800"})
    monkeypatch.setitem(sys.modules, "jsonschema_rs", None)
    assert not is_fast(True)


def test_a_lone_surrogate_is_left_to_the_reference_engine():
    schema = Schema({"maxLength": 1}, "2020-12", "query")
    assert not schema.accepts("\ud800")
    assert schema.violations("\ud800") == []


# Valid instances pass; a mutated one fails where it was mutated.


_leaf_schemas = st.sampled_from(
    [
        ({"type": "integer", "minimum": 0}, st.integers(0, 99), "x"),
        ({"type": "string", "maxLength": 5}, st.text("ab", max_size=5), 7),
        ({"type": "boolean"}, st.booleans(), None),
        ({"enum": ["red", "green"]}, st.sampled_from(["red", "green"]), "blue"),
        ({"type": "string", "pattern": "^[a-z]+$"}, st.text("abc", min_size=1), "A1"),
        ({"type": "null"}, st.none(), []),
    ]
)


@st.composite
def _cases(draw, depth=3):
    """(schema, a valid value, the same value broken at one place, that place)."""
    kind = draw(st.sampled_from(["leaf", "object", "array"] if depth else ["leaf"]))
    if kind == "leaf":
        schema, values, wrong = draw(_leaf_schemas)
        return schema, draw(values), wrong, []
    inner = [draw(_cases(depth - 1)) for _ in range(draw(st.integers(1, 3)))]
    index = draw(st.integers(0, len(inner) - 1))
    if kind == "array":
        schema = {"type": "array", "prefixItems": [case[0] for case in inner]}
        valid = [case[1] for case in inner]
        broken = [case[2] if at == index else case[1] for at, case in enumerate(inner)]
        return schema, valid, broken, [index, *inner[index][3]]
    names = [f"n{at}" for at in range(len(inner))]
    schema = {
        "type": "object",
        "properties": {name: case[0] for name, case in zip(names, inner, strict=True)},
        "required": names,
        "additionalProperties": False,
    }
    valid = {name: case[1] for name, case in zip(names, inner, strict=True)}
    how = draw(st.sampled_from(["inside", "missing", "extra"]))
    if how == "missing":
        return schema, valid, {name: value for name, value in valid.items() if name != names[index]}, [names[index]]
    if how == "extra":
        return schema, valid, {**valid, "other": 1}, ["other"]
    return schema, valid, {**valid, names[index]: inner[index][2]}, [names[index], *inner[index][3]]


@settings(max_examples=100, deadline=None)
@given(_cases())
def test_a_mutation_is_found_where_it_is(case):
    document, valid, broken, place = case
    assume(valid != broken)
    schema = Schema(document, "2020-12", "body")
    assert schema.violations(valid) == []
    pointers = {entry["pointer"] for entry in schema.violations(broken)}
    assert pointers == {"".join(f"/{step}" for step in place)}


def test_a_text_that_keeps_a_pattern_busy_is_refused():
    """16,384 states: nearly every character of such a text leads to a new one."""
    busy = {"items": {"pattern": "a[ab]{14}c"}}
    text = "".join(Random(7).choices("ab", k=2_000_000))
    start = time.process_time()
    assert [found["detail"] for found in violations(busy, [text])] == ["is too much for a pattern"]
    assert allowed(5.0, time.process_time() - start)
    assert pairs(busy, [text[:500] + "aabababababababc"]) == []  # the next one has a budget of its own


def test_a_text_that_is_too_long_anyway_is_not_searched():
    short = {"pattern": "a[ab]{14}c", "maxLength": 20}
    assert pairs(short, "b" * 20) == [("", "pattern")]
    assert pairs(short, "b" * 21) == [("", "maxLength")]
