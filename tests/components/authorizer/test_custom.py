"""CustomAuthorizer: what a function gets, what it may answer, what is remembered of it, and that it never fails open."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading

import pytest

from components.authorizer.certificates import leaf, pem
from components.authorizer.test_mutual_tls import on_connection
from gatekeep.components.authorizer import ApiKey, Authorize, any_of
from gatekeep.components.authorizer.custom import CustomAuthorizer
from gatekeep.components.stages import Stage
from gatekeep.effects import blocking, either
from gatekeep.errors import ConfigurationError, Forbidden, Unauthorized
from gatekeep.exchange import Principal, current
from gatekeep.routing import Route
from gatekeep.sources import cookie, header, query
from gatekeep.testing import FakeClock

ARN = "arn:aws:execute-api:local:000000000000:gatekeep"
TOKEN = {"authorization": "Bearer abc"}
KEY = "k-0123456789abcdefghij"


def whoami(request):
    principal = current().principal
    return 200, [], f"{principal.kind}:{principal.id}".encode()


def code(answer) -> str:
    return answer.json()["code"] if answer.status >= 400 else ""


class Function:
    """A custom authorizer's function that remembers what it was asked."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def __call__(self, asked):
        self.asked.append(asked)
        return self.answer(asked) if callable(self.answer) else self.answer


def allowing(*resources, effect="Allow", **elements):
    statement = {"Effect": effect, "Action": "execute-api:Invoke", "Resource": list(resources) or "*", **elements}
    return {"principalId": "alice", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}


def custom(site, answer, *, clock=None, options=None, **settings):
    function = answer if isinstance(answer, Function) else Function(answer)
    settings.setdefault("identity", [header("Authorization")])
    client = site(Authorize(CustomAuthorizer(function, **settings)), view=whoami, clock=clock or FakeClock(), **(options or {}))
    return client, function


# What it answers.


def test_a_principal(site):
    client, function = custom(site, Principal("mine", "issuer", "alice", scopes=frozenset({"a"})))
    assert client.get("/x", headers=TOKEN).body == b"mine:alice"
    assert function.asked[0].path == "/x"
    assert function.asked[0].header("authorization") == "Bearer abc"


def test_yes_makes_callers_known_by_their_identity(site):
    client, _ = custom(site, True)
    first, second = (client.get("/", headers={"authorization": value}).body for value in ("Bearer a", "Bearer b"))
    assert first.startswith(b"custom:")
    assert len(first) == len(b"custom:") + 32
    assert first != second
    assert client.get("/", headers={"authorization": "Bearer a"}).body == first


def test_identities_of_several_values_are_not_mixed_up(site):
    client, _ = custom(site, True, identity=[header("x-a"), header("x-b")])
    ids = {client.get("/", headers={"x-a": a, "x-b": b}).body for a, b in (("a", "bc"), ("ab", "c"), ("a,", "b"), ("1,a", "b"))}
    assert len(ids) == 4


def test_yes_without_an_identity_lets_in_somebody_unknown(site):
    client, _ = custom(site, True, identity=[])
    assert client.get("/").body == b"anonymous:"
    client, _ = custom(site, {"isAuthorized": True, "context": {"a": 1}}, identity=[])
    assert client.get("/").body == b"anonymous:"


@pytest.mark.parametrize("answer", [False, {"isAuthorized": False}])
def test_no_is_a_403(site, answer):
    client, _ = custom(site, answer)
    refused = client.get("/", headers=TOKEN)
    assert (refused.status, code(refused)) == (403, "forbidden")
    assert refused.headers.get("www-authenticate") is None


def test_none_is_a_401(site):
    client, _ = custom(site, None)
    refused = client.get("/", headers=TOKEN)
    assert (refused.status, code(refused)) == (401, "credentials_invalid")
    assert refused.headers.get("www-authenticate") == 'Bearer error="invalid_token"'


def test_a_simple_response(site):
    claims = []

    def view(request):
        claims.append(current().principal.claims)
        return 200, [], b""

    answer = {"isAuthorized": True, "context": {"tenant": "acme", "nested": {"list": [1]}}}
    authorizer = CustomAuthorizer(Function(answer), identity=[header("x-id")], event="2.0")
    client = site(Authorize(authorizer, claims={"tenant": "acme"}), view=view)
    assert client.get("/", headers={"x-id": "a"}).status == 200
    assert claims[0]["nested"]["list"] == (1,)
    with pytest.raises(TypeError):
        claims[0]["tenant"] = "other"


def test_a_policy_names_the_caller(site):
    answer = {**allowing(), "context": {"tenant": "acme", "level": 2, "ok": True}, "usageIdentifierKey": "plan-key"}
    seen = []

    def view(request):
        seen.append(dict(current().principal.claims))
        return whoami(request)

    client = site(Authorize(CustomAuthorizer(Function(answer), identity=[header("x-id")], event="1.0")), view=view)
    assert client.get("/", headers={"x-id": "a"}).body == b"custom:alice"
    assert seen == [{"tenant": "acme", "level": 2, "ok": True, "usageIdentifierKey": "plan-key"}]
    nameless = {name: value for name, value in allowing().items() if name != "principalId"}
    client, _ = custom(site, nameless)
    assert client.get("/", headers=TOKEN).body.startswith(b"custom:")


MALFORMED = [
    "yes",
    1,
    {},
    {"principalId": "a"},
    {"isAuthorized": "true"},
    {"isAuthorized": True, "more": 1},
    {"isAuthorized": True, "context": []},
    {**allowing(), "more": 1},
    {**allowing(), "principalId": 7},
    {**allowing(), "usageIdentifierKey": 7},
    {**allowing(), "context": {"nested": {}}},
    {**allowing(), "context": {"nothing": None}},
    {**allowing(), "context": {1: "a"}},
    {"principalId": "a", "policyDocument": {"Statement": [{"Effect": "allow"}]}},
    {"principalId": "a", "policyDocument": None},
]


def fails(asked):
    raise RuntimeError("secret detail")


async def asynchronously(asked):
    return True


@pytest.mark.parametrize("answer", [*MALFORMED, fails, lambda asked: asynchronously(asked)])
def test_whatever_else_it_does_the_door_stays_shut(site, answer, caplog):
    """Also in report mode: nobody knows who was let through."""
    for mode in ("enforce", "report"):
        client, function = custom(site, answer, options={"mode": mode})
        with caplog.at_level(logging.ERROR, logger="gatekeep.authorizer"):
            for _ in range(2):
                refused = client.get("/", headers=TOKEN)
                assert (refused.status, code(refused)) == (500, "authorizer_failed")
                assert b"secret" not in refused.body
        assert len(function.asked) == 2  # a failure is not remembered
    assert "custom authorizer failed" in caplog.text
    gc.collect()


def test_an_event_has_no_none_for_an_answer(site):
    client, _ = custom(site, None, event="1.0")
    assert client.get("/", headers=TOKEN).status == 500


def test_refusals_in_its_own_words(site):
    def unauthorized(asked):
        raise Unauthorized("Log in again.", code="stale", headers=[("WWW-Authenticate", "Mine")])

    def bare(asked):
        raise Unauthorized("No.")

    def forbidden(asked):
        raise Forbidden("Not you.", code="not_you")

    client, function = custom(site, unauthorized)
    refused = client.get("/", headers=TOKEN)
    assert (refused.status, code(refused), refused.headers.get_all("www-authenticate")) == (401, "stale", ["Mine"])
    client.get("/", headers=TOKEN)
    assert len(function.asked) == 2  # what is raised is not remembered
    assert custom(site, bare)[0].get("/", headers=TOKEN).headers.get_all("www-authenticate") == ["Bearer"]
    assert code(custom(site, forbidden)[0].get("/", headers=TOKEN)) == "not_you"


def test_unauthorized_as_lambda_authorizers_say_it(site):
    def unauthorized(asked):
        raise Exception("Unauthorized")

    refused = custom(site, unauthorized, event="TOKEN")[0].get("/", headers=TOKEN)
    assert (refused.status, code(refused)) == (401, "credentials_invalid")
    assert custom(site, unauthorized)[0].get("/", headers=TOKEN).status == 500


# In every colour, and in time.


@pytest.mark.parametrize("wrap", [lambda f: f, blocking, lambda f: either(sync=f, asynchronous=asynchronously)])
def test_functions_of_every_colour(site, wrap):
    for settings in ({}, {"ttl": 0}):
        authorizer = CustomAuthorizer(wrap(lambda asked: True), identity=[header("x-id")], **settings)
        client = site(Authorize(authorizer), view=whoami)
        assert client.get("/", headers={"x-id": "a"}).status == 200


def test_an_async_function(site, protocol):
    if protocol == "wsgi":
        with pytest.raises(ConfigurationError, match="either"):
            site(Authorize(CustomAuthorizer(asynchronously)))
        return
    client = site(Authorize(CustomAuthorizer(asynchronously)), view=whoami)
    assert client.get("/").status == 200


def test_one_that_takes_too_long_is_a_500(site, protocol, caplog):
    released = threading.Event()

    def slow(asked):
        released.wait(60)
        return True

    async def slow_async(asked):
        await asyncio.sleep(10)
        return True

    functions = [blocking(slow), blocking(slow, timeout=0.01), *([slow_async] if protocol == "asgi" else [])]
    try:
        for function in functions:
            for ttl in (0, 300):
                authorizer = CustomAuthorizer(function, identity=[header("x-id")], timeout=0.02, ttl=ttl)
                refused = site(Authorize(authorizer)).get("/", headers={"x-id": "a"})
                assert (refused.status, code(refused)) == (500, "authorizer_failed")
    finally:
        released.set()
    assert "took longer" in caplog.text


def test_its_own_timeout_is_an_error_like_any_other(site, protocol):
    async def times_out(asked):
        raise TimeoutError

    def times_out_sync(asked):
        raise TimeoutError

    both = either(sync=times_out_sync, asynchronous=times_out)
    refused = site(Authorize(CustomAuthorizer(both))).get("/")
    assert code(refused) == "authorizer_failed"


# The identity.


@pytest.mark.parametrize("headers", [{}, {"authorization": ""}, {"x-other": "a"}])
def test_without_an_identity_it_is_not_asked(site, headers):
    client, function = custom(site, True)
    refused = client.get("/", headers=headers)
    assert (refused.status, code(refused)) == (401, "identity_missing")
    assert refused.headers.get("www-authenticate") == "Bearer"
    assert function.asked == []


def test_every_value_of_the_identity_must_be_there(site):
    client, function = custom(site, True, identity=[header("X-Tenant"), query("t"), cookie("s")])
    everything = {"x-tenant": "a", "cookie": "s=1"}
    assert client.get("/?t=1", headers=everything).status == 200
    for target, headers in (("/", everything), ("/?t=", everything), ("/?t=1", {"x-tenant": "a"}), ("/?t=1", {"cookie": "s=1"})):
        refused = client.get(target, headers=headers)
        assert (refused.status, code(refused)) == (401, "identity_missing")
        assert refused.headers.get("www-authenticate") == "Custom"
    assert len(function.asked) == 1


def test_two_credentials_are_a_400_without_a_call(site):
    client, function = custom(site, True)
    assert (
        code(client.get("/", headers=[("authorization", "Bearer a"), ("authorization", "Bearer b")])) == "ambiguous_credentials"
    )
    client, other = custom(site, True, identity=[query("t")])
    assert code(client.get("/?t=1&t=2")) == "ambiguous_credentials"
    client, third = custom(site, True, identity=[cookie("s")])
    assert code(client.get("/", headers={"cookie": "s=1; s=2"})) == "ambiguous_credentials"
    assert function.asked + other.asked + third.asked == []


def test_identities_as_aws_writes_them(site):
    identity = "method.request.header.X-Tenant, $request.querystring.t, $stageVariables.color, $context.routeKey"
    function = Function(True)
    client = site(
        view=whoami,
        stages=[Stage("live", path="/live", variables={"color": "red"}), Stage("bare", path="/bare")],
        routes=[
            Route("/orders/{id}", Authorize(CustomAuthorizer(function, identity=identity))),
            Route("/users/{id}", Authorize(CustomAuthorizer(function, identity=["context.identity.sourceIp", "context.stage"]))),
        ],
    )
    headers = {"x-tenant": "a"}
    assert client.get("/live/orders/1?t=1", headers=headers).status == 200
    assert client.get("/live/orders/2?t=1", headers=headers).status == 200
    assert len(function.asked) == 1
    client.post("/live/orders/2?t=1", headers=headers)
    assert len(function.asked) == 2  # another route key
    assert client.get("/bare/orders/1?t=1", headers=headers).status == 401
    assert client.get("/live/users/1").status == 200
    assert client.get("/live/users/1", client=None).status == 401


def test_what_every_name_of_the_context_is(site):
    from gatekeep.components.authorizer.custom_identity import _CONTEXT

    found = {}

    def view(request):
        found.update({name: read(current()) for name, read in _CONTEXT.items()})
        return 200, [], b""

    client = site(Authorize.off(), view=view, routes=[Route("/orders/{id}", Authorize(CustomAuthorizer(Function(True))))])
    client.get("/orders/7", headers={"user-agent": "curl"})
    assert found == {
        "routeKey": "GET /orders/{id}",
        "stage": None,
        "httpMethod": "GET",
        "path": "/orders/7",
        "resourcePath": "/orders/{id}",
        "domainName": "testserver",
        "identity.sourceIp": "127.0.0.1",
        "identity.userAgent": "curl",
    }


def test_a_validation_that_fails_is_a_401_without_a_call(site):
    client, function = custom(site, True, validation=r"Bearer [a-z]{3}")
    assert client.get("/", headers=TOKEN).status == 200
    for value in ("Bearer abcd", "xBearer abc", "Bearer ABC", "Bearer abc\t"):
        assert code(client.get("/", headers={"authorization": value})) == "credentials_invalid"
    assert len(function.asked) == 1


# What is remembered.


def test_answers_are_remembered_by_identity_for_ttl_seconds(site):
    clock = FakeClock()
    client, function = custom(site, True, clock=clock, ttl=60)
    for target in ("/", "/other"):
        client.get(target, headers=TOKEN)
    assert len(function.asked) == 1
    client.get("/", headers={"authorization": "Bearer other"})
    assert len(function.asked) == 2
    clock.advance(59.9)
    client.get("/", headers=TOKEN)
    assert len(function.asked) == 2
    clock.advance(0.2)
    client.get("/", headers=TOKEN)
    assert len(function.asked) == 3


@pytest.mark.parametrize("answer", [False, None, {"isAuthorized": False}, allowing(effect="Deny")])
def test_refusals_that_it_answers_are_remembered_too(site, answer):
    client, function = custom(site, answer)
    assert len({client.get("/", headers=TOKEN).status for _ in range(3)}) == 1
    assert len(function.asked) == 1


def test_what_changes_its_mind_is_asked_again_after_the_ttl(site):
    clock = FakeClock()
    answers = iter([False, True, False])
    client, _ = custom(site, lambda asked: next(answers), clock=clock, ttl=10)
    seen = []
    for _ in range(3):
        seen += [client.get("/", headers=TOKEN).status, client.get("/", headers=TOKEN).status]
        clock.advance(11)
    assert seen == [403, 403, 200, 200, 403, 403]


def test_without_a_ttl_it_is_asked_each_time(site):
    client, function = custom(site, True, ttl=0)
    for _ in range(3):
        client.get("/", headers=TOKEN)
    assert len(function.asked) == 3


def test_strangers_do_not_push_out_callers(site):
    client, function = custom(site, lambda asked: asked.header("authorization") == "Bearer abc", remember=2)
    client.get("/", headers=TOKEN)
    for number in range(5):
        assert client.get("/", headers={"authorization": f"Bearer {number}"}).status == 403
    client.get("/", headers=TOKEN)
    assert len(function.asked) == 6
    verifier = next(iter(next(c for c in client.gateway.components if c.name == "authorizer")._verifiers.values()))
    assert len(verifier._refused) == 2


def test_a_long_identity_takes_no_more_memory_than_a_digest(site):
    client, function = custom(site, True)
    long = {"authorization": "Bearer " + "a" * 5_000}
    assert client.get("/", headers=long).body == client.get("/", headers=long).body
    assert len(function.asked) == 1
    verifier = next(iter(next(c for c in client.gateway.components if c.name == "authorizer")._verifiers.values()))
    assert all(len(key) <= 256 for key in verifier._known._entries)


def test_many_at_once_ask_once(site, protocol):
    release = threading.Event()
    asked = []

    def slowly(request):
        asked.append(request)
        release.wait(60)
        return True

    async def slowly_async(request):
        asked.append(request)
        await asyncio.sleep(0.05)
        return True

    function = either(sync=slowly, asynchronous=slowly_async)
    client = site(Authorize(CustomAuthorizer(function, identity=[header("x-id")])), view=whoami)
    threading.Timer(0.2, release.set).start()
    answers = client.gather([("GET", "/", {"headers": {"x-id": "a"}})] * 20)
    assert {answer.status for answer in answers} == {200}
    assert len(asked) == 1


# Policies.


def test_a_remembered_policy_is_asked_again_for_each_request(site):
    client, function = custom(site, allowing(f"{ARN}/*/GET/orders/*"))
    assert client.get("/orders/1", headers=TOKEN).status == 200
    refused = client.get("/users/1", headers=TOKEN)
    assert (refused.status, code(refused)) == (403, "implicit_deny")
    assert client.post("/orders/1", headers=TOKEN).status == 403
    assert client.get("/orders/2", headers=TOKEN).status == 200
    assert len(function.asked) == 1


def test_a_policy_for_the_first_request_alone(site):
    client, _ = custom(site, lambda event: allowing(event["methodArn"]), event="TOKEN")
    assert client.get("/a", headers=TOKEN).status == 200
    assert client.get("/b", headers=TOKEN).status == 403


def test_an_explicit_deny_wins(site):
    answer = allowing()
    answer["policyDocument"]["Statement"] += [
        {"Effect": "Deny", "Action": "execute-api:Invoke", "Resource": f"{ARN}/*/*/admin"},
        {"Effect": "Deny", "Action": "execute-api:Invoke", "Resource": f"{ARN}/*/GET/secret*"},
    ]
    client, _ = custom(site, answer)
    assert client.get("/", headers=TOKEN).status == 200
    for method, target in (("GET", "/admin"), ("POST", "/admin"), ("GET", "/admin/"), ("HEAD", "/secret"), ("get", "/secret/1")):
        refused = client.request(method, target, headers=TOKEN)
        assert refused.status == 403
        assert method == "HEAD" or code(refused) == "explicit_deny"


@pytest.mark.parametrize(
    "target", ["/public/../admin", "/public//x", "/public/..%2fadmin", "/public;/x", "/public\\x", "/a%252fb"]
)
def test_a_path_that_an_opaque_app_may_read_otherwise_is_a_400(site, target):
    client, _ = custom(site, allowing(f"{ARN}/*/GET/public/*"))
    assert client.get("/public/x", headers=TOKEN).status == 200
    refused = client.get(target, headers=TOKEN)
    assert (refused.status, code(refused)) == (400, "ambiguous_path")


def test_conditions_of_a_policy(site):
    condition = {
        "IpAddress": {"aws:SourceIp": "10.0.0.0/8"},
        "DateLessThan": {"aws:CurrentTime": "2001-09-09T02:00:00Z"},
        "Bool": {"aws:SecureTransport": "true"},
        "StringLike": {"aws:UserAgent": "curl/*"},
        "Null": {"aws:Referer": "true"},
    }
    clock = FakeClock()  # 2001-09-09T01:46:40Z
    client, _ = custom(site, allowing(Condition=condition), clock=clock)
    good = {**TOKEN, "user-agent": "curl/8"}

    def status(**options):
        return client.get("/", **{"headers": good, "client": "10.1.2.3", "scheme": "https", **options}).status

    assert status() == 200
    assert status(client="192.0.2.1") == 403
    assert status(client=None) == 403
    assert status(scheme="http") == 403
    assert status(headers={**good, "referer": "x"}) == 403
    assert status(headers=TOKEN) == 403
    clock.advance(7200)
    assert status() == 403


def test_variables_of_a_policy(site):
    client, _ = custom(site, allowing(f"{ARN}/*/GET/${{aws:UserAgent}}"))
    assert client.get("/alice", headers={**TOKEN, "user-agent": "alice"}).status == 200
    assert client.get("/alice", headers={**TOKEN, "user-agent": "*"}).status == 403


def test_stages_are_in_the_arn(site):
    client, function = custom(
        site,
        lambda event: allowing(f"{ARN}/live/GET/*"),
        event="2.0",
        options={"stages": [Stage("live", path="/live"), Stage("dev", path="/dev")]},
    )
    assert client.get("/live/", headers=TOKEN).status == 200
    assert client.get("/dev/", headers=TOKEN).status == 403
    assert function.asked[0]["routeArn"] == f"{ARN}/live/GET/"


# Events.


def ask_for_event(site, event, target="/orders/7?a=1&a=2&b=", method="GET", **settings):
    function = Function(allowing() if event != "2.0" else {"isAuthorized": True})
    settings.setdefault("identity", [header("Authorization")])
    client = site(
        view=whoami,
        clock=FakeClock(),
        stages=[Stage("live", path="/live", variables={"color": "red"})],
        routes=[Route("/orders/{id:int}", Authorize(CustomAuthorizer(function, event=event, **settings)))],
    )
    headers = [("authorization", "Bearer abc"), ("x-tag", "t"), ("cookie", "a=1; b=2"), ("user-agent", "curl")]
    assert client.request(method, "/live" + target, headers=headers).status == 200
    return function.asked[0]


def test_the_token_event(site):
    assert ask_for_event(site, "TOKEN") == {
        "type": "TOKEN",
        "authorizationToken": "Bearer abc",
        "methodArn": f"{ARN}/live/GET/orders/7",
    }


def test_the_request_event_in_format_one(site):
    event = ask_for_event(site, "1.0")
    context = event.pop("requestContext")
    assert len(context.pop("requestId")) == 32
    assert len(context.pop("extendedRequestId")) == 32
    assert event == {
        "version": "1.0",
        "type": "REQUEST",
        "methodArn": f"{ARN}/live/GET/orders/7",
        "identitySource": "Bearer abc",
        "authorizationToken": "Bearer abc",
        "resource": "/orders/{id:int}",
        "path": "/orders/7",
        "httpMethod": "GET",
        "headers": {
            "Host": "testserver",
            "Authorization": "Bearer abc",
            "X-Tag": "t",
            "Cookie": "a=1; b=2",
            "User-Agent": "curl",
        },
        "multiValueHeaders": {
            "Host": ["testserver"],
            "Authorization": ["Bearer abc"],
            "X-Tag": ["t"],
            "Cookie": ["a=1; b=2"],
            "User-Agent": ["curl"],
        },
        "queryStringParameters": {"a": "2", "b": ""},
        "multiValueQueryStringParameters": {"a": ["1", "2"], "b": [""]},
        "pathParameters": {"id": "7"},
        "stageVariables": {"color": "red"},
    }
    assert context == {
        "accountId": "000000000000",
        "apiId": "gatekeep",
        "domainName": "testserver",
        "domainPrefix": "testserver",
        "httpMethod": "GET",
        "identity": {"apiKey": None, "sourceIp": "127.0.0.1", "userAgent": "curl", "clientCert": None},
        "path": "/live/orders/7",
        "protocol": "HTTP/1.1",
        "requestTime": "09/Sep/2001:01:46:40 +0000",
        "requestTimeEpoch": 1_000_000_000_000,
        "resourceId": "GET /orders/{id:int}",
        "resourcePath": "/orders/{id:int}",
        "stage": "live",
    }


def test_the_request_event_in_format_two(site):
    event = ask_for_event(site, "2.0", arn="arn:aws:execute-api:eu-west-1:123456789012:abc")
    context = event.pop("requestContext")
    assert len(context.pop("requestId")) == 32
    assert event == {
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": "arn:aws:execute-api:eu-west-1:123456789012:abc/live/GET/orders/7",
        "identitySource": ["Bearer abc"],
        "routeKey": "GET /orders/{id:int}",
        "rawPath": "/live/orders/7",
        "rawQueryString": "a=1&a=2&b=",
        "cookies": ["a=1", "b=2"],
        "headers": {"host": "testserver", "authorization": "Bearer abc", "x-tag": "t", "user-agent": "curl"},
        "queryStringParameters": {"a": "1,2", "b": ""},
        "pathParameters": {"id": "7"},
        "stageVariables": {"color": "red"},
    }
    assert context == {
        "accountId": "123456789012",
        "apiId": "abc",
        "authentication": {"clientCert": None},
        "domainName": "testserver",
        "domainPrefix": "testserver",
        "http": {"method": "GET", "path": "/live/orders/7", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "curl"},
        "routeKey": "GET /orders/{id:int}",
        "stage": "live",
        "time": "09/Sep/2001:01:46:40 +0000",
        "timeEpoch": 1_000_000_000_000,
    }


def test_the_client_certificate_is_in_the_event(site, protocol):
    certificate = leaf("CN=alice,O=Acme")
    for event, way in (("1.0", "identity"), ("2.0", "authentication")):
        function = Function({"isAuthorized": True})
        client = site(Authorize(CustomAuthorizer(function, event=event)), view=whoami, clock=FakeClock())
        for options, found in (
            (on_connection(protocol, certificate), True),
            (on_connection(protocol, certificate, error="unknown ca"), False),
            (on_connection(protocol), False),
            ({}, False),
        ):
            assert client.get("/", **options).status == 200
            context = function.asked[-1]["requestContext"][way]["clientCert"]
            assert (context is not None) is found
        said = function.asked[0]["requestContext"][way]["clientCert"]
        assert said["clientCertPem"] == pem(certificate)
        assert (said["subjectDN"], said["issuerDN"]) == ("CN=alice,O=Acme", "CN=ca")
        assert int(said["serialNumber"].replace(":", ""), 16) == certificate.serial_number
        assert said["validity"] == {"notBefore": "Sep  8 01:46:40 2001 GMT", "notAfter": "Sep 19 01:46:40 2001 GMT"}


def test_a_certificate_that_can_not_be_read_is_in_no_event(site, protocol):
    function = Function({"isAuthorized": True})
    client = site(Authorize(CustomAuthorizer(function, event="2.0")), view=whoami)
    if protocol == "asgi":
        options = {"extensions": {"tls": {"client_cert_chain": ["x"], "client_cert_error": None}}}
    else:
        options = {"environ": {"SSL_CLIENT_VERIFY": "SUCCESS", "SSL_CLIENT_CERT": "x"}}
    assert client.get("/", **options).status == 200
    assert function.asked[0]["requestContext"]["authentication"]["clientCert"] is None


def test_a_websocket_handshake_is_asked_for_as_connect():
    from gatekeep.gateway import Gateway

    function = Function(lambda event: allowing(event["methodArn"]))
    authorizer = CustomAuthorizer(function, identity=[query("t")], event="1.0")
    sent = []

    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})

    async def connect(query_string):
        application = Gateway(Authorize(authorizer)).wrap(app)
        scope = {"type": "websocket", "path": "/chat", "query_string": query_string, "headers": [], "client": ("::1", 1)}
        inbox = [{"type": "websocket.connect"}]

        async def receive():
            return inbox.pop()

        async def send(message):
            sent.append(message["type"])

        await application(scope, receive, send)

    asyncio.run(connect(b"t=1"))
    assert sent == ["websocket.accept"]
    assert function.asked[0]["methodArn"] == f"{ARN}/$default/$connect"
    assert function.asked[0]["requestContext"]["resourceId"] == "$connect"
    asyncio.run(connect(b""))
    assert sent == ["websocket.accept", "websocket.close"]


# Among others.


def test_with_other_authenticators(site):
    mine = CustomAuthorizer(Function(lambda asked: asked.header("x-id") == "good"), identity=[header("x-id")])
    client = site(Authorize(any_of(mine, ApiKey({KEY: "acme"}))), view=whoami)
    assert client.get("/", headers={"x-id": "good"}).status == 200
    assert client.get("/", headers={"x-api-key": KEY}).body == b"api_key:acme"
    assert client.get("/", headers={"x-id": "bad", "x-api-key": KEY}).status == 403
    assert client.get("/").headers.get_all("www-authenticate") == ["Custom", "ApiKey"]


def test_what_aws_clients_see(site):
    for answer, status, body in (
        (False, 403, {"Message": "User is not authorized to access this resource"}),
        (None, 401, {"message": "Unauthorized"}),
        (fails, 500, {"message": None}),
        (allowing(effect="Deny"), 403, {"Message": "User is not authorized to access this resource with an explicit deny"}),
        (allowing("x"), 403, {"Message": "User is not authorized to access this resource"}),
    ):
        client, _ = custom(site, answer, options={"errors": "aws"})
        refused = client.get("/", headers=TOKEN)
        assert (refused.status, refused.json()) == (status, body)


# Mistakes.


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"function": 7}, "can't be called"),
        ({"ttl": 3601}, "ttl=3601 is not a number from 0 to 3600"),
        ({"ttl": True}, "ttl=True"),
        ({"ttl": 60, "identity": []}, "can't be remembered without an identity"),
        ({"timeout": 0}, "timeout=0 is not"),
        ({"remember": 0}, "remember=0 is not"),
        ({"event": "3.0"}, "is no format"),
        ({"event": "TOKEN", "identity": [query("t")]}, "one header"),
        ({"event": "TOKEN", "identity": [header("a"), header("b")]}, "one header"),
        ({"identity": header("a")}, "not a list"),
        ({"identity": [header("a b")]}, "identity: there is no"),
        ({"identity": ["nonsense"]}, "nothing to know a caller by"),
        ({"identity": "context.nothing"}, "of the context there are"),
        ({"identity": [7]}, "nothing to know a caller by"),
        ({"validation": "("}, "validation="),
        ({"validation": "a", "identity": []}, "validation needs an identity"),
        ({"challenge": "a\nb"}, "challenge="),
        ({"challenge": 7}, "challenge="),
        ({"arn": "arn:aws:s3:::bucket"}, "arn: "),
        ({"arn": None}, "arn: "),
    ],
)
def test_mistakes_name_their_line(settings, says):
    settings = {"function": lambda asked: True, "identity": [header("authorization")], **settings}
    with pytest.raises(ConfigurationError, match=says) as caught:
        CustomAuthorizer(**settings)
    assert caught.value.origin is not None
    assert caught.value.origin.file == __file__


def test_a_challenge_of_ones_own(site):
    client, _ = custom(site, None, identity=[header("x-id")], challenge='Custom realm="orders"')
    assert client.get("/").headers.get("www-authenticate") == 'Custom realm="orders"'
    assert client.get("/", headers={"x-id": "a"}).headers.get("www-authenticate") == 'Custom realm="orders"'
