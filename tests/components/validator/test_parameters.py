"""Query, path and header parameters: declared, coerced, refused."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges import exchange_of
from gatekeep.components.validator import Validate
from gatekeep.components.validator.parameters import QueryParameters
from gatekeep.exchange import current
from gatekeep.requests import WsgiRequest
from gatekeep.routing import Route


@pytest.fixture
def ask(site):
    """Send a request past a Validate; gives what the view found under state["valid"], or the answer's errors."""

    def ask(spec, target="/", headers=(), path="/{rest:path}"):
        seen = []

        def view(request):
            seen.append(dict(current().valid))
            return 200, [], b"ok"

        answer = site(routes=[Route(path, spec)], view=view).get(target, headers=dict(headers))
        if answer.status == 200:
            return seen[0]
        assert not seen
        assert (answer.status, answer.json()["code"]) == (400, "invalid_request")
        return [(entry["in"], entry["pointer"], entry["keyword"]) for entry in answer.json()["errors"]]

    return ask


@pytest.mark.parametrize(
    ("schema", "query", "value"),
    [
        ({"type": "integer"}, "p=5", 5),
        ({"type": "integer"}, "p=-12", -12),
        ({"type": "integer"}, "p=" + "9" * 30, int("9" * 30)),
        ({"type": "number"}, "p=1.5", 1.5),
        ({"type": "number"}, "p=-2e3", -2000.0),
        ({"type": "number"}, "p=7", 7),
        ({"type": "boolean"}, "p=true", True),
        ({"type": "boolean"}, "p=false", False),
        ({"type": "string"}, "p=5", "5"),
        ({"type": "string"}, "p=a%20b+c", "a b c"),
        ({"type": "string"}, "p=", ""),
        ({"type": ["integer", "string"]}, "p=5", 5),
        ({"type": ["integer", "string"]}, "p=x", "x"),
        ({"type": "array"}, "p=1&p=2", ["1", "2"]),
        ({"type": "array", "items": {"type": "integer"}}, "p=1&p=2", [1, 2]),
        ({"type": "array", "items": {"type": "integer"}}, "p=1", [1]),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "p=5", 5),
        ({"enum": [1, 2]}, "p=2", 2),
        ({"enum": ["1", "2"]}, "p=2", "2"),
        ({"const": True}, "p=true", True),
        ({"minLength": 1}, "p=5", "5"),
        (True, "p=5", "5"),
    ],
)
def test_text_becomes_what_is_declared(ask, schema, query, value):
    found = ask(Validate(query={"p": schema}), f"/?{query}")
    assert found == {"query": {"p": value}}
    assert type(found["query"]["p"]) is type(value)


@pytest.mark.parametrize(
    ("schema", "query", "keyword"),
    [
        ({"type": "integer"}, "p=x", "type"),
        ({"type": "integer"}, "p=", "type"),
        ({"type": "integer"}, "p=1.0", "type"),
        ({"type": "integer"}, "p=01", "type"),
        ({"type": "integer"}, "p=+1", "type"),
        ({"type": "integer"}, "p=%D9%A3", "type"),
        ({"type": "integer"}, "p=1%0A", "type"),
        ({"type": "integer"}, "p=" + "9" * 101, "type"),
        ({"type": "number"}, "p=1e999", "type"),
        ({"type": "number"}, "p=nan", "type"),
        ({"type": "boolean"}, "p=1", "type"),
        ({"type": "boolean"}, "p=True", "type"),
        ({"type": "string"}, "p=1&p=2", "type"),
        ({"maxLength": 1}, "p=a&p=b", "type"),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 1}, "p=1&p=2", "maxItems"),
        ({"type": "integer", "maximum": 100}, "p=101", "maximum"),
        ({"type": "integer", "maximum": 10**16}, "p=" + "9" * 17, "maximum"),
        ({"enum": ["a"]}, "p=b", "enum"),
        (False, "p=", "false"),
    ],
)
def test_text_that_does_not_fit(ask, schema, query, keyword):
    assert ask(Validate(query={"p": schema}), f"/?{query}") == [("query", "/p", keyword)]


def test_items_are_named_by_their_index(ask):
    spec = Validate(query={"p": {"type": "array", "items": {"type": "integer"}}})
    assert ask(spec, "/?p=1&p=x") == [("query", "/p/1", "type")]


def test_short_form_declares_optional_parameters_and_takes_others(ask):
    spec = Validate(query={"limit": {"type": "integer"}})
    assert ask(spec, "/") == {"query": {}}
    assert ask(spec, "/?other=1&other=2") == {"query": {"other": ["1", "2"]}}


def test_a_parameter_may_be_called_type(ask):
    spec = Validate(query={"type": {"enum": ["object"]}})
    assert ask(spec, "/?type=object") == {"query": {"type": "object"}}
    assert ask(spec, "/?type=array") == [("query", "/type", "enum")]


def test_full_form(ask):
    spec = Validate(
        query={
            "type": "object",
            "properties": {"limit": {"$ref": "#/$defs/count"}, "sort": {"type": "string"}},
            "required": ["limit", "page"],
            "additionalProperties": False,
            "$defs": {"count": {"allOf": [{"type": "integer"}, {"maximum": 10}]}},
        }
    )
    assert ask(spec, "/?limit=5&page=x") == [("query", "/page", "additionalProperties")]
    assert ask(spec, "/?sort=a&sort=b&unknown=1") == [
        ("query", "/sort", "type"),
        ("query", "/limit", "required"),
        ("query", "/page", "required"),
        ("query", "/unknown", "additionalProperties"),
    ]


def test_other_parameters_may_be_declared_together(ask):
    spec = Validate(query={"type": "object", "additionalProperties": {"type": "integer"}})
    assert ask(spec, "/?a=1&b=2") == {"query": {"a": 1, "b": 2}}
    assert ask(spec, "/?a=1&b=x") == [("query", "/b", "type")]


def test_path_parameters(ask):
    spec = Validate(path={"id": {"type": "integer", "minimum": 1}})
    assert ask(spec, "/orders/5", path="/orders/{id}") == {"path": {"id": 5}}
    assert ask(spec, "/orders/5", path="/orders/{id:int}") == {"path": {"id": 5}}
    assert ask(spec, "/orders/0", path="/orders/{id:int}") == [("path", "/id", "minimum")]
    assert ask(spec, "/orders/x", path="/orders/{id}") == [("path", "/id", "type")]


def test_what_a_converter_made_is_text_again_where_text_is_declared(ask):
    assert ask(Validate(path={"id": {"type": "string"}}), "/orders/5", path="/orders/{id:int}") == {"path": {"id": "5"}}
    assert ask(Validate(path={"id": True}), "/orders/5", path="/orders/{id:int}") == {"path": {"id": 5}}


def test_headers(ask):
    spec = Validate(
        headers={
            "type": "object",
            "properties": {
                "X-Count": {"type": "integer"},
                "X-Tags": {"type": "array", "items": {"type": "integer"}},
            },
            "required": ["X-COUNT"],
        }
    )
    assert ask(spec, "/", {"x-COUNT": "5", "x-tags": "1, 2,,3,"}) == {"headers": {"x-count": 5, "x-tags": [1, 2, 3]}}
    assert ask(spec, "/", {"X-Tags": "1,x"}) == [("header", "/x-tags/1", "type"), ("header", "/x-count", "required")]
    assert ask(Validate(headers={"X-Count": {"type": "integer"}}), "/", {"x-count": "a"}) == [("header", "/x-count", "type")]
    assert ask(Validate(headers={"X-Count": {"type": "integer"}}), "/") == {"headers": {}}
    assert ask(Validate(headers={"type": "object", "required": ["X-A"]}), "/") == [("header", "/x-a", "required")]
    assert ask(Validate(headers={"type": "object", "required": ["X-A"]}), "/", {"x-a": "1"}) == {"headers": {"x-a": "1"}}


def test_parts_are_judged_in_a_fixed_order(ask):
    wrong = {"p": {"type": "integer"}}
    spec = Validate(headers=wrong, query=wrong, path=wrong)
    assert ask(spec, "/x?p=x", {"p": "x"}, path="/{p}") == [
        ("path", "/p", "type"),
        ("query", "/p", "type"),
        ("header", "/p", "type"),
    ]


# Queries that come again.


def test_what_a_view_does_to_its_values_is_not_seen_by_the_next(site):
    seen = []

    def view(request):
        values = current().valid["query"]
        seen.append({name: list(value) if isinstance(value, list) else value for name, value in values.items()})
        values["n"] = "spoilt"
        if "many" in values:
            values["many"].append("spoilt")
        return 200, [], b"ok"

    client = site(Validate(query={"n": {"type": "integer"}, "many": {"type": "array"}}), view=view)
    for target in ("/?n=1", "/?n=1&many=a"):
        seen.clear()
        for _ in range(3):
            client.get(target)
        assert seen == [seen[0]] * 3
        assert seen[0]["n"] == 1


def test_what_was_refused_is_refused_again(site):
    client = site(Validate(query={"n": {"type": "integer"}}))
    assert [client.get("/?n=x").status for _ in range(2)] == [400, 400]


def check(query, sent):
    """What the query comes to, and whether it is in order."""
    found = []
    request = WsgiRequest({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": sent})
    values = query.check(exchange_of(request), found)
    return values, not found


@given(st.text("ab=&+%2;\xe9 ", max_size=12))
def test_a_query_is_read_as_the_request_reads_it(sent):
    query = QueryParameters("query", {}, "2020-12")
    wanted = {}
    for name, text in parse_qsl(sent, keep_blank_values=True):
        wanted.setdefault(name, []).append(text)
    wanted = {name: texts if len(texts) > 1 else texts[0] for name, texts in wanted.items()}
    assert [check(query, sent) for _ in range(2)] == [(wanted, True)] * 2


def test_queries_of_strangers_take_no_memory():
    query = QueryParameters("query", {"n": {"type": "integer"}}, "2020-12")
    for number in range(2_000):
        assert check(query, f"n={number}") == ({"n": number}, True)
    assert check(query, "n=x")[1] is False
    assert check(query, "n=1&long=" + "x" * 1_000)[1] is True
    assert len(query._known) <= 512
    assert max(map(len, query._known)) <= 100
