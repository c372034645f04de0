"""SigV4: who signs is known, and what was signed is what the app gets."""

from __future__ import annotations

import asyncio
import email.utils
import json
import logging
import time
from hashlib import sha256
from pathlib import Path

import pytest

from components.authorizer.signing import ACCESS_KEY, REGION, SECRET, now, sign
from gatekeep import (
    STANDARD,
    ApiKey,
    Authorize,
    Component,
    Hooks,
    Route,
    Spec,
    Stage,
    Transform,
    Validate,
    blocking,
    either,
    map_body,
    rewrite_path,
    set_header,
)
from gatekeep.components.authorizer.sigv4 import Credential, SigV4, canonical
from gatekeep.errors import ConfigurationError, DependencyError
from gatekeep.exchange import current
from gatekeep.gateway import Gateway
from gatekeep.testing import FakeClock
from stores.store_servers import Valkey

CASES = json.loads(Path(__file__).with_name("sigv4_cases.json").read_text("utf-8"))
KEYS = {ACCESS_KEY: SECRET}


@pytest.fixture(scope="module")
def valkey():
    server = Valkey()
    yield server
    server.stop()


def whoami(request):
    who = current().principal
    body = [who.kind, who.id, who.client_id, sorted(who.scopes), sorted(who.roles), dict(who.claims), request.body.decode()]
    return 200, [], json.dumps(body).encode()


def sigv4(credentials=KEYS, **options):
    return Authorize(SigV4(credentials, REGION, **options))


def code(answer):
    return answer.json()["code"]


@pytest.fixture
def signed_site(site):
    def make(credentials=KEYS, **options):
        rules = {name: options.pop(name) for name in list(options) if name in SigV4.__dataclass_fields__}
        clock = options.pop("clock", None) or now()
        client = site(sigv4(credentials, **rules), view=options.pop("view", whoami), clock=clock, **options)
        client.clock = clock
        return client

    return make


# The test suite of AWS (github.com/awslabs/aws-c-auth): what is sent, and its signature. Requests as they stand on the wire,
# some in a spelling that no client would choose.


def send_case(case, protocol, wrapped):
    raw, query, body = case["path"].encode(), case["query"].encode(), case["body"].encode()
    fields = [(name.lower(), value) for name, value in case["headers"]]
    sent = []
    if protocol == "asgi":

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": case["method"],
            "scheme": "https",
            "path": case["path"],
            "raw_path": raw,
            "root_path": "",
            "query_string": query,
            "headers": [(name.encode(), value.encode()) for name, value in fields],
        }
        asyncio.run(wrapped(scope, receive, send))
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)
    from io import BytesIO

    environ = {
        "REQUEST_METHOD": case["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": raw.decode("latin-1"),
        "RAW_URI": (raw + b"?" + query).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "wsgi.input": BytesIO(body),
        "CONTENT_LENGTH": str(len(body)) if body else "",
    }
    for name, value in fields:
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ and key.startswith("HTTP_") else value
    chunks = wrapped(environ, lambda status, headers, exc_info=None: sent.append(int(status[:3])))
    answer = b"".join(chunks)
    chunks.close()
    return sent[0], answer


def gateway_of_case(case, protocol, **options):
    import opaque

    credential = Credential("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", session_token=case.get("session_token"))
    authenticator = SigV4({"AKIDEXAMPLE": credential}, "us-east-1", "service", normalize=case["normalize"], **options)
    gateway = Gateway(Authorize(authenticator), clock=FakeClock(wall=1_440_938_160.0))
    return gateway.wrap((opaque.wsgi_app if protocol == "wsgi" else opaque.asgi_app)(opaque.ok))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_cases_of_aws(case, protocol):
    assert send_case(case, protocol, gateway_of_case(case, protocol, strict=False)) == (200, b"ok")
    wrong = {**case, "method": "PUT"}
    status, body = send_case(wrong, protocol, gateway_of_case(case, protocol, strict=False))
    assert (status, json.loads(body)["code"]) == (401, "signature_mismatch")


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_cases_of_aws_to_the_letter(case, protocol):
    """Strictly, a path or query that only comes to what was signed is refused."""
    status, body = send_case(case, protocol, gateway_of_case(case, protocol))
    segments = case["path"].split("/")[1:]
    if (
        case["normalize"]
        and case["path"] != "/"
        and any(part in ("", ".", "..") for part in (*segments[:-1], segments[-1] or "x"))
    ):
        assert (status, json.loads(body)["code"]) == (401, "path_not_normal")
    elif not case["query"].isascii():
        assert (status, json.loads(body)["code"]) == (401, "signature_mismatch")
    else:
        assert (status, body) == (200, b"ok")


# What is accepted.


@pytest.mark.parametrize(
    "target", ["/", "/orders/7", "/a%20b/%C3%A9/%2F~x", "/orders?b=2&a=1&a=0&c", "/orders?q=a%20b%2Bc%3D&q="]
)
@pytest.mark.parametrize("expires", [None, 60])
def test_what_botocore_signs(signed_site, target, expires):
    answer = sign(target=target, expires=expires).send(signed_site())
    assert answer.status == 200, answer.body
    assert answer.json() == ["sigv4", ACCESS_KEY, ACCESS_KEY, [], [], {"access_key_id": ACCESS_KEY}, ""]


@pytest.mark.parametrize(("hashed", "expires"), [(True, None), (False, None), (True, 60)])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("body", [b"", b'{"n": 1}', b"x" * 100_000])
def test_bodies(signed_site, hashed, expires, stream, body):
    signed = sign("POST", "/orders", {"Content-Type": "application/json"}, body, hashed=hashed, expires=expires)
    answer = signed.send(signed_site(stream=stream))
    assert answer.status == 200, answer.body
    assert answer.json()[-1] == body.decode()


def test_a_presigned_request_has_the_body_that_it_was_signed_with(signed_site):
    signed = sign("POST", "/orders", expires=60)
    client = signed_site()
    assert signed.send(client).status == 200
    assert code(signed.send(client, body=b"abc")) == "signature_mismatch"


def test_a_chunked_body(signed_site):
    for hashed in (True, False):
        signed = sign("POST", "/orders", body=b"abcdef", hashed=hashed).but(transfer_encoding="chunked")
        assert signed.send(signed_site(), body=[b"abc", b"def"]).json()[-1] == "abcdef"
        assert code(signed.send(signed_site(), body=[b"abc", b"dee"])) in ("payload_mismatch", "signature_mismatch")


def test_what_is_known_of_the_holder(signed_site):
    credential = Credential(SECRET, "acme", ["orders:read"], {"partner"}, claims={"plan": "gold"})
    who = sign().send(signed_site({ACCESS_KEY: credential})).json()
    assert who[:-1] == ["sigv4", "acme", ACCESS_KEY, ["orders:read"], ["partner"], {"plan": "gold", "access_key_id": ACCESS_KEY}]
    assert SECRET not in repr(credential)


def test_a_date_field_will_do_where_it_is_signed(signed_site):
    # botocore signs a Date field in place of X-Amz-Date where the request has one.
    date = email.utils.formatdate(usegmt=True)
    signed = sign(headers={"Date": date})
    assert "X-Amz-Date" not in signed.headers
    client = signed_site()
    assert signed.send(client).status == 200
    assert code(signed.but(date="Sun, 30 Aug 2015 12:36:00 GMT").send(client)) == "invalid_scope"
    for never in ("yesterday", "Sun, 30 Aug 99999999999 12:36:00 GMT"):
        assert code(signed.but(date=never).send(client)) == "signature_malformed"
    assert code(signed.but(date=None).send(client)) == "signature_malformed"
    unsigned = signed.but(authorization=signed.headers["Authorization"].replace("date;host", "host"))
    assert code(unsigned.send(client)) == "field_not_signed"


def test_several_regions(site):
    client = site(Authorize(SigV4(KEYS, ["eu-west-1", "us-east-1"])), clock=now())
    assert [sign(region=region).send(client).status for region in ("eu-west-1", "us-east-1", "us-east-2")] == [200, 200, 401]


@pytest.mark.parametrize("strict", [True, False])
def test_s3_signs_paths_once_and_as_they_are(site, strict):
    client = site(Authorize(SigV4(KEYS, REGION, "s3", unsigned_payload=True, strict=strict)), view=whoami, clock=now())
    from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    for kind, options in ((S3SigV4Auth, {}), (S3SigV4QueryAuth, {"expires": 60})):
        request = AWSRequest(method="GET", url="http://testserver/bucket/a%20b//c/../d")
        kind(Credentials(ACCESS_KEY, SECRET), "s3", REGION, **options).add_auth(request)
        target = request.url.removeprefix("http://testserver")
        headers = [("Host", "testserver"), *request.headers.items()]
        assert client.get(target, headers=headers).status == 200
        for other in ("/bucket/a%20b//c%2F../d", "/bucket/%61%20b//c/../d"):
            respelled = client.get(target.replace("/bucket/a%20b//c/../d", other), headers=headers)
            assert respelled.status == (401 if strict else 200)
        assert client.get(target.replace("//", "/"), headers=headers).status == 401


# What is refused.

HEADER_CHANGES = {
    "no signature": (lambda s: s.but(authorization=None), "signature_missing"),
    "another scheme": (lambda s: s.but(authorization="Bearer x"), "signature_missing"),
    "another algorithm": (
        lambda s: s.but(authorization=s.headers["Authorization"].replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")),
        "unsupported_signature",
    ),
    "lower case": (lambda s: s.but(authorization=s.headers["Authorization"].replace("AWS4", "aws4")), "unsupported_signature"),
    "nothing in it": (lambda s: s.but(authorization="AWS4-HMAC-SHA256"), "signature_malformed"),
    "no value": (lambda s: s.but(authorization="AWS4-HMAC-SHA256 Credential"), "signature_malformed"),
    "a part missing": (lambda s: s.but(authorization=s.headers["Authorization"].partition(", Sig")[0]), "signature_malformed"),
    "a part twice": (
        lambda s: s.but(authorization=s.headers["Authorization"] + ", Signature=" + "0" * 64),
        "signature_malformed",
    ),
    "a part of its own": (lambda s: s.but(authorization=s.headers["Authorization"] + ", Extra=1"), "signature_malformed"),
    "a short scope": (
        lambda s: s.but(authorization=s.headers["Authorization"].replace("/aws4_request", "")),
        "signature_malformed",
    ),
    "another terminator": (
        lambda s: s.but(authorization=s.headers["Authorization"].replace("aws4_request", "aws5_request")),
        "invalid_scope",
    ),
    "another region": (lambda s: s.but(authorization=s.headers["Authorization"].replace(REGION, "mars-1")), "invalid_scope"),
    "another service": (
        lambda s: s.but(authorization=s.headers["Authorization"].replace("execute-api", "lambda")),
        "invalid_scope",
    ),
    "another day": (lambda s: s.but(x_amz_date="20150830T123600Z"), "invalid_scope"),
    "no date": (lambda s: s.but(x_amz_date=None), "signature_malformed"),
    "not a date": (lambda s: s.but(x_amz_date="now"), "signature_malformed"),
    "a day that is none": (lambda s: s.but(x_amz_date="20159930T123600Z"), "signature_malformed"),
    "an unknown key": (
        lambda s: s.but(authorization=s.headers["Authorization"].replace(ACCESS_KEY, "AKIDOTHER")),
        "unknown_access_key",
    ),
    "a key of strange letters": (
        lambda s: s.but(authorization=s.headers["Authorization"].replace(ACCESS_KEY, "AKID OTHER")),
        "unknown_access_key",
    ),
    "host not signed": (
        lambda s: s.but(authorization=s.headers["Authorization"].replace("host;", "")),
        "field_not_signed",
    ),
    "a field that is not there": (
        lambda s: s.but(authorization=s.headers["Authorization"].replace("host;", "host;nothing;")),
        "signature_mismatch",
    ),
    "names not sorted": (
        lambda s: s.but(authorization=s.headers["Authorization"].replace("host;x-amz-date", "x-amz-date;host")),
        "signature_malformed",
    ),
    "names in upper case": (
        lambda s: s.but(authorization=s.headers["Authorization"].replace("host;", "Host;")),
        "signature_malformed",
    ),
    "an x-amz field not signed": (lambda s: s.but(x_amz_meta="1"), "field_not_signed"),
    "the payload's hash not signed": (lambda s: s.but(x_amz_content_sha256=sha256(b"").hexdigest()), "field_not_signed"),
    "a session token nobody knows": (lambda s: s.but(x_amz_security_token="x"), "session_token_invalid"),
    "a signature in upper case": (
        lambda s: s.but(authorization=s.headers["Authorization"][:-64] + s.headers["Authorization"][-64:].upper()),
        "signature_malformed",
    ),
    "a short signature": (lambda s: s.but(authorization=s.headers["Authorization"][:-1]), "signature_malformed"),
    "an empty signature": (lambda s: s.but(authorization=s.headers["Authorization"][:-64]), "signature_malformed"),
    "a wrong signature": (lambda s: s.but(authorization=s.headers["Authorization"][:-64] + "0" * 64), "signature_mismatch"),
    "another method": (lambda s: s._replace(method="DELETE"), "signature_mismatch"),
    "another path": (lambda s: s._replace(target="/other"), "signature_mismatch"),
    "another query": (lambda s: s._replace(target=s.target + "?a=1"), "signature_mismatch"),
    "another host": (lambda s: s.but(host="other"), "signature_mismatch"),
    "a body": (lambda s: s._replace(body=b"x"), "signature_mismatch"),
}


@pytest.mark.parametrize("change", HEADER_CHANGES)
def test_a_signature_in_a_field_that_does_not_hold(signed_site, change):
    alter, expected = HEADER_CHANGES[change]
    signed = sign(target="/orders")
    client = signed_site()
    assert signed.send(client).status == 200
    answer = alter(signed).send(client)
    assert (answer.status, code(answer)) == (401, expected)
    assert answer.headers.get_all("www-authenticate") == ["AWS4-HMAC-SHA256"]


QUERY_CHANGES = {
    "a parameter missing": (lambda t: t.replace("X-Amz-Expires=60&", ""), "signature_malformed"),
    "no signature": (lambda t: t.partition("&X-Amz-Signature")[0], "signature_malformed"),
    "another algorithm": (lambda t: t.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"), "unsupported_signature"),
    "a signature in upper case": (lambda t: t[:-64] + t[-64:].upper(), "signature_malformed"),
    "a longer life": (lambda t: t.replace("Expires=60", "Expires=61"), "signature_mismatch"),
    "more than a week": (lambda t: t.replace("Expires=60", "Expires=604801"), "signature_malformed"),
    "no life": (lambda t: t.replace("Expires=60", "Expires=0"), "signature_malformed"),
    "a negative one": (lambda t: t.replace("Expires=60", "Expires=-60"), "signature_malformed"),
    "digits that are none": (lambda t: t.replace("Expires=60", "Expires=%D9%A6"), "signature_malformed"),
    "other names": (lambda t: t.replace("SignedHeaders=host", "SignedHeaders=date"), "field_not_signed"),
    "a parameter added": (lambda t: t + "&a=1", "signature_mismatch"),
    "a parameter dropped": (lambda t: t.replace("b=2&", "", 1), "signature_mismatch"),
    "a hash of the body": (lambda t: t + "&X-Amz-Content-Sha256=" + sha256(b"").hexdigest(), "signature_mismatch"),
    "a session token": (lambda t: t + "&X-Amz-Security-Token=x", "session_token_invalid"),
    "another spelling": (lambda t: t.replace("%2F", "%2f"), "signature_mismatch"),
}


@pytest.mark.parametrize("change", QUERY_CHANGES)
def test_a_signature_in_the_query_that_does_not_hold(signed_site, change):
    alter, expected = QUERY_CHANGES[change]
    signed = sign(target="/orders?b=2&c=3", expires=60)
    client = signed_site()
    assert signed.send(client).status == 200
    assert alter(signed.target) != signed.target
    answer = signed.send(client, target=alter(signed.target))
    assert (answer.status, code(answer)) == (401, expected)


@pytest.mark.parametrize("name", ["X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "X-Amz-Date"])
def test_a_parameter_that_stands_twice(signed_site, name):
    signed = sign(expires=60, token="t")
    client = signed_site({ACCESS_KEY: Credential(SECRET, session_token="t")})
    assert signed.send(client).status == 200
    answer = signed.send(client, target=f"{signed.target}&{name}=x")
    assert (answer.status, code(answer)) == (400, "ambiguous_credentials")


def test_two_signatures_are_ambiguous(signed_site):
    client = signed_site()
    in_field, in_query = sign(), sign(expires=60)
    answer = client.get(in_query.target, headers=in_field.headers)
    assert (answer.status, code(answer)) == (400, "ambiguous_credentials")
    value = in_field.headers.pop("Authorization")
    answer = client.get("/", headers=[*in_field.headers.items(), ("Authorization", value), ("Authorization", value)])
    assert (answer.status, code(answer)) in [(400, "ambiguous_credentials"), (401, "signature_malformed")]


def test_other_forms_of_the_field(signed_site):
    client = signed_site()
    signed = sign()
    head, _, signature = signed.headers["Authorization"].rpartition(", ")
    credential, _, names = head.removeprefix("AWS4-HMAC-SHA256 ").partition(", ")
    for parts in ([signature, names, credential], [names, credential, signature]):
        for separator in (", ", ",", " ,  "):
            assert signed.but(authorization="AWS4-HMAC-SHA256 " + separator.join(parts)).send(client).status == 200
    for spoiled in (credential[:-1], "x" * 2000, f"Credential={'x' * 2000}/a/b/c/aws4_request"):
        answer = signed.but(authorization=f"AWS4-HMAC-SHA256 {spoiled}, {names}, {signature}").send(client)
        assert code(answer) in ("signature_malformed", "invalid_scope")


def test_the_authority_of_http_2(signed_site):
    """Who signs :authority signs what comes as the Host field."""
    client = signed_site()
    moment = sign().headers["X-Amz-Date"]
    scope = f"{moment[:8]}/{REGION}/execute-api/aws4_request"
    names = ":authority;x-amz-date"
    fields = f":authority:testserver\nx-amz-date:{moment}\n"
    request = canonical.canonical_request("GET", "/", "", fields, names, sha256(b"").hexdigest())
    made = canonical.signature(canonical.signing_key(SECRET, moment[:8], REGION, "execute-api"), moment, scope, request)
    value = f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={made}"
    assert client.get("/", headers={"host": "testserver", "x-amz-date": moment, "authorization": value}).status == 200
    assert client.get("/", headers={"host": "other", "x-amz-date": moment, "authorization": value}).status == 401


def test_presigned_requests_can_be_turned_off(signed_site):
    assert code(sign(expires=60).send(signed_site(presigned=False))) == "signature_missing"


def test_fields_that_must_be_signed(signed_site):
    client = signed_site(require_signed={"Content-Type"})
    signed = sign("POST", headers={"Content-Type": "text/plain"})
    assert signed.send(client).status == 200
    unsigned = sign("POST")
    assert unsigned.send(client).status == 200
    assert code(unsigned.but(content_type="text/plain").send(client)) == "field_not_signed"


def test_what_comes_unsigned_through_cloudfront(signed_site):
    assert sign().but(x_amz_cf_id="abc").send(signed_site()).status == 200


# Time.


def test_how_long_a_signature_in_a_field_is_good(signed_site):
    client = signed_site()
    signed = sign()
    client.clock.advance(298.0)
    assert signed.send(client).status == 200
    client.clock.advance(4.0)
    assert code(signed.send(client)) == "signature_expired"


def test_a_signature_of_the_future(signed_site):
    clock = now()
    clock.advance(-298.0)
    client = signed_site(clock=clock)
    signed = sign()
    assert signed.send(client).status == 200
    clock.advance(-4.0)
    assert code(signed.send(client)) == "signature_not_yet_valid"


def test_how_long_a_presigned_request_is_good(signed_site):
    client = signed_site()
    signed = sign(expires=1000)
    client.clock.advance(998.0)
    assert signed.send(client).status == 200
    client.clock.advance(4.0)
    assert code(signed.send(client)) == "signature_expired"
    assert code(sign(expires=1000).send(signed_site(max_expires=999.0))) == "signature_malformed"


# Bodies.


def test_another_body_than_the_signed_one(signed_site):
    body = b"a body of some length"
    for options, expected in (({"hashed": True}, "payload_mismatch"), ({}, "signature_mismatch")):
        for stream in (True, False):
            client = signed_site(stream=stream)
            signed = sign("POST", "/orders", body=body, **options)
            for other in (b"a body of some lengtH", body + b"!", b"", body * 10_000):
                answer = signed.send(client, body=other)
                assert (answer.status, code(answer)) == (401, expected), (options, stream, other[:30])


def test_the_end_of_a_forged_body_reaches_no_app(protocol):
    heard = []

    async def asgi(scope, receive, send):
        while True:
            message = await receive()
            heard.append(message["body"])
            if not message["more_body"]:
                break
        raise AssertionError("the end was reached")

    def wsgi(environ, start_response):
        for chunk in iter(lambda: environ["wsgi.input"].read(4096), b""):
            heard.append(chunk)
        raise AssertionError("the end was reached")

    from gatekeep.testing import Client

    gateway = Gateway(sigv4(), clock=now())
    with Client(gateway.wsgi(wsgi) if protocol == "wsgi" else gateway.asgi(asgi)) as client:
        signed = sign("POST", body=b"a" * 20_000, hashed=True).but(transfer_encoding="chunked")
        answer = signed.send(client, body=[b"a" * 10_000, b"a" * 9_999, b"b"])
        assert (answer.status, code(answer)) == (401, "payload_mismatch")
    assert 0 < sum(map(len, heard)) < 20_000


def test_a_streamed_body_may_be_longer_than_one_that_is_read(signed_site):
    client = signed_site(max_body=1000)
    body = b"x" * 2000
    assert sign("PUT", body=body, hashed=True).send(client).status == 200
    assert sign("PUT", body=body).send(client).status == 413
    assert sign("PUT", body=body, hashed=True).send(signed_site(max_body=1000, stream=False)).status == 413


def test_a_body_that_a_component_needs_is_checked_as_well(site):
    client = site(sigv4(), Validate(body={"type": "object"}), view=whoami, clock=now())
    signed = sign("POST", headers={"Content-Type": "application/json"}, body=b'{"n": 1}', hashed=True)
    assert signed.send(client).status == 200
    assert code(signed.send(client, body=b'{"n": 2}')) == "payload_mismatch"


@pytest.mark.parametrize("expires", [None, 60])
def test_unsigned_payloads(signed_site, expires):
    signed = sign("POST", body=b"whatever", payload="UNSIGNED-PAYLOAD", expires=expires)
    assert code(signed.send(signed_site())) == "payload_not_signed"
    client = signed_site(unsigned_payload=True)
    assert signed.send(client, body=b"something else").json()[-1] == "something else"
    assert code(signed.but(x_amz_content_sha256=sha256(b"whatever").hexdigest()).send(client)) == "signature_mismatch"


@pytest.mark.parametrize("payload", ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "required", sha256(b"").hexdigest().upper(), ""])
def test_payloads_that_are_signed_in_other_ways(signed_site, payload):
    signed = sign("POST", body=b"whatever", payload=payload or " ")
    assert code(signed.send(signed_site(unsigned_payload=True))) == "unsupported_payload"


def test_a_hash_in_the_query(signed_site):
    digest = sha256(b"abc").hexdigest()
    signed = sign("POST", f"/?X-Amz-Content-Sha256={digest}", payload=digest, body=b"abc", expires=60)
    client = signed_site()
    assert signed.send(client).status == 200
    assert code(signed.send(client, body=b"abd")) == "payload_mismatch"


def test_the_body_is_not_read_before_the_caller_is_known():
    def receive_nothing():
        raise AssertionError("the body was read")

    async def go(signed):
        messages = []

        async def receive():
            receive_nothing()

        async def send(message):
            messages.append(message)

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in signed.headers.items()]
            + [(b"content-length", b"3")],
        }
        await wrapped(scope, receive, send)
        return json.loads(messages[1]["body"])["code"]

    async def app(scope, receive, send):
        raise AssertionError("reached")

    gateway = Gateway(sigv4(), clock=now())
    wrapped = gateway.asgi(app)
    for signed, expected in (
        (sign("POST", body=b"abc", access_key="AKIDOTHER"), "unknown_access_key"),
        (sign("POST", body=b"abc", region="mars-1"), "invalid_scope"),
        (sign("POST", body=b"abc").but(x_amz_meta="1"), "field_not_signed"),
        (sign("POST", body=b"abc", hashed=True, secret="another"), "signature_mismatch"),
    ):
        assert asyncio.run(go(signed)) == expected
    gateway.clock.advance(301.0)
    assert asyncio.run(go(sign("POST", body=b"abc"))) == "signature_expired"


# Session tokens.


@pytest.mark.parametrize("expires", [None, 600])
def test_session_tokens(signed_site, expires):
    client = signed_site({ACCESS_KEY: Credential(SECRET, session_token="a/token+of=some", expires=now().wall() + 100)})
    assert sign(token="a/token+of=some", expires=expires).send(client).status == 200
    for token in (None, "a/token+of=somE", "x"):
        assert code(sign(token=token, expires=expires).send(client)) == "session_token_invalid"
    client.clock.advance(100.0)
    assert code(sign(token="a/token+of=some", expires=expires).send(client)) == "session_token_expired"


def test_a_presigned_request_may_get_its_session_token_afterwards(signed_site):
    client = signed_site({ACCESS_KEY: Credential(SECRET, session_token="t+/=")})
    link = sign(expires=60)
    assert link.send(client, target=link.target + "&X-Amz-Security-Token=t%2B%2F%3D").status == 200
    assert link.but(x_amz_security_token="t+/=").send(client).status == 200
    assert code(link.send(client)) == "session_token_invalid"


def test_a_session_token_of_strange_letters(signed_site):
    answer = sign().but(x_amz_security_token="\u00e9\u00ff").send(signed_site())
    assert (answer.status, code(answer)) == (401, "session_token_invalid")


# Looking secrets up.


def lookup_of(protocol, kind, calls):
    def sync(access_key, token):
        calls.append((access_key, token))
        return Credential(SECRET, "acme", session_token=token) if access_key == ACCESS_KEY else None

    async def asynchronous(access_key, token):
        return sync(access_key, token)

    return {
        "sync": sync,
        "async": asynchronous,
        "either": either(sync=sync, asynchronous=asynchronous),
        "blocking": blocking(sync),
    }[kind]


@pytest.mark.parametrize("kind", ["sync", "async", "either", "blocking"])
def test_a_function_looks_secrets_up(signed_site, protocol, kind):
    calls = []
    if (protocol, kind) == ("wsgi", "async"):
        with pytest.raises(ConfigurationError, match="async"):
            sign().send(signed_site(lookup_of(protocol, kind, calls)))
        return
    client = signed_site(lookup_of(protocol, kind, calls), ttl=5.0)
    for _ in range(2):
        assert sign("POST", body=b"abc").send(client).json()[1] == "acme"
        assert code(sign(access_key="AKIDOTHER").send(client)) == "unknown_access_key"
    assert calls == [(ACCESS_KEY, None), ("AKIDOTHER", None)]
    assert sign(token="t").send(client).status == 200
    assert calls[2:] == [(ACCESS_KEY, "t")]
    client.clock.advance(5.0)
    assert sign().send(client).status == 200
    assert code(sign(access_key="AKIDOTHER").send(client)) == "unknown_access_key"
    assert len(calls) == 5


def test_many_first_requests_cost_one_look_up(signed_site, protocol):
    calls = []

    async def slowly(access_key, token):
        calls.append(access_key)
        await asyncio.sleep(0.05)
        return SECRET

    def blockingly(access_key, token):
        calls.append(access_key)
        time.sleep(0.2)
        return SECRET

    client = signed_site(either(sync=blockingly, asynchronous=slowly))
    headers = sign().headers
    answers = client.gather([("GET", "/", {"headers": headers})] * 30)
    assert {answer.status for answer in answers} == {200}
    assert calls == [ACCESS_KEY]


def test_a_revoked_key_is_refused_after_the_ttl(signed_site):
    secrets = {ACCESS_KEY: SECRET}
    client = signed_site(lambda access_key, token: secrets.get(access_key), ttl=5.0)
    assert sign().send(client).status == 200
    secrets.clear()
    client.clock.advance(4.9)
    assert sign().send(client).status == 200
    client.clock.advance(0.2)
    assert code(sign().send(client)) == "unknown_access_key"
    secrets[ACCESS_KEY] = SECRET
    client.clock.advance(5.0)
    assert sign().send(client).status == 200


@pytest.mark.parametrize("found", [7, b"secret", {"secret": SECRET}, ""])
def test_a_look_up_that_gives_something_else_lets_nobody_in(signed_site, found):
    assert sign().send(signed_site(lambda access_key, token: found)).status == 500


def test_a_look_up_that_is_away_lets_nobody_in(signed_site):
    def away(access_key, token):
        raise DependencyError("the vault is sealed")

    assert sign().send(signed_site(away)).status == 503


def test_a_look_up_that_fails_lets_nobody_in(signed_site):
    def broken(access_key, token):
        raise OSError("no route to the vault")

    assert sign().send(signed_site(broken)).status == 500


def test_made_up_keys_fill_no_memory(signed_site):
    client = signed_site(lambda access_key, token: SECRET if access_key == ACCESS_KEY else None, remember=10)
    assert sign().send(client).status == 200
    signed = sign()
    for number in range(30):
        signed.but(authorization=signed.headers["Authorization"].replace(ACCESS_KEY, f"AKID{number}")).send(client)
        # Nor do session tokens that are made up for a key that there is.
        assert code(signed.but(x_amz_security_token=f"token-{number}").send(client)) == "session_token_invalid"
    authorizer = next(one for one in client.gateway.components if type(one).__name__ == "Authorizer")
    credentials = next(iter(authorizer._verifiers.values()))._credentials
    assert (len(credentials._known), len(credentials._useless)) == (1, 10)


# Replays.


def test_a_signature_is_good_once(signed_site):
    client = signed_site(once=True)
    first, other = sign(), sign(target="/other")
    assert [first.send(client).status, first.send(client).status, other.send(client).status] == [200, 401, 200]
    assert code(first.send(client)) == "signature_replayed"
    client.clock.advance(299.0)
    assert code(first.send(client)) == "signature_replayed"
    client.clock.advance(3.0)
    assert code(first.send(client)) == "signature_expired"


def test_a_presigned_request_is_good_once(signed_site):
    client = signed_site(once=True)
    link = sign(expires=3600)
    assert link.send(client).status == 200
    for _ in range(3):
        client.clock.advance(1199.0)
        assert code(link.send(client)) == "signature_replayed"


def test_a_forged_request_uses_no_signature_up(signed_site):
    client = signed_site(once=True)
    signed = sign("POST", "/orders", body=b"abc")
    assert code(signed.send(client, body=b"abd")) == "signature_mismatch"
    assert signed.send(client).status == 200


@pytest.mark.usefixtures("patient_stores")
def test_a_shared_store_remembers_signatures_for_all(site, valkey):
    one, other = (site(sigv4(once=True), store=valkey.url, clock=now()) for _ in range(2))
    # The store is the same for both protocols: paths differ, as the time need not.
    signed, link = sign(target=f"/{one.protocol}"), sign(target=f"/{one.protocol}", expires=3600)
    assert [signed.send(one).status, signed.send(other).status, link.send(other).status] == [200, 401, 200]
    assert code(link.send(one)) == "signature_replayed"
    body = sign("POST", f"/{one.protocol}", body=b"abc")
    assert [body.send(one).status, body.send(other).status] == [200, 401]


def test_while_the_store_is_away_nobody_gets_through_once(site):
    server = Valkey()
    client = site(sigv4(once=True), store=server.url, clock=now())
    server.kill()
    assert sign().send(client).status == 503


def test_several_workers_need_a_shared_store(site, monkeypatch, tmp_path):
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    with pytest.raises(ConfigurationError, match="4 workers"):
        sign().send(site(sigv4(once=True)))
    with pytest.raises(ConfigurationError, match="each of 3 workers"):  # what the gateway is told counts more
        sign().send(site(sigv4(once=True), workers=3))
    assert sign().send(site(sigv4(once=True), workers=1, clock=now())).status == 200
    assert sign().send(site(sigv4(), clock=now())).status == 200
    monkeypatch.delenv("WEB_CONCURRENCY")
    with pytest.raises(ConfigurationError, match="each of 2 workers"):
        sign().send(site(sigv4(once=True), workers=2))
    host = f"host://{tmp_path}/limits.db"
    assert sign().send(site(sigv4(once=True), workers=2, store=host, clock=now())).status == 200


def test_a_store_that_can_not_remember(site):
    class Poor:
        remote = shared = False

        def close(self):
            return None

    with pytest.raises(ConfigurationError, match="remember signatures"):
        sign().send(site(sigv4(once=True), store=Poor()))


def test_of_simultaneous_replays_one_gets_through(signed_site):
    client = signed_site(once=True)
    signed = sign()
    answers = client.gather([("GET", "/", {"headers": signed.headers}) for _ in range(20)])
    assert sorted(answer.status for answer in answers) == [200] + [401] * 19


# Paths.


def test_a_path_that_the_server_does_not_spell_out(signed_site, caplog):
    """Where no spelling is told, only a path that has but one can be checked."""
    client = signed_site()
    hidden = {"environ": {"RAW_URI": ""}} if client.protocol == "wsgi" else None
    for target, expected in (("/orders/7~a.b-c_d", None), ("/a%20b", "path_unverifiable"), ("/a:b", "path_unverifiable")):
        signed = sign(target=target)
        if hidden is not None:
            answer = client.request("GET", target, headers=signed.headers, **hidden)
        else:
            answer = client.run(without_raw_path(client.app, target, signed.headers))
        assert (answer.status, answer.status == 401 and code(answer)) == ((401, expected) if expected else (200, False))
    assert [record.levelno for record in caplog.records if "spelled" in record.message] == [logging.WARNING] * 2


async def without_raw_path(app, target, headers):
    from gatekeep.testing import call_asgi

    async def strip(scope, receive, send):
        scope.pop("raw_path")
        await app(scope, receive, send)

    return await call_asgi(strip, "GET", target, headers=headers)


def test_spellings_that_come_to_the_same(signed_site):
    signed = sign(target="/orders?a=b%2Fc%20d&z")
    for target in ("/orders?z=&a=b%2Fc%20d", "/orders?a=b%2Fc%20d&z="):
        assert signed.send(signed_site(), target=target).status == 200  # the order of parameters is not signed
    for target in ("/orders?a=b%2fc%20d&z", "/orders?a=b/c+d&z", "/./orders?a=b%2Fc%20d&z", "//orders?a=b%2Fc%20d&z"):
        assert signed.send(signed_site(), target=target).status == 401
        assert signed.send(signed_site(strict=False), target=target).status == 200
    assert signed.send(signed_site(strict=False), target="/orders?a=b%2Fc%2520d&z").status == 401


def test_a_plus_is_what_the_app_takes_it_for(signed_site):
    """A plus that was signed to the letter passes; one in place of a signed %2B would be a blank to the app, and does not."""
    assert sign(target="/?a=b+c").send(signed_site()).status == 200
    signed = sign(target="/?a=b%2Bc")
    for strict in (True, False):
        assert signed.send(signed_site(strict=strict), target="/?a=b+c").status == 401


def test_below_a_root_path(signed_site, protocol):
    # Whether a server has taken the root path off or not: what was signed is the path of the wire.
    signed = sign(target="/base/orders")
    client = signed_site()
    assert client.get("/base/orders", headers=signed.headers, root_path="/base").status == 200
    assert code(client.get("/other/orders", headers=signed.headers, root_path="/other")) == "signature_mismatch"


def test_what_was_signed_is_what_came_and_not_what_components_make_of_it(site):
    # The default's signature is checked before the rewriting, the target's again after it.
    client = site(
        sigv4(),
        Transform(request=[set_header("x-added", "1")]),
        view=whoami,
        clock=now(),
        routes=[
            Route("/old/{id}", Transform(request=[rewrite_path("/new/{id}")])),
            Route("/new/{id}", Authorize(SigV4(KEYS, REGION))),
        ],
    )
    for hashed in (True, False):
        signed = sign("POST", "/old/7", body=b"abc", hashed=hashed)
        assert signed.send(client).json()[-1] == "abc"
        assert signed.send(client, body=b"abd").status == 401


def test_a_body_that_was_replaced_can_not_be_checked(site):
    client = site(
        Transform(request=[map_body({"n": 2})]),
        view=whoami,
        clock=now(),
        routes=[
            Route("/old/{id}", Transform(request=[rewrite_path("/new/{id}"), map_body({"n": 2})])),
            Route("/new/{id}", Authorize(SigV4(KEYS, REGION))),
        ],
    )
    signed = sign("POST", "/old/7", {"Content-Type": "application/json"}, b'{"n": 1}', hashed=True)
    # It was read as it came, before it was replaced: that is what is checked.
    assert signed.send(client).json()[-1] == '{"n":2}'
    assert code(signed.send(client, body=b'{"n": 3}')) == "payload_mismatch"


def test_a_rewritten_request_is_still_one(site):
    client = site(
        sigv4(once=True),
        clock=now(),
        routes=[Route("/old/{id}", Transform(request=[rewrite_path("/new/{id}")])), Route("/new/{id}")],
    )
    signed = sign(target="/old/7")
    assert [signed.send(client).status, signed.send(client).status] == [200, 401]


def test_a_body_of_nobody_knows_whom_can_not_be_checked(site):
    """Whoever puts in another body and path before the signature was looked at, without having read the client's."""

    class Mark(Spec):
        pass

    class Meddler(Component):
        spec = Mark
        repeats = False

        def bind(self, plan):
            def meddle(exchange):
                exchange.forward().body = b"another"
                exchange.forward().path = "/new"

            return Hooks(on_request=meddle) if plan.specs else None

    routes = [Route("/old", Mark()), Route("/new", Authorize(SigV4(KEYS, REGION)))]
    client = site(routes=routes, order=[Meddler, *STANDARD], clock=now())
    answer = sign("POST", "/old", body=b"abc").send(client)
    assert (answer.status, code(answer)) == (400, "body_unverifiable")


def test_the_path_of_a_stage_is_signed(site):
    client = site(sigv4(), clock=now(), stages=[Stage("prod", path="/prod")])
    for target in ("/prod/orders", "/prod/a%20b"):
        signed = sign(target=target)
        assert signed.send(client).status == 200
        assert signed.send(client, target=target.replace("prod", "Prod")).status != 200
    assert sign(target="/orders").send(client, target="/prod/orders").status == 401


# WebSockets.


def test_handshakes(site):
    from gatekeep.gateway import Gateway

    accepted = []

    async def app(scope, receive, send):
        accepted.append((scope["type"], current().principal.id))
        await send({"type": "websocket.accept"})

    async def shake(wrapped, target):
        sent = []

        async def receive():
            return {"type": "websocket.connect"}

        async def send(message):
            sent.append(message["type"])

        path, _, query = target.partition("?")
        scope = {
            "type": "websocket",
            "http_version": "1.1",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"testserver")],
        }
        await wrapped(scope, receive, send)
        return sent

    wrapped = Gateway(sigv4(), clock=now()).asgi(app)
    link = sign(target="/live", expires=60)
    assert asyncio.run(shake(wrapped, link.target)) == ["websocket.accept"]
    assert asyncio.run(shake(wrapped, link.target + "&a=1")) == ["websocket.close"]
    assert accepted == [("websocket", ACCESS_KEY)]


# Beside others, and mistakes.


def test_beside_another_way(site):
    key = "k-0123456789abcdefghij"
    client = site(Authorize(SigV4(KEYS, REGION), ApiKey({key: "acme"})), view=whoami, clock=now())
    assert sign().send(client).json()[0] == "sigv4"
    assert client.get("/", headers={"x-api-key": key}).json()[0] == "api_key"
    assert client.get("/").headers.get_all("www-authenticate") == ["AWS4-HMAC-SHA256", "ApiKey"]
    assert code(sign(secret="wrong").send(client)) == "signature_mismatch"


@pytest.mark.parametrize(
    ("arguments", "options", "says"),
    [
        (({}, REGION), {}, "no credentials"),
        ((7, REGION), {}, "neither a mapping"),
        (({"A KEY": SECRET}, REGION), {}, "access key 0"),
        (({7: SECRET}, REGION), {}, "access key 0"),
        (({"AK": ""}, REGION), {}, "access key 0"),
        (({"AK": 7}, REGION), {}, "access key 0"),
        ((KEYS, ""), {}, "region"),
        ((KEYS, []), {}, "region"),
        ((KEYS, None), {}, "region"),
        ((KEYS, REGION, ""), {}, "service"),
        ((KEYS, REGION), {"max_expires": 604_801}, "max_expires"),
        ((KEYS, REGION), {"max_expires": 0}, "max_expires"),
        ((KEYS, REGION), {"skew": 0}, "skew"),
        ((KEYS, REGION), {"skew": "300"}, "skew='300' is not a number"),
        ((KEYS, REGION), {"ttl": None}, "ttl=None is not a number"),
        ((KEYS, REGION), {"remember": True}, "remember=True is not"),
        ((KEYS, REGION), {"ttl": -1}, "ttl"),
        ((KEYS, REGION), {"remember": 0}, "remember"),
        ((KEYS, REGION), {"require_signed": "content-type"}, "require_signed"),
        ((KEYS, REGION), {"require_signed": ["a b"]}, "require_signed"),
    ],
)
def test_mistakes_name_their_line_and_no_secret(arguments, options, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        SigV4(*arguments, **options)
    assert caught.value.origin.file == __file__
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(SigV4(KEYS, REGION))


@pytest.mark.parametrize(
    "options",
    [
        {"secret": ""},
        {"secret": 7},
        {"secret": "s", "scopes": "a"},
        {"secret": "s", "roles": [7]},
        {"secret": "s", "owner": ""},
        {"secret": "s", "session_token": 7},
        {"secret": "s", "session_token": ""},
        {"secret": "s", "expires": "soon"},
        {"secret": "s", "expires": float("inf")},
    ],
)
def test_credentials_are_checked(options):
    with pytest.raises(ValueError, match="a credential's"):
        Credential(**options)
