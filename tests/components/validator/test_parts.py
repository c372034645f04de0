"""Forms, multipart bodies, cookies, encodings, limits and where schemas come from."""

from __future__ import annotations

import dataclasses
import gzip
import json
import sys
import zlib

import brotli
import msgspec
import pytest
from pydantic import BaseModel, Field

from gatekeep.clock import SYSTEM_CLOCK
from gatekeep.components.validator import Validate
from gatekeep.components.validator.formats import FORMATS
from gatekeep.components.validator.multipart import Malformed, scan
from gatekeep.errors import ConfigurationError
from gatekeep.exchange import current
from gatekeep.gateway import Gateway
from gatekeep.stores import open_store
from gatekeep.testing import Client

JSON = {"content-type": "application/json"}
STORE = open_store("memory://", SYSTEM_CLOCK)
FORM = {"content-type": "application/x-www-form-urlencoded"}
PARTS = {"content-type": "multipart/form-data; boundary=XX"}


@pytest.fixture
def send(site):
    """Send a body past a Validate; gives (valid, body as the app sees it), the answer's errors, or its status."""

    def send(spec, body=b"", headers=JSON, method="POST", target="/", **options):
        seen = []

        def view(request):
            seen.append((dict(current().valid), request.body, request.headers))
            return 200, [], b"ok"

        answer = site(spec, view=view, **{"store": STORE, **options}).request(method, target, headers=dict(headers), body=body)
        send.answer = answer
        if answer.status == 200:
            send.fields = seen[0][2]
            return seen[0][:2]
        if answer.status != 400:
            return answer.status
        return [(entry["pointer"], entry["keyword"]) for entry in answer.json()["errors"]]

    return send


# Forms.

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["name"],
    "additionalProperties": False,
}


def test_a_form(send):
    spec = Validate(content={"application/x-www-form-urlencoded": PERSON})
    sent = b"name=a+b&age=5&tags=1&tags=2"
    assert send(spec, sent, FORM) == ({"body": {"name": "a b", "age": 5, "tags": [1, 2]}}, sent)
    assert send(spec, b"age=x&tags=y&z=", FORM) == [
        ("/age", "type"),
        ("/tags/0", "type"),
        ("/name", "required"),
        ("/z", "additionalProperties"),
    ]
    assert send(spec, b"name=%ff", FORM) == [("", "form")]
    assert send(spec, b"name=\xff", FORM) == [("", "form")]
    assert send(spec, b"a=1&" * 2_000, FORM) == [("", "form")]
    assert send(spec, b"name=x", {"content-type": "application/x-www-form-urlencoded; charset=latin-1"}) == 415


def test_any_form(send):
    assert send(Validate(content={"application/x-www-form-urlencoded": True}), b"a=1", FORM)[0] == {"body": {"a": "1"}}


# Multipart.


def part(head, content=b"x"):
    return b"--XX\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + content + b"\r\n"


UPLOAD = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 5},
        "count": {"type": "integer"},
        "numbers": {"type": "array", "items": {"type": "integer"}},
        "meta": {"type": "object", "properties": {"a": {"type": "integer"}}},
        "photo": {"type": "string", "contentMediaType": "image/*", "minLength": 2, "maxLength": 10},
        "files": {"type": "array", "maxItems": 2, "items": {"type": "string", "format": "binary"}},
        "maybe": {"anyOf": [{"type": "string", "format": "binary"}, {"type": "null"}]},
    },
    "required": ["photo"],
    "additionalProperties": False,
}
UPLOADS = Validate(content={"multipart/form-data": UPLOAD})
PHOTO = part('name="photo"; filename="p.png"\r\nContent-Type: image/png', b"png!")
END = b"--XX--\r\n"


def test_parts(send):
    sent = (
        part('name="title"', "é".encode())
        + part('name="count"', b"5")
        + part('name="numbers"', b"1")
        + part('name="numbers"', b"2")
        + part('name="meta"\r\nContent-Type: application/json', b'{"a":1}')
        + PHOTO
        + part("name=\"files\"; filename*=UTF-8''na%20me", b"\r\n--X")
        + END
    )
    valid, body = send(UPLOADS, sent, PARTS)
    assert body == sent
    assert valid["body"] == {
        "title": "é",
        "count": 5,
        "numbers": [1, 2],
        "meta": {"a": 1},
        "photo": {"filename": "p.png", "content_type": "image/png", "size": 4},
        "files": [{"filename": "na me", "content_type": "text/plain", "size": 5}],
    }


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        (END.replace(b"--XX--", b"--XX--"), [("/photo", "required")]),
        (PHOTO + PHOTO + END, [("/photo", "type")]),
        (
            part('name="photo"; filename="p"\r\nContent-Type: text/html') + END,
            [("/photo", "minLength"), ("/photo", "contentMediaType")],
        ),
        (PHOTO.replace(b"png!", b"png!" * 5) + END, [("/photo", "maxLength")]),
        (PHOTO + part('name="title"', b"too long") + END, [("/title", "maxLength")]),
        (PHOTO + part('name="title"', b"\xff") + END, [("/title", "form")]),
        (PHOTO + part('name="title"; filename="x"') + END, [("/title", "type")]),
        (PHOTO + part('name="other"') + END, [("/other", "additionalProperties")]),
        (PHOTO + part('name="count"', b"x") + END, [("/count", "type")]),
        (PHOTO + part('name="meta"\r\nContent-Type: application/json', b"{") + END, [("/meta", "json"), ("/meta", "type")]),
        (PHOTO + part('name="files"; filename="a"') * 3 + END, [("/files", "maxItems")]),
    ],
)
def test_what_is_wrong_with_parts(send, sent, wanted):
    assert send(UPLOADS, sent, PARTS) == wanted


def test_a_text_part_that_is_too_large(send):
    spec = Validate(content={"multipart/form-data": {"type": "object"}}, max_body=100)
    assert send(spec, part('name="a"', b"x" * 101) + END, PARTS) == [("/a", "maxLength")]
    assert send(spec, part('name="a"; filename="f"', b"x" * 101) + END, PARTS)[0]["body"]["a"]["size"] == 101


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "does not begin"),
        (b"preamble\r\n" + PHOTO + END, "does not begin"),
        (PHOTO, "in the middle"),
        (PHOTO + b"--XX", "after a boundary"),
        (PHOTO + END + b"epilogue", "goes on"),
        (PHOTO.replace(b"--XX\r\n", b"--XX\n") + END, "after a boundary"),
        (PHOTO[:-3], "in the middle"),
        (part('name="a"') * 1_001 + END, "more than 1000 parts"),
        (b"--XX\r\nX: y" * 3, "does not end"),
        (b"--XX\r\n" + b"a" * 9_000 + b"\r\n\r\nx\r\n" + END, "does not end"),
        (b"--XX\r\n\r\n\r\nx\r\n" + END, "can't be read"),
        (b"--XX\r\nX: y\r\n\r\nx\r\n" + END, "without a name"),
        (part('filename="a"') + END, "without a name"),
        (part('name="a"; name="b"') + END, "can't be read"),
        (part('name="a') + END, "can't be read"),
        (part('name="a"\r\nContent-Type: a/b\r\ncontent-type: c/d') + END, "can't be read"),
        (part('name="a"\r\n folded') + END, "can't be read"),
        (part('name="a"\r\nContent-Transfer-Encoding: base64') + END, "transfer encoding"),
        (part('name="a"').replace(b'"a"', b'"\xff"') + END, "not UTF-8"),
    ],
)
def test_malformed_parts(body, reason):
    with pytest.raises(Malformed, match=reason):
        scan(body, PARTS["content-type"])


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=a; boundary=b", "x; boundary="])
def test_boundaries_that_are_none(content_type):
    with pytest.raises(Malformed, match="boundary"):
        scan(b"--a--", content_type)


def test_how_names_are_written():
    [found] = scan(part('name="a\\"b\\\\c"; filename=bare') + END, 'multipart/form-data; boundary="XX"')
    assert (found.name, found.filename) == ('a"b\\c', "bare")
    [empty] = scan(part('name="a"', b"") + END, PARTS["content-type"])
    assert empty.size == 0
    assert scan(b"--XX--", PARTS["content-type"]) == []


# Cookies.


def test_cookies(send):
    spec = Validate(cookies={"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
    assert send(spec, headers={"cookie": "n=5; other=x"}, method="GET")[0] == {"cookies": {"n": 5}}
    assert send(spec, headers={"cookie": "n=secret"}, method="GET") == [("/n", "type")]
    assert b"secret" not in send.answer.body
    assert send(spec, method="GET", headers={}) == [("/n", "required")]


def test_a_cookie_that_is_sent_twice(send):
    spec = Validate(cookies={"n": {"type": "integer"}})
    assert send(spec, headers={"cookie": "n=5; n=6; m=1; m=2"}, method="GET") == [("/n", "type")]


def test_a_content_type_that_is_sent_twice():
    async def never(scope, receive, send):
        raise AssertionError

    fields = [("content-type", "application/json; a=b"), ("content-type", "text/plain")]
    with Client(Gateway(Validate(body=True), store=STORE).wrap(never)) as client:
        assert client.post("/", headers=fields, body=b"1").status == 415


def test_credentials_are_not_repeated(send):
    spec = Validate(headers={"Authorization": {"maxLength": 3}, "X-Other": {"maxLength": 3}}, secrets=["x-other"])
    assert send(spec, headers={"authorization": "secret", "x-other": "secret"}, method="GET") == [
        ("/authorization", "maxLength"),
        ("/x-other", "maxLength"),
    ]
    assert b"secret" not in send.answer.body


def test_unknown_query_parameters(send):
    for spec in (
        Validate(query={"a": True}, unknown_query="refuse"),
        Validate(query={"type": "object", "properties": {"a": True}}, unknown_query="refuse"),
    ):
        assert send(spec, method="GET", headers={}, target="/?a=1")[0] == {"query": {"a": "1"}}
        assert send(spec, method="GET", headers={}, target="/?b=1") == [("/b", "additionalProperties")]
    assert send(Validate(unknown_query="refuse"), method="GET", headers={}, target="/?b=1") == [("/b", "additionalProperties")]


# Encodings.

ANY = Validate(body=True, encodings=["gzip", "deflate", "br"])
BODY = json.dumps({"a": "x" * 1000}).encode()
RAW = zlib.compressobj(wbits=-15)


@pytest.mark.parametrize(
    ("encoding", "encoded"),
    [
        ("gzip", gzip.compress(BODY, mtime=0)),
        ("GZip", gzip.compress(BODY[:500], mtime=0) + gzip.compress(BODY[500:], mtime=0)),
        ("x-gzip", gzip.compress(BODY, mtime=0)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", RAW.compress(BODY) + RAW.flush()),
        ("br", brotli.compress(BODY)),
    ],
)
def test_a_body_is_decoded_for_the_app(send, encoding, encoded):
    valid, body = send(ANY, encoded, JSON | {"content-encoding": encoding})
    assert valid["body"] == json.loads(BODY)
    assert body == BODY
    assert send.fields.get("content-encoding") is None
    assert send.fields.get("content-length") == str(len(BODY))


@pytest.mark.parametrize(
    ("encoding", "encoded"),
    [
        ("gzip", b"x"),
        ("gzip", gzip.compress(BODY, mtime=0)[:-1]),
        ("gzip", gzip.compress(BODY, mtime=0) + b"x"),
        ("deflate", zlib.compress(BODY) + b"x"),
        ("deflate", b"\xff"),
        ("br", b"\xff"),
        ("br", brotli.compress(BODY)[:-3]),
    ],
)
def test_a_body_that_is_not_in_its_encoding(send, encoding, encoded):
    assert send(ANY, encoded, JSON | {"content-encoding": encoding}) == [("", "encoding")]


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress, brotli.compress])
def test_a_body_that_grows_too_much(send, encode):
    encoding = {gzip.compress: "gzip", zlib.compress: "deflate", brotli.compress: "br"}[encode]
    bomb = encode(b'"' + b"a" * 3_000_000 + b'"')
    assert send(ANY, bomb, JSON | {"content-encoding": encoding}) == 413
    assert (
        send(
            Validate(body=True, max_body=5_000_000, encodings=["gzip", "deflate", "br"]),
            bomb,
            JSON | {"content-encoding": encoding},
        )
        == 413
    )
    large = Validate(body=True, max_body=5_000_000, max_ratio=10_000_000, encodings=["gzip", "deflate", "br"])
    assert send(large, bomb, JSON | {"content-encoding": encoding})[1][:3] == b'"aa'


@pytest.mark.parametrize(("encodings", "detail"), [((), "without a Content-Encoding"), (["gzip"], "encodings gzip")])
def test_encodings_that_are_not_taken(send, encodings, detail):
    assert send(Validate(body=True, encodings=encodings), b"1", JSON | {"content-encoding": "br"}) == 415
    assert detail in send.answer.json()["detail"]


def test_files_are_decoded_up_to_the_gateways_bound(send):
    body = gzip.compress(part('name="a"; filename="f"', b"x" * 3_000_000) + END)
    spec = Validate(content={"multipart/form-data": True}, max_ratio=10_000)
    assert send(spec, body, PARTS | {"content-encoding": "gzip"})[0]["body"]["a"]["size"] == 3_000_000
    assert send(spec, body, PARTS | {"content-encoding": "gzip"}, max_body=1_000_000) == 413


# Limits.


def test_a_url_that_is_too_long(send):
    assert send(Validate(query={"a": True}), method="GET", headers={}, target="/?a=" + "x" * 8_200) == 414
    assert send.answer.json()["code"] == "uri_too_long"
    assert send(Validate(query={"a": True}, max_url=20), method="GET", headers={}, target="/?a=1")[0] == {"query": {"a": "1"}}


@pytest.mark.parametrize("fields", [{f"x-{number}": "a" for number in range(101)}, {"x-a": "a" * 17_000}])
def test_headers_that_are_too_large(send, fields):
    assert send(Validate(query={"a": True}), method="GET", headers=fields) == 431
    assert send.answer.json()["code"] == "headers_too_large"
    assert send(Validate(query={"a": True}, max_headers=200, max_header_bytes=20_000), method="GET", headers=fields)[0] == {
        "query": {}
    }


def test_a_body_that_is_too_large(send):
    spec = Validate(body=True, max_body=10)
    assert send(spec, b'"' + b"a" * 20 + b'"') == 413
    assert send(spec, [b'"aaaaaaa', b'aaaaaaa"']) == 413
    assert send(spec, b'"aaaa"')[0] == {"body": "aaaa"}


# Sources.


class Model(BaseModel):
    item: str = Field(min_length=1)
    secret: str = Field(default="", max_length=3, json_schema_extra={"writeOnly": True})


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Struct(msgspec.Struct):
    x: int
    tags: list[str] = []


@pytest.mark.parametrize(
    ("source", "good", "bad", "where"),
    [
        (Model, {"item": "a"}, {"item": ""}, ("/item", "minLength")),
        (list[Model], [{"item": "a"}], [{"item": ""}], ("/0/item", "minLength")),
        (Point, {"x": 1}, {"x": "1"}, ("/x", "type")),
        (list[Point], [{"x": 1}], [{}], ("/0/x", "required")),
        (Struct, {"x": 1}, {"x": 1, "tags": [1]}, ("/tags/0", "type")),
        (list[Struct], [{"x": 1}], [{"x": "1"}], ("/0/x", "type")),
        (dict[str, int], {"a": 1}, {"a": "1"}, ("/a", "type")),
        (int | None, None, "1", ("", "anyOf")),
    ],
)
def test_models(send, source, good, bad, where):
    spec = Validate(body=source)
    assert send(spec, json.dumps(good).encode())[0] == {"body": good}
    assert send(spec, json.dumps(bad).encode()) == [where]


def test_secrets_of_a_model(send):
    assert send(Validate(body=Model), b'{"item":"a","secret":"hunter2"}') == [("/secret", "maxLength")]
    assert send.answer.json()["errors"][0]["got"] == "[redacted]"


def test_a_dataclass_without_pydantic(send, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydantic", None)
    assert send(Validate(body=Point), b'{"x":"1"}') == [("/x", "type")]
    monkeypatch.setitem(sys.modules, "msgspec", None)
    with pytest.raises(ConfigurationError, match="neither is installed"):
        Validate(body=Point)


class Opaque:
    pass


class Instant(BaseModel):
    a: int


class Packed(msgspec.Struct):
    a: int


@dataclasses.dataclass
class Plain:
    a: int


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (Opaque, "pydantic makes no schema"),
        (object(), "is no schema"),
        (list[Struct | Opaque], "msgspec makes no schema"),
        (Instant(a=1), r"body: an instance of Instant is no schema: give the class itself, Instant$"),
        (Packed(1), "give the class itself, Packed"),
        (Plain(1), "give the class itself, Plain"),
    ],
)
def test_what_makes_no_schema(source, reason):
    with pytest.raises(ConfigurationError, match=reason):
        Validate(body=source)


def test_files(send, tmp_path):
    (tmp_path / "order.json").write_text(
        '{"properties": {"item": {"$ref": "parts/item.yaml#/item"}, "n": {"$ref": "#/$defs/n"}},'
        ' "$defs": {"n": {"type": "integer"}}}'
    )
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "item.yaml").write_text("item: {type: string, minLength: 2, default: 2020-01-01}\n")
    for source in (tmp_path / "order.json", str(tmp_path / "order.json")):
        assert send(Validate(body=source), b'{"item":"a","n":"x"}') == [("/item", "minLength"), ("/n", "type")]
    assert send(Validate(body=f"{tmp_path}/order.json#/$defs/n"), b'"x"') == [("", "type")]
    (tmp_path / "order.json").unlink()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.json", None, "can't be read"),
        ("a.json", b"{", "is not JSON"),
        ("a.json", b"\xff", "can't be read"),
        ("a.yaml", b"a: [", "is not YAML"),
        ("a.yaml", b"!!python/object/apply:os.system [x]", "is not YAML"),
        ("a.json", b'{"$ref": "other.json"}', "can't be read"),
        ("a.json", b'{"$ref": "https://example.com/a.json"}', "nothing is fetched"),
        ("a.json", b'"' + b"a" * 11_000_000 + b'"', "larger than"),
    ],
)
def test_files_that_are_no_schemas(tmp_path, name, content, reason):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=reason):
        Validate(body=tmp_path / name)


def test_yaml_takes_pyyaml(tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text("type: object")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigurationError, match=r"gatekeep\[formats\]"):
        Validate(body=tmp_path / "a.yaml")


def test_a_document_does_not_reach_files():
    with pytest.raises(ConfigurationError, match="nothing is fetched"):
        Validate(body={"$ref": "file:///etc/hostname"})


def test_documents_by_uri(send):
    spec = Validate(
        body={"$ref": "https://example.com/item#/a"}, schemas={"https://example.com/item": {"a": {"type": "integer"}}}
    )
    assert send(spec, b'"x"') == [("", "type")]
    meta = Validate(body={"$ref": "https://json-schema.org/draft/2020-12/schema"})
    assert send(meta, b'{"type":"strin"}') == [("/type", "anyOf")]


def test_a_vocabulary_that_is_unknown():
    meta = {"$vocabulary": {"https://example.com/vocab/odd": True}}
    with pytest.raises(ConfigurationError, match="vocabulary"):
        Validate(body={"$schema": "https://example.com/meta"}, schemas={"https://example.com/meta": meta})
    with pytest.raises(ConfigurationError, match=r"its \$schema"):
        Validate(body={"$schema": "https://example.com/meta"}, schemas={"https://example.com/meta": {}})
    with pytest.raises(ConfigurationError, match=r"its \$schema"):
        Validate(body={"$schema": "https://example.com/other"})


# Formats.

GOOD_AND_BAD = {
    "byte": (["aGk=", ""], ["a", "é"]),
    "date": (["2020-02-29"], ["2021-02-29", "2020-2-9", "٢٠٢٠-٠١-٠١", "2020-01-01x"]),
    "date-time": (["2020-01-01T00:00:00Z", "1998-12-31T15:59:60-08:00"], ["2020-01-01T00:00:00", "1998-12-31T23:58:60Z", "x"]),
    "duration": (["P1D", "PT1H", "P2W", "P1Y2M3DT4H5M6S"], ["P", "PT", "1D", "P1"]),
    "email": (
        ["a.b@c.d", '"a b"@c', "a@[1.2.3.4]", "a@[IPv6:::1]"],
        ["a", "a@", "@c", ".a@c", "a@-c", "a@[1.2]", "a" * 65 + "@c"],
    ),
    "hostname": (["a.b-c", "1"], ["-a", "a..b", "a_b", "", "a" * 64]),
    "ipv4": (["1.2.3.4"], ["1.2.3", "01.2.3.4", "::1"]),
    "ipv6": (["::1", "1::2"], ["1", "::1%eth0", "1.2.3.4"]),
    "json-pointer": (["", "/a~0~1"], ["a", "/~2"]),
    "regex": (["^a$"], ["("]),
    "relative-json-pointer": (["0", "1/a", "2#"], ["01", "/a", "-1"]),
    "time": (["00:00:00Z", "23:59:60+00:00"], ["24:00:00Z", "00:00:00", "12:00:60Z"]),
    "uri": (["http://a/b?c#d", "urn:a:b"], ["/a", "a b:c", "http://a/%zz"]),
    "uri-reference": (["/a", "#b", ""], ["\\a", "a b"]),
    "uuid": (["2EB8AA08-aa98-11ea-b4aa-73b441d16380"], ["2eb8aa08aa9811eab4aa73b441d16380"]),
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats(name):
    good, bad = GOOD_AND_BAD[name]
    assert [text for text in (*good, *bad) if FORMATS[name](text)] == good
    assert name == "byte" or not FORMATS[name]("a" * 10_000)


def test_formats_are_asserted_on_request(send):
    assert send(Validate(body={"format": "uuid"}), b'"x"')[0] == {"body": "x"}
    assert send(Validate(body={"format": "uuid"}, formats=True), b'"x"') == [("", "format")]
    assert send.answer.json()["errors"][0]["detail"] == "must be of the format uuid"
    assert send(Validate(body={"format": "uuid"}, formats=True), b"5")[0] == {"body": 5}


# The spec.


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"body": True, "content": {"application/json": True}}, "exclude each other"),
        ({"body": True, "openapi": {}}, "openapi says it all"),
        ({"content": [1]}, "content is not a mapping"),
        ({"body": True, "schemas": [1]}, "schemas is not a mapping"),
        ({"content": {"json": True}}, "no media type"),
        ({"content": {"multipart/form-data": 5}}, "is no schema"),
        ({"content": {"multipart/form-data": False}}, "a form takes"),
        ({"body": True, "encodings": "gzip"}, "encodings is a string"),
        ({"body": True, "encodings": ["zstd"]}, "none of gzip"),
        ({"body": True, "answers": "log"}, "answers='log'"),
        ({"body": True, "max_ratio": 0}, "max_ratio"),
        ({"body": True, "max_url": 0}, "max_url"),
        ({"response": {"type": 5}}, "response: at /type"),
        ({"content": {"image/png": {"type": 5}}}, "body: at /type"),
    ],
)
def test_mistakes(fields, reason):
    with pytest.raises(ConfigurationError, match=reason):
        Validate(**fields)


def test_brotli_is_an_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"gatekeep\[formats\]"):
        Validate(body=True, encodings=["br"])


def test_content_types_of_what_is_not_read(send):
    spec = Validate(content={"image/png": True, "text/*": {"maxLength": 2}, "*/*": True})
    assert send(spec, b"\xff", {"content-type": "image/png"})[0] == {}
    assert send(spec, b"abc", {"content-type": "text/x"}) == [("", "maxLength")]
    assert send(spec, b"\xff", {"content-type": "a/b"})[0] == {}
    spec = Validate(content={"*/*": {"type": "integer"}}, max_body=10)
    assert send(spec, b"5") == ({"body": 5}, b"5")
    assert send(spec, b'"x"') == [("", "type")]
    assert send(spec, b"1" * 11) == 413
    assert send(spec, b"x" * 11, {"content-type": "image/png"})[0] == {}


@pytest.mark.parametrize("media_type", ["application/yaml", "application/xml", "image/png", "image/*", "Application/YAML"])
@pytest.mark.parametrize("schema", [{"type": "object"}, {"type": "string", "maxLength": 10}, False])
def test_a_schema_for_a_type_that_is_never_parsed_is_a_mistake(media_type, schema):
    for fields in (
        {"content": {JSON["content-type"]: True, media_type: schema}},
        {"body": schema, "content_types": [media_type]},
    ):
        with pytest.raises(
            ConfigurationError, match=rf"test_parts.py:.*body: {media_type.lower().replace('*', '.')} is not parsed"
        ):
            Validate(**fields)


@pytest.mark.parametrize("schema", [True, {}])
def test_a_type_that_is_never_parsed_may_be_taken_with_any_body(send, schema):
    spec = Validate(content={"application/yaml": schema})
    assert send(spec, b"a: 1", {"content-type": "application/yaml"})[0] == {}


def test_the_handshake_of_a_gateway_with_a_body_only():
    with Client(Gateway(Validate(body=True)).wrap(lambda environ, start_response: [])) as client:
        assert client.post("/", headers=JSON).status == 400
