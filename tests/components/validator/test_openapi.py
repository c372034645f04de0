"""OpenAPI documents: versions, matching, styles, bodies, dialects, security, answers, the app's own document."""

from __future__ import annotations

import json
from typing import Annotated

import pytest
from fastapi import FastAPI, Form, Header, Query, Security, UploadFile
from fastapi.security import OAuth2PasswordBearer
from flask import Flask
from pydantic import BaseModel, Field

from gatekeep.clock import SYSTEM_CLOCK
from gatekeep.components.authorizer import ApiKey, Authorize
from gatekeep.components.validator import Validate
from gatekeep.components.validator.documents import SchemaMistake
from gatekeep.components.validator.openapi import OpenApi
from gatekeep.errors import ConfigurationError
from gatekeep.exchange import current
from gatekeep.gateway import Gateway
from gatekeep.routing import Route
from gatekeep.stores import open_store
from gatekeep.testing import Client

JSON = {"content-type": "application/json"}
STORE = open_store("memory://", SYSTEM_CLOCK)
FORM = {"content-type": "application/x-www-form-urlencoded"}


def document(operation, *, method="get", path="/things/{id}", version="3.1.0", **more):
    operation = {"responses": {}, **operation}
    return {"openapi": version, "info": {"title": "t", "version": "1"}, "paths": {path: {method: operation}}, **more}


def old(operation, *, method="get", path="/things/{id}", **more):
    return {"swagger": "2.0", "info": {"title": "t", "version": "1"}, "paths": {path: {method: operation}}, **more}


@pytest.fixture
def ask(site):
    """Send a request past a document; gives what the view found in `exchange.valid`, or the answer's errors."""

    def ask(doc, target="/things/5", method="GET", headers=(), body=b"", path="/things/{id}", **options):
        seen = []

        def view(request):
            seen.append({part: dict(values) if type(values) is dict else values for part, values in current().valid.items()})
            return 200, [], b"ok"

        spec = Validate(openapi=doc, **options)
        answer = site(routes=[Route(path, spec)], view=view, store=STORE).request(
            method, target, headers=dict(headers), body=body
        )
        if answer.status == 200:
            return seen[0]
        if answer.status != 400:
            return answer.status
        return [(entry["in"], entry["pointer"], entry["keyword"]) for entry in answer.json()["errors"]]

    return ask


def query(schema, *, name="p", **more):
    return document({"parameters": [{"name": name, "in": "query", "schema": schema, **more}]})


STRINGS = {"type": "array", "items": {"type": "string"}}
INTEGERS = {"type": "array", "items": {"type": "integer"}}
OBJECT = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("doc", "target", "wanted"),
    [
        (query(INTEGERS), "?p=1&p=2", [1, 2]),
        (query(INTEGERS, explode=False), "?p=1,2", [1, 2]),
        (query(STRINGS, explode=False), "?p=a%2Cb,c", ["a,b", "c"]),
        (query(STRINGS, explode=False), "?p=a%2Cb", ["a", "b"]),
        (query(INTEGERS, style="spaceDelimited", explode=False), "?p=1%202", [1, 2]),
        (query(INTEGERS, style="pipeDelimited", explode=False), "?p=1|2", [1, 2]),
        (query(INTEGERS, style="pipeDelimited", explode=False), "?p=1%7C2", [1, 2]),
        (query(OBJECT, style="deepObject"), "?p[a]=1&p%5Bb%5D=x", {"a": 1, "b": "x"}),
        (query(OBJECT), "?a=1&b=x", {"a": 1, "b": "x"}),
        (query(OBJECT, explode=False), "?p=a,1,b,x", {"a": 1, "b": "x"}),
        (query({"anyOf": [{"type": "integer"}, {"type": "null"}]}), "?p=7", 7),
        (
            {**document({"parameters": [{"name": "p", "in": "query", "content": {"application/json": {"schema": OBJECT}}}]})},
            '?p={"a":1}',
            {"a": 1},
        ),
    ],
)
def test_styles_in_a_query(ask, doc, target, wanted):
    assert ask(doc, f"/things/5{target}")["query"]["p"] == wanted


@pytest.mark.parametrize(
    ("doc", "target", "wanted"),
    [
        (query(INTEGERS), "?p=1&p=x", [("query", "/p/1", "type")]),
        (query({"type": "integer"}, required=True), "", [("query", "/p", "required")]),
        (query(INTEGERS, explode=False), "?p=1&p=2", [("query", "/p", "style")]),
        (query(OBJECT, style="deepObject"), "?p[b]=x", [("query", "/p/a", "required")]),
        (query(OBJECT, style="deepObject"), "?p[a][c]=x", [("query", "/p", "style")]),
        (query(OBJECT, explode=False), "?p=a,1,b", [("query", "/p", "style")]),
        (query({"enum": ["a", "b"]}), "?p=c", [("query", "/p", "enum")]),
        (query({"type": "string", "format": "date"}), "?p=2020-02-30", [("query", "/p", "format")]),
        (query({"type": "integer", "format": "int32"}), "?p=2147483648", [("query", "/p", "exclusiveMaximum")]),
        (
            document({"parameters": [{"name": "p", "in": "query", "content": {"application/json": {"schema": OBJECT}}}]}),
            "?p={",
            [("query", "/p", "json")],
        ),
    ],
)
def test_what_styles_refuse(ask, doc, target, wanted):
    assert ask(doc, f"/things/5{target}") == wanted


@pytest.mark.parametrize(
    ("schema", "more", "path", "wanted"),
    [
        ({"type": "integer"}, {}, "5", 5),
        (INTEGERS, {}, "1,2", [1, 2]),
        (OBJECT, {}, "a,1,b,x", {"a": 1, "b": "x"}),
        (OBJECT, {"explode": True}, "a=1,b=x", {"a": 1, "b": "x"}),
        ({"type": "integer"}, {"style": "label"}, ".5", 5),
        (INTEGERS, {"style": "label", "explode": True}, ".1.2", [1, 2]),
        (INTEGERS, {"style": "label"}, ".1,2", [1, 2]),
    ],
)
def test_styles_in_a_path(ask, schema, more, path, wanted):
    doc = document({"parameters": [{"name": "id", "in": "path", "required": True, "schema": schema, **more}]})
    assert ask(doc, f"/things/{path}")["path"]["id"] == wanted


@pytest.mark.parametrize(
    ("schema", "explode", "path", "wanted"),
    [
        ({"type": "integer"}, False, ";id=5", 5),
        (INTEGERS, False, ";id=1,2", [1, 2]),
        (INTEGERS, True, ";id=1;id=2", [1, 2]),
        (OBJECT, True, ";a=1;b=x", {"a": 1, "b": "x"}),
        ({"type": "integer"}, False, "5", [("path", "/id", "style")]),
        (INTEGERS, True, ";x=1", [("path", "/id", "style")]),
        (INTEGERS, False, ";x=1", [("path", "/id", "style")]),
        (INTEGERS, False, "1", [("path", "/id", "style")]),
    ],
)
def test_matrices(site, schema, explode, path, wanted):
    parameter = {"name": "id", "in": "path", "required": True, "style": "matrix", "explode": explode, "schema": schema}
    seen = []

    def view(request):
        seen.append(current().valid["path"]["id"])
        return 200, [], b"ok"

    route = Route("/things/{id}", Validate(openapi=document({"parameters": [parameter]})), allow_ambiguous_paths=True)
    answer = site(routes=[route], view=view).get(f"/things/{path}")
    found = seen[0] if seen else [(entry["in"], entry["pointer"], entry["keyword"]) for entry in answer.json()["errors"]]
    assert found == wanted


def test_headers_and_cookies(ask):
    doc = document(
        {
            "parameters": [
                {"name": "X-Ids", "in": "header", "schema": INTEGERS},
                {"name": "X-Point", "in": "header", "explode": True, "schema": OBJECT},
                {"name": "Authorization", "in": "header", "required": True, "schema": {}},
                {"name": "session", "in": "cookie", "required": True, "schema": {"type": "integer"}},
                {"name": "tags", "in": "cookie", "schema": STRINGS},
            ]
        }
    )
    found = ask(doc, headers={"x-ids": "1, 2", "x-point": "a=1, b=x", "cookie": "session=5; tags=a,b"})
    assert found["headers"] == {"x-ids": [1, 2], "x-point": {"a": 1, "b": "x"}}
    assert found["cookies"] == {"session": 5, "tags": ["a", "b"]}
    assert ask(doc, headers={"x-ids": "1,x", "cookie": "session=x"}) == [
        ("header", "/x-ids/1", "type"),
        ("cookie", "/session", "type"),
    ]


def test_an_empty_value_may_be_allowed(ask):
    assert ask(query({"type": "integer"}, allowEmptyValue=True), "/things/5?p=") == {"query": {}}
    assert ask(query({"type": "integer"}), "/things/5?p=") == [("query", "/p", "type")]


def test_parameters_of_the_path_and_of_the_operation(ask):
    doc = document({"parameters": [{"$ref": "#/components/parameters/limit"}]})
    doc["paths"]["/things/{id}"]["parameters"] = [
        {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}},
        {"name": "limit", "in": "query", "required": True, "schema": {"type": "string"}},
    ]
    doc["components"] = {"parameters": {"limit": {"name": "limit", "in": "query", "schema": {"$ref": "#/components/schemas/l"}}}}
    doc["components"]["schemas"] = {"l": {"type": "integer", "maximum": 10}}
    assert ask(doc, "/things/5?limit=3") == {"path": {"id": 5}, "query": {"limit": 3}}
    assert ask(doc, "/things/x?limit=30") == [("path", "/id", "type"), ("query", "/limit", "maximum")]


def test_unknown_query_parameters_are_refused_on_request(ask):
    doc = query({"type": "integer"})
    doc["components"] = {"securitySchemes": {"k": {"type": "apiKey", "in": "query", "name": "key"}}}
    assert ask(doc, "/things/5?q=1") == {"query": {"q": "1"}}
    assert ask(doc, "/things/5?q=1", unknown_query="refuse") == [("query", "/q", "additionalProperties")]
    assert ask(doc, "/things/5?key=x&p=1", unknown_query="refuse") == {"query": {"key": "x", "p": 1}}


# Bodies.


def body(content, *, required=True, version="3.1.0", **more):
    return document({"requestBody": {"required": required, "content": content}}, method="post", version=version, **more)


def test_a_body_for_each_media_type(ask):
    doc = body(
        {
            "application/json": {"schema": {"$ref": "#/components/schemas/Thing"}},
            "text/plain": {"schema": {"type": "string", "maxLength": 3}},
            "application/x-www-form-urlencoded": {"schema": {"$ref": "#/components/schemas/Thing"}},
            "image/*": {},
        },
        components={"schemas": {"Thing": OBJECT}},
    )
    assert ask(doc, method="POST", headers=JSON, body=b'{"a":1}') == {"body": {"a": 1}}
    assert ask(doc, method="POST", headers=JSON, body=b'{"a":"x"}') == [("body", "/a", "type")]
    assert ask(doc, method="POST", headers={"content-type": "text/plain"}, body=b"abc") == {"body": "abc"}
    assert ask(doc, method="POST", headers={"content-type": "text/plain"}, body=b"abcd") == [("body", "", "maxLength")]
    assert ask(doc, method="POST", headers={"content-type": "text/plain"}, body=b"\xff") == [("body", "", "text")]
    assert ask(doc, method="POST", headers=FORM, body=b"a=1&b=x+y") == {"body": {"a": 1, "b": "x y"}}
    assert ask(doc, method="POST", headers=FORM, body=b"a=1&a=2") == [("body", "/a", "type")]
    assert ask(doc, method="POST", headers={"content-type": "image/png"}, body=b"\x89PNG") == {}
    assert ask(doc, method="POST", headers={"content-type": "application/xml"}, body=b"<a/>") == 415
    assert ask(doc, method="POST") == [("body", "", "required")]


def test_a_body_that_is_optional(ask):
    doc = body({"application/json": {"schema": OBJECT}}, required=False)
    assert ask(doc, method="POST") == {}
    assert ask(doc, method="POST", headers=JSON, body=b"{}") == [("body", "/a", "required")]


def test_encodings_of_form_fields(ask):
    schema = {"type": "object", "properties": {"ids": INTEGERS, "point": OBJECT, "flat": OBJECT}}
    encoding = {"ids": {"style": "pipeDelimited", "explode": False}, "flat": {"style": "form", "explode": False}}
    doc = body({"application/x-www-form-urlencoded": {"schema": schema, "encoding": encoding}})
    sent = b"ids=1|2&point=%7B%22a%22%3A1%7D&flat=a,1"
    assert ask(doc, method="POST", headers=FORM, body=sent) == {"body": {"ids": [1, 2], "point": {"a": 1}, "flat": {"a": 1}}}


def test_integers_of_64_bits(ask):
    doc = body({"application/json": {"schema": {"type": "integer", "format": "int64"}}})
    assert ask(doc, method="POST", headers=JSON, body=str(2**63 - 1).encode()) == {"body": 2**63 - 1}
    assert ask(doc, method="POST", headers=JSON, body=str(2**63).encode()) == [("body", "", "exclusiveMaximum")]
    assert ask(doc, method="POST", headers=JSON, body=b"1e300") == [("body", "", "exclusiveMaximum")]


def test_the_dialect_of_3_0(ask):
    schema = {
        "type": "object",
        "required": ["id", "name", "link"],
        "properties": {
            "id": {"type": "integer", "readOnly": True},
            "link": {"$ref": "#/components/schemas/Link"},
            "name": {"type": "string", "nullable": True},
            "color": {"enum": ["red"], "nullable": True, "type": "string"},
            "size": {"type": "integer", "minimum": 1, "exclusiveMinimum": True, "maximum": 5, "exclusiveMaximum": False},
            "part": {"allOf": [{"$ref": "#/components/schemas/Part"}], "nullable": True},
            "either": {
                "oneOf": [{"type": "integer"}, {"type": "boolean"}],
                "nullable": True,
                "discriminator": {"propertyName": "x"},
            },
            "other": {"$ref": "#/components/schemas/Part", "description": "ignored", "maxLength": 0},
        },
    }
    parts = {"Part": {"type": "string", "example": "x"}, "Link": {"type": "string", "readOnly": True}}
    doc = body({"application/json": {"schema": schema}}, version="3.0.3", components={"schemas": parts})

    def send(value):
        return ask(doc, method="POST", headers=JSON, body=json.dumps(value).encode())

    good = {"name": None, "color": None, "size": 2, "part": None, "either": None, "other": "long"}
    assert send(good) == {"body": good}
    assert send({**good, "size": 5, "part": "x", "either": 1}) == {"body": {**good, "size": 5, "part": "x", "either": 1}}
    assert send({**good, "size": 1}) == [("body", "/size", "exclusiveMinimum")]
    assert send({**good, "size": 6}) == [("body", "/size", "maximum")]
    assert set(send({"color": "blue"})) == {("body", "/color", "enum"), ("body", "/name", "required")}


def test_version_2(ask):
    doc = old(
        {
            "parameters": [
                {"name": "id", "in": "path", "required": True, "type": "integer"},
                {"name": "ids", "in": "query", "type": "array", "items": {"type": "integer"}},
                {"name": "pipes", "in": "query", "type": "array", "items": {"type": "integer"}, "collectionFormat": "pipes"},
                {"name": "multi", "in": "query", "type": "array", "items": {"type": "integer"}, "collectionFormat": "multi"},
                {"name": "color", "in": "query", "type": "string", "enum": ["red"]},
                {"name": "X-Ids", "in": "header", "type": "array", "items": {"type": "integer"}},
            ]
        },
        basePath="/v1",
    )
    target = "/v1/things/5?ids=1,2&pipes=1|2&multi=1&multi=2&color=red"
    found = ask(doc, target, path="/v1/things/{id}", headers={"x-ids": "1,2"})
    assert found["query"] == {"ids": [1, 2], "pipes": [1, 2], "multi": [1, 2], "color": "red"}
    assert found["headers"] == {"x-ids": [1, 2]}
    assert ask(doc, "/v1/things/x?color=blue", path="/v1/things/{id}") == [("path", "/id", "type"), ("query", "/color", "enum")]


def test_bodies_of_version_2(ask):
    thing = {"schema": {"$ref": "#/definitions/Thing"}, "name": "thing", "in": "body", "required": True}
    doc = old(
        {"parameters": [thing]},
        method="post",
        definitions={"Thing": OBJECT},
        consumes=["application/json", "application/vnd.x+json"],
    )
    assert ask(doc, method="POST", headers={"content-type": "application/vnd.x+json"}, body=b'{"a":1}') == {"body": {"a": 1}}
    assert ask(doc, method="POST", headers=JSON, body=b"{}") == [("body", "/a", "required")]
    fields = [
        {"name": "a", "in": "formData", "type": "integer", "required": True},
        {"name": "ids", "in": "formData", "type": "array", "items": {"type": "integer"}, "collectionFormat": "csv"},
    ]
    doc = old({"parameters": fields}, method="post")
    assert ask(doc, method="POST", headers=FORM, body=b"a=1&ids=1,2") == {"body": {"a": 1, "ids": [1, 2]}}
    assert ask(doc, method="POST", headers=FORM, body=b"a=x") == [("body", "/a", "type")]
    doc = old({"parameters": [*fields, {"name": "f", "in": "formData", "type": "file"}]}, method="post")
    head = b"--X\r\nContent-Disposition: form-data; name="
    sent = head + b'"a"\r\n\r\n1\r\n' + head + b'"f"; filename="n"\r\n\r\nzz\r\n--X--'
    found = ask(doc, method="POST", headers={"content-type": "multipart/form-data; boundary=X"}, body=sent)
    assert found == {"body": {"a": 1, "f": {"filename": "n", "content_type": "text/plain", "size": 2}}}


# Files, and what they refer to.


def test_a_file_and_its_references(ask, tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "api.yaml").write_text(
        """
openapi: 3.0.3
info: {title: t, version: 2020-01-01}
paths:
  /things/{id}: {$ref: "parts/paths.yaml#/things"}
""",
        "utf-8",
    )
    (tmp_path / "parts" / "paths.yaml").write_text(
        """
things:
  post:
    requestBody:
      required: true
      content:
        application/json:
          schema: {$ref: "schemas.json#/Thing"}
    responses: {200: {description: ok}}
""",
        "utf-8",
    )
    part = {"type": "integer", "nullable": True}
    (tmp_path / "parts" / "schemas.json").write_text(
        json.dumps({"Thing": {"type": "object", "properties": {"a": {"$ref": "#/Part"}}}, "Part": part}), "utf-8"
    )
    for doc in (str(tmp_path / "api.yaml"), tmp_path / "api.yaml"):
        assert ask(doc, method="POST", headers=JSON, body=b'{"a":null}') == {"body": {"a": None}}
        assert ask(doc, method="POST", headers=JSON, body=b'{"a":"x"}') == [("body", "/a", "type")]


@pytest.mark.parametrize(
    ("doc", "reason"),
    [
        ({}, "no OpenAPI document"),
        ([], "no OpenAPI document"),
        ({"openapi": "4.0.0"}, "no OpenAPI document"),
        ({"openapi": "3.1.0", "paths": 5}, "no mapping"),
        ({"openapi": "3.1.0", "paths": {"/a": {"$ref": "#/x"}}}, "leads nowhere"),
        ({"openapi": "3.1.0", "paths": {"/a": {"$ref": "#/paths/~1a"}}}, "in circles"),
        ("/nowhere/at/all.json", "can't be read"),
    ],
)
def test_what_is_no_document(doc, reason):
    with pytest.raises(ConfigurationError, match=reason) as caught:
        Validate(openapi=doc)
    assert "test_openapi.py:" in str(caught.value)


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        ({"parameters": [{"name": "p", "in": "query", "schema": {"$ref": "#/nowhere"}}]}, "leads nowhere"),
        ({"parameters": [{"name": "p", "in": "query", "schema": {"pattern": "(?<=a)"}}]}, "look-behind"),
        ({"parameters": [{"in": "query", "schema": {}}]}, "no operation"),
        ({"parameters": [{"name": "p", "in": "query", "schema": {"type": "strin"}}]}, "at /type"),
    ],
)
def test_mistakes_in_an_operation(site, operation, reason):
    with pytest.raises(ConfigurationError, match=reason) as caught:
        site(routes=[Route("/things/{id}", Validate(openapi=document(operation)))])
    assert "GET /things/{id}" in str(caught.value)


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("/things/{id}", True),
        ("/things/{other:int}", True),
        ("/v2/things/{id}", True),
        ("/things/{id}/", True),
        ("/things", False),
        ("/v3/things/{id}", False),
    ],
)
def test_matching_of_routes(template, wanted):
    api = OpenApi(document({}, servers=[{"url": "https://api.example.com/v2/"}, "odd"]))
    assert bool(api.operations(template)) == wanted


def test_parameters_may_have_other_names_in_the_route(ask):
    doc = document({"parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}]})
    assert ask(doc, "/things/5", path="/things/{thing_id}") == {"path": {"id": 5}}


def test_a_method_that_is_not_in_the_document_passes(ask):
    doc = query({"type": "integer"})
    assert ask(doc, "/things/5?p=x", method="DELETE") == {}


def test_head_is_judged_as_get(site):
    client = site(routes=[Route("/things/{id}", Validate(openapi=query({"type": "integer"})))])
    assert client.request("HEAD", "/things/5?p=x").status == 400
    assert client.request("HEAD", "/things/5?p=1").status == 200


def test_a_route_that_is_not_in_the_document_passes(site, caplog):
    with caplog.at_level("INFO", "gatekeep"):
        client = site(routes=[Route("/others", Validate(openapi=query({"type": "integer"})))])
        client.gateway.check()
    assert client.get("/others?p=x").status == 200
    assert caplog.text.count("says nothing of") == 1


# Security.

KEYS = ApiKey({"reader-key-0123456789": {"owner": "r", "scopes": ["read"]}})
SCHEMES = {
    "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-api-key"}, "oauth": {"type": "oauth2", "flows": {}}}
}


@pytest.mark.parametrize(
    ("security", "specs", "reason"),
    [
        ([{"key": []}], [], "asks for key, and no Authorize"),
        ([{"oauth": ["read", "write"]}], [Authorize(KEYS, scopes={"read"})], "the scopes"),
        ([{"unknown": []}], [Authorize(KEYS)], "does not declare: unknown"),
    ],
)
def test_security_that_the_gateway_does_not_ask_for(site, security, specs, reason):
    doc = document({"security": security}, components=SCHEMES)
    with pytest.raises(ConfigurationError, match=reason):
        site(routes=[Route("/things/{id}", Validate(openapi=doc), *specs)])
    site(routes=[Route("/things/{id}", Validate(openapi=doc, security="app"), *specs)])


@pytest.mark.parametrize(
    ("security", "specs"),
    [
        ([], []),
        ([{}, {"key": []}], []),
        ([{"key": []}], [Authorize(KEYS)]),
        ([{"oauth": ["read"]}], [Authorize(KEYS, scopes={"read", "more"})]),
        ([{"oauth": ["write"]}, {"key": []}], [Authorize(KEYS)]),
    ],
)
def test_security_that_fits(site, security, specs):
    site(routes=[Route("/things/{id}", Validate(openapi=document({"security": security}, components=SCHEMES)), *specs)])


def test_security_of_the_whole_document(site):
    doc = document({}, components=SCHEMES, security=[{"key": []}])
    with pytest.raises(ConfigurationError, match="no Authorize"):
        site(routes=[Route("/things/{id}", Validate(openapi=doc))])
    doc = old({"security": [{"key": []}]}, securityDefinitions={"key": {"type": "basic"}})
    with pytest.raises(ConfigurationError, match="no Authorize"):
        site(routes=[Route("/things/{id}", Validate(openapi=doc))])


# The app's own document.


class Order(BaseModel):
    item: str = Field(min_length=1)
    count: int = 1


def own(**options):
    app = FastAPI()
    gateway = Gateway(Validate(openapi=True, **options))
    gateway.init_app(app)
    return app


def test_the_document_that_fastapi_generates():
    app = own()

    @app.post("/orders/{order_id}")
    def place(order_id: int, order: Order, tag: Annotated[list[int], Query()], x_a: Annotated[int | None, Header()] = None):
        return dict(current().valid)

    @app.post("/forms")
    def form(a: Annotated[int, Form()], files: list[UploadFile]):
        return dict(current().valid)

    with Client(app) as client:
        answer = client.post("/orders/5?tag=1&tag=2", headers=JSON | {"x-a": "3"}, body=b'{"item":"pen"}')
        assert answer.json() == {
            "path": {"order_id": 5},
            "query": {"tag": [1, 2]},
            "headers": {"x-a": 3},
            "body": {"item": "pen"},
        }
        answer = client.post("/orders/x?tag=y", headers=JSON, body=b'{"item":""}')
        assert [entry["pointer"] for entry in answer.json()["errors"]] == ["/order_id", "/tag/0", "/item"]
        part = b'--X\r\nContent-Disposition: form-data; name="files"; filename="n"\r\n\r\nzz\r\n'
        sent = b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' + part + part + b"--X--"
        answer = client.post("/forms", headers={"content-type": "multipart/form-data; boundary=X"}, body=sent)
        assert [file["size"] for file in answer.json()["body"]["files"]] == [2, 2]
        paths = client.get("/openapi.json").json()["paths"]
        assert set(paths) == {"/orders/{order_id}", "/forms"}


def test_a_route_that_is_added_late_is_in_the_document():
    app = FastAPI()
    gateway = Gateway(Validate(openapi=True))
    gateway.init_app(app)
    with Client(app) as client:
        assert client.get("/late?n=x").status == 404

        @app.get("/late")
        def late(n: int):
            return n

        gateway.check()
        assert client.get("/late?n=x").status == 400
        assert client.get("/late?n=1").json() == 1


def test_security_of_fastapi():
    app = own(security="app")

    @app.get("/mine")
    def mine(token: Annotated[str, Security(OAuth2PasswordBearer("token"))]):
        return token

    with Client(app) as client:
        assert client.get("/mine", headers={"authorization": "Bearer x"}).json() == "x"
    app = own()
    app.get("/mine")(mine)
    with Client(app) as client, pytest.raises(ConfigurationError, match="no Authorize"):
        client.get("/mine")


def test_a_function_that_makes_the_document():
    app = Flask(__name__)

    @app.get("/things/<int:number>")
    def thing(number):
        return dict(current().valid)

    made = []

    def make():
        made.append(1)
        return query({"type": "integer"}, required=True)

    Gateway(Validate(openapi=make)).init_app(app)
    with Client(app) as client:
        assert client.get("/things/5?p=1").json() == {"query": {"p": 1}}
        assert client.get("/things/5").status == 400


@pytest.mark.parametrize(("made", "reason"), [(lambda: None, "makes no document"), (dict, "no OpenAPI document")])
def test_a_function_that_makes_none(site, made, reason):
    with pytest.raises(ConfigurationError, match=reason):
        site(routes=[Route("/things/{id}", Validate(openapi=made))])


def test_an_app_that_makes_no_document(site):
    with pytest.raises(ConfigurationError, match="this app makes no document"):
        site(routes=[Route("/things/{id}", Validate(openapi=True))])


def test_circular_references_in_a_document_are_named():
    with pytest.raises(SchemaMistake, match="in circles"):
        OpenApi({"openapi": "3.1.0", "paths": {"/a": {"$ref": "#/b"}}, "b": {"$ref": "#/b"}})


def test_a_misspelt_keyword_in_a_document_is_told_once(site, caplog):
    schema = {"type": "object", "propertys": {}}
    operation = {"requestBody": {"content": {"application/json": {"schema": schema}}}, "responses": {}}
    doc = document(operation, method="post")
    doc["paths"]["/things/{id}"]["put"] = operation
    spec = Validate(openapi=doc)
    site(routes=[Route("/things/{id}", spec)])
    said = [record.getMessage() for record in caplog.records if "no keyword of JSON Schema" in record.getMessage()]
    assert said == [
        f"Validate of {spec.origin}: no keyword of JSON Schema, and judges nothing: 'propertys' (did you mean 'properties'?)"
    ]
