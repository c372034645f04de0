"""lambda_proxy(): an app that answers as a Lambda function does. The letter in an id says how the row of AWS' is known."""

from __future__ import annotations

import base64
import json

import pytest

from gatekeep import ConfigurationError, Transform, by_field, by_status, lambda_proxy, map_body, set_header, set_status, vtl

JSON = [("content-type", "application/json")]
PNG = b"\x89PNG\xff"
ENCODED = base64.b64encode(PNG).decode()


@pytest.fixture
def answered(site):
    def answered(value, *others, binary=(), status=200, fields=JSON, headers=(), method="GET"):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        client = site(
            Transform(response=[lambda_proxy(binary=list(binary)), *others]),
            view=lambda request: (status, list(fields), body),
            errors="aws",
        )
        return client.request(method, "/", headers=dict(headers))

    return answered


FORMATS = [
    ("S-all-keys", {"statusCode": 201, "headers": {}, "multiValueHeaders": {}, "body": "x", "isBase64Encoded": False}, 201),
    ("S-no-status", {"body": "x"}, 200),
    ("S-nothing", {}, 200),
    ("S-status-in-text", {"statusCode": "201"}, 201),
    ("S-status-is-no-number", {"statusCode": "test"}, 502),
    ("S-another-key", {"statusCode": 200, "wrongValue": "x"}, 502),
    ("S-error-of-a-function", {"errorMessage": "bad", "errorType": "Exception"}, 502),
    ("S-text", "just a text", 502),
    ("S-null", None, 502),
    ("S-list", [{"statusCode": 200}], 502),
    ("S-headers-null", {"statusCode": 200, "headers": None}, 200),
    ("S-multi-value-is-no-list", {"statusCode": 200, "multiValueHeaders": {"x-a": "b"}}, 502),
    ("S-body-null", {"statusCode": 200, "body": None}, 200),
    ("K-body-is-no-text", {"statusCode": 200, "body": {"a": 1}}, 502),
    ("E-header-is-an-object", {"statusCode": 200, "headers": {"x-a": {}}}, 502),
    ("E-headers-are-no-object", {"statusCode": 200, "headers": ["x-a"]}, 502),
    ("status-out-of-range", {"statusCode": 99}, 502),
    ("status-is-a-fraction", {"statusCode": 200.5}, 502),
    ("status-is-true", {"statusCode": True}, 502),
    ("base64-is-no-boolean", {"isBase64Encoded": "yes"}, 502),
    ("header-is-none", {"headers": {"a b": "c"}}, 502),
    ("header-breaks-the-line", {"headers": {"x-a": "b\r\nc: d"}}, 502),
    ("no-json", b"{", 502),
    ("a-key-twice", b'{"statusCode": 200, "statusCode": 404}', 502),
]


@pytest.mark.parametrize(("value", "status"), [pytest.param(*row[1:], id=row[0]) for row in FORMATS])
def test_what_is_such_an_answer(answered, value, status):
    answer = answered(value)
    assert answer.status == status
    if status == 502:
        assert answer.json() == {"message": "Internal server error"}
        assert answer.headers.get("x-amzn-errortype") == "InternalServerErrorException"
    else:
        assert answer.body == ((value.get("body") or "").encode())


def test_the_code_of_a_502(site):
    client = site(Transform(response=[lambda_proxy()]), view=lambda _: (200, JSON, b"[]"))
    assert (client.get("/").status, client.get("/").json()["code"]) == (502, "malformed_answer")


def test_without_a_content_type_it_is_json__S(answered):
    answer = answered({"body": "{}"}, fields=[*JSON, ("x-envelope", "1"), ("etag", '"1"')])
    assert answer.headers.get("content-type") == "application/json"
    assert answer.headers.get("content-length") == "2"
    assert "x-envelope" not in answer.headers
    assert "etag" not in answer.headers


@pytest.mark.parametrize(
    ("given", "value"),
    [
        pytest.param(True, "true", id="S-true"),
        pytest.param(False, "false", id="S-false"),
        pytest.param(5, "5", id="K-number"),
        pytest.param("é", "é", id="text"),
        pytest.param(None, None, id="null"),
    ],
)
def test_values_of_header_fields(answered, given, value):
    assert answered({"headers": {"X-A": given}}).headers.get("x-a") == value


def test_several_values_come_before_the_single_one__S(answered):
    answer = answered({"headers": {"x-a": "3", "X-B": "4"}, "multiValueHeaders": {"X-A": ["1", "2"], "set-cookie": ["a", "b"]}})
    assert answer.headers.get_all("x-a") == ["1", "2", "3"]
    assert (answer.headers.get_all("x-b"), answer.headers.get_all("set-cookie")) == (["4"], ["a", "b"])


def test_several_values_give_the_spelling__S():
    from gatekeep.components.transformer.lambda_proxy import _fields

    assert list(_fields({"headers": {"x-a": "2"}, "multiValueHeaders": {"X-A": ["1"]}})) == [("X-A", "1"), ("X-A", "2")]


@pytest.mark.parametrize("name", ["Connection", "Date", "Server", "WWW-Authenticate", "Content-MD5", "User-Agent"])
def test_fields_of_the_connection_are_renamed__S(answered, name):
    answer = answered({"headers": {name: "own"}})
    assert answer.headers.get(f"x-amzn-remapped-{name.lower()}") == "own"
    assert answer.headers.get(name.lower()) != "own"


@pytest.mark.parametrize("name", ["Content-Length", "Host", "Transfer-Encoding", "TE", "Upgrade", "Via", "X-Amzn-Trace-Id"])
def test_fields_that_a_function_can_not_say__D(answered, name):
    answer = answered({"headers": {name: "99"}, "body": "x"})
    assert (answer.status, answer.headers.get("content-length")) == (200, "1")
    assert "99" not in [value for _, value in answer.headers]


BINARY = [
    ("S-flag-and-accept", True, "image/png", ["image/png"], PNG),
    ("S-first-accept-counts", True, "image/png, text/html", ["image/png"], PNG),
    ("S-another-accept-is-first", True, "text/html, image/png", ["image/png"], ENCODED.encode()),
    ("S-accept-of-a-kind", True, "image/*", ["image/png"], ENCODED.encode()),
    ("S-any-kind-of-a-subtype", True, "image/png", ["*/png"], ENCODED.encode()),
    ("D-everything", True, "image/png", ["*/*"], PNG),
    ("S-no-accept", True, None, ["image/png"], ENCODED.encode()),
    ("S-no-types", True, "image/png", [], ENCODED.encode()),
    ("S-no-flag", False, "image/png", ["image/png"], ENCODED.encode()),
]


@pytest.mark.parametrize(("flag", "accept", "types", "wanted"), [pytest.param(*row[1:], id=row[0]) for row in BINARY])
def test_base64(answered, flag, accept, types, wanted):
    value = {"headers": {"content-type": "image/png"}, "body": ENCODED, "isBase64Encoded": flag}
    answer = answered(value, binary=types, headers={"accept": accept} if accept else {})
    assert (answer.body, answer.headers.get("content-type")) == (wanted, "image/png")
    assert answer.headers.get("content-length") == str(len(wanted))
    assert answer.headers.get("vary") == ("accept" if types else None)


def test_base64_that_is_none__D(answered):
    value = {"body": "no base64!", "isBase64Encoded": True}
    assert answered(value, binary=["*/*"], headers={"accept": "a/b"}).status == 500


def test_other_operations_see_what_the_function_gave(answered):
    styles = by_status({"404": [map_body({"gone": "${body.id}"}), set_header("x-a", "${response.header.x-b}")]})
    value = {"statusCode": 404, "headers": {"x-b": "c"}, "body": '{"id": 7}'}
    answer = answered(value, *styles)
    assert (answer.status, answer.json(), answer.headers.get("x-a")) == (404, {"gone": 7}, "c")
    assert answered(value, map_body(vtl("<$input.path('$.id')>"), errors=True)).body == b"<7>"
    choice = by_field("id", {"7": [set_status(410)]})
    assert answered(value, choice).status == 410


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body(answered, status):
    answer = answered({"statusCode": status, "headers": {"content-type": "a/b", "x-a": "b"}, "body": "x"})
    assert (answer.status, answer.body, answer.headers.get("content-type"), answer.headers.get("x-a")) == (status, b"", None, "b")


@pytest.mark.parametrize("status", [302, 404, 500])
def test_what_is_no_success_of_the_app_passes_as_it_is(answered, status):
    answer = answered(b"as it is", status=status, fields=[("content-type", "text/plain"), ("x-a", "b")])
    assert (answer.status, answer.body, answer.headers.get("x-a")) == (status, b"as it is", "b")


@pytest.mark.parametrize("fields", [[("content-type", "text/html")], [*JSON, ("content-encoding", "gzip")]])
def test_what_is_no_plain_json_does_not_leave(answered, fields):
    answer = answered({"body": "secret"}, fields=fields)
    assert answer.status == 502
    assert b"secret" not in answer.body


def test_a_head_request(answered):
    answer = answered(b"", fields=[*JSON, ("content-length", "99")], method="HEAD")
    assert (answer.status, answer.headers.get("content-length")) == (200, None)


def test_the_app_is_not_told_of_encodings_and_ranges(site):
    seen = []

    def view(request):
        seen.append(request)
        return 200, JSON, b"{}"

    client = site(Transform(response=[lambda_proxy()]), view=view)
    client.get("/", headers={"accept-encoding": "gzip", "range": "bytes=0-1"})
    assert [seen[0].headers.get(name) for name in ("accept-encoding", "range")] == [None, None]


MISTAKES = [
    ({"request": [lambda_proxy()]}, "it is for answers"),
    ({"response": [lambda_proxy(), lambda_proxy()]}, "it stands once"),
    ({"response": by_status({200: [lambda_proxy()]})}, "beside by_status"),
    ({"response": [by_field("a", {"x": [lambda_proxy()]})]}, "beside by_field"),
    ({"response": [lambda_proxy(binary="image/png")]}, "no list of media types"),
]


@pytest.mark.parametrize(("options", "reason"), MISTAKES)
def test_mistakes(options, reason):
    with pytest.raises(ConfigurationError, match=reason):
        Transform(**options)
