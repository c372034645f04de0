"""Authorize: conditions, how the specs of a route add up, report mode, handshakes; and the mistakes in it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from components.authorizer.minting import AUDIENCE, ISSUER, bearer, jwks, mint
from gatekeep.components.authorizer import JWT, ApiKey, Authorize
from gatekeep.effects import blocking, either
from gatekeep.errors import ConfigurationError
from gatekeep.exchange import current
from gatekeep.gateway import Gateway
from gatekeep.routing import Route
from gatekeep.testing import FakeClock

KEY = "k-0123456789abcdefghij"
GOOD_KEY = {"x-api-key": KEY}


def jwt() -> JWT:
    return JWT(ISSUER, AUDIENCE, keys=jwks("rsa"))


def api_key() -> ApiKey:
    return ApiKey({KEY: {"owner": "acme", "scopes": ["orders:read"]}})


def whoami(request):
    return 200, [], current().principal.id.encode() or b"nobody"


def code(answer) -> str:
    return answer.json()["code"] if answer.status >= 400 else ""


def guarded(site, **conditions):
    return site(Authorize(jwt(), **conditions), clock=FakeClock(), view=whoami)


def outcome(client, **claims) -> str:
    return code(client.get("/", headers=bearer(mint(**claims))))


# Scopes.


@pytest.mark.parametrize(
    ("needed", "had", "result"),
    [
        ({"a"}, "a", ""),
        ({"a"}, "b a", ""),
        (["a", "b"], "b a c", ""),
        ((), None, ""),
        ({"a"}, None, "insufficient_scope"),
        ({"a", "b"}, "a", "insufficient_scope"),
        ({"a"}, "A", "insufficient_scope"),
        ({"a"}, "ab a:b", "insufficient_scope"),
    ],
)
def test_scopes(site, needed, had, result):
    assert outcome(guarded(site, scopes=needed), scope=had) == result


def test_what_an_insufficient_scope_says(site):
    answer = guarded(site, scopes={"orders:write", "admin"}).get("/", headers=bearer(mint(scope="admin")))
    assert answer.status == 403
    description = "The caller lacks a scope that this needs."
    challenge = f'Bearer error="insufficient_scope", error_description="{description}", scope="admin orders:write"'
    assert answer.headers.get_all("www-authenticate") == [challenge]


# Claims.


@pytest.mark.parametrize(
    ("wanted", "claim", "allowed"),
    [
        ("acme", "acme", True),
        ("acme", "Acme", False),
        ("acme", None, False),
        ("acme", ["x", "acme"], True),
        ("acme", ["x"], False),
        ("acme", [], False),
        ("acme", {"acme": 1}, False),
        ("acme", [["acme"]], False),
        (["acme", "umbrella"], "umbrella", True),
        ({"acme", "umbrella"}, ["x", "umbrella"], True),
        (("acme",), "x", False),
        (3, 3, True),
        (3, 3.0, True),
        (3, "3", False),
        (True, True, True),
        (True, 1, False),
        (1, True, False),
        (False, None, False),
        (0, False, False),
        ([1, True], True, True),
        (lambda value: value > 3, 4, True),
        (lambda value: value > 3, 3, False),
        (lambda value: True, None, False),
        (lambda value: "a" in value, ["a", "b"], True),
        (blocking(lambda value: value == 1), 1, True),
        (blocking(lambda value: value == 1), 2, False),
        (blocking(lambda value: True), None, False),
    ],
)
def test_claims(site, wanted, claim, allowed):
    assert outcome(guarded(site, claims={"c": wanted}), c=claim) == ("" if allowed else "insufficient_claims")


def test_every_claim_must_fit(site):
    client = guarded(site, claims={"tenant": "acme", "level": lambda level: level >= 2})
    assert outcome(client, tenant="acme", level=2) == ""
    assert outcome(client, tenant="acme", level=1) == "insufficient_claims"
    assert outcome(client, tenant="x", level=2) == "insufficient_claims"
    assert outcome(client) == "insufficient_claims"


def test_an_api_key_has_no_claims(site):
    client = site(Authorize(api_key(), claims={"tenant": ["acme"]}))
    assert code(client.get("/", headers=GOOD_KEY)) == "insufficient_claims"


# when.


def test_when_sees_request_and_principal(site):
    seen = []

    def when(request, principal):
        seen.append((request.method, request.path, principal.id))
        return request.path == "/alice"

    client = guarded(site, when=when)
    token = bearer(mint())
    assert client.get("/alice", headers=token).status == 200
    answer = client.get("/bob", headers=token)
    assert (answer.status, code(answer)) == (403, "forbidden")
    assert answer.headers.get("www-authenticate") is None
    assert seen == [("GET", "/alice", "alice"), ("GET", "/bob", "alice")]


async def asynchronous(request, principal):
    await asyncio.sleep(0)
    return principal.id == "alice"


@pytest.mark.parametrize(
    "when",
    [
        lambda request, principal: principal.id == "alice",
        either(sync=lambda request, principal: principal.id == "alice", asynchronous=asynchronous),
        blocking(lambda request, principal: principal.id == "alice"),
    ],
)
def test_when_in_every_colour(site, when):
    client = guarded(site, when=when)
    assert outcome(client) == ""
    assert outcome(client, sub="bob") == "forbidden"


def test_an_async_when(site, protocol):
    if protocol == "wsgi":
        with pytest.raises(ConfigurationError, match="either"):
            guarded(site, when=asynchronous)
        return
    client = guarded(site, when=asynchronous)
    assert outcome(client) == ""
    assert outcome(client, sub="bob") == "forbidden"


def test_it_is_not_asked_for_strangers(site):
    client = guarded(site, when=lambda request, principal: pytest.fail("asked"), scopes={"x"})
    assert code(client.get("/")) == "token_missing"
    assert outcome(client) == "insufficient_scope"


def coroutine(request, principal):
    return asynchronous(request, principal)


def broken(request, principal):
    raise RuntimeError("no")


@pytest.mark.parametrize("when", [coroutine, broken, lambda request, principal: 1, lambda request, principal: None])
def test_what_is_neither_true_nor_false_closes_the_door(site, when, caplog):
    """A coroutine that nobody awaits is true, to Python."""
    client = guarded(site, when=when)
    with caplog.at_level(logging.ERROR):
        assert client.get("/", headers=bearer(mint())).status == 500
    assert "authorizer failed" in caplog.text


# Adding up.


def test_specs_of_all_levels_add_up(site):
    client = site(
        Authorize(jwt(), scopes={"a"}),
        routes=[
            Route("/orders/{rest:path}", Authorize(scopes={"b"}, claims={"tenant": "acme"})),
            Route("/orders/mine", Authorize(when=lambda request, principal: principal.id == "alice")),
        ],
        clock=FakeClock(),
        view=whoami,
    )

    def ask(path, **claims):
        return code(client.get(path, headers=bearer(mint(**claims))))

    assert ask("/", scope="a") == ""
    assert ask("/", scope="b") == "insufficient_scope"
    assert ask("/orders/x", scope="a") == "insufficient_scope"
    assert ask("/orders/x", scope="a b") == "insufficient_claims"
    assert ask("/orders/x", scope="a b", tenant="acme") == ""
    assert ask("/orders/mine", scope="a b", tenant="acme") == ""
    assert ask("/orders/mine", scope="a b", tenant="acme", sub="bob") == "forbidden"
    assert ask("/orders/mine", scope="a b", tenant="x") == "insufficient_claims"


def test_stronger_authenticators_replace_weaker_ones(site):
    client = site(
        Authorize(jwt(), scopes={"orders:read"}),
        routes=[Route("/hook", Authorize(api_key()))],
        clock=FakeClock(),
        view=whoami,
    )
    assert client.get("/hook", headers=GOOD_KEY).body == b"acme"
    assert code(client.get("/hook", headers=bearer(mint()))) == "api_key_missing"
    assert client.get("/", headers=bearer(mint())).body == b"alice"


def test_off(site):
    client = site(
        Authorize(jwt()),
        routes=[
            Route("/health", Authorize.off()),
            Route("/own{rest:path}", Authorize.off()),
            Route("/own", Authorize(api_key())),
        ],
        clock=FakeClock(),
        view=whoami,
    )
    assert client.get("/health").body == b"nobody"
    assert client.get("/other").status == 401
    assert client.get("/own", headers=GOOD_KEY).status == 200


# Report mode.


def test_what_is_noted(site):
    seen = []

    def view(request):
        seen[:] = current().decisions
        return 200, [], b"ok"

    client = site(Authorize(jwt(), when=lambda request, principal: True), view=view, clock=FakeClock())
    client.get("/", headers=bearer(mint()))
    assert seen == [("authorizer", "allowed")]


@pytest.mark.parametrize("where", ["spec", "gateway"])
def test_report_mode_refuses_nobody(site, where):
    seen = []

    def view(request):
        seen[:] = [current().principal.id, *current().decisions]
        return 200, [], b"ok"

    spec = Authorize(jwt(), scopes={"x"}, mode="report" if where == "spec" else "enforce")
    client = site(spec, view=view, clock=FakeClock(), mode="report" if where == "gateway" else "enforce")
    assert client.get("/").status == 200
    assert seen == ["", ("authorizer", "report:token_missing")]
    assert client.get("/", headers=bearer(mint())).status == 200
    assert seen == ["alice", ("authorizer", "report:insufficient_scope")]
    assert client.get("/", headers=bearer(mint(scope="x"))).status == 200
    assert seen == ["alice", ("authorizer", "allowed")]
    assert client.get("/", headers=[("authorization", "Bearer a"), ("authorization", "Bearer b")]).status == 400


def test_a_reporting_spec_leaves_alone_what_others_enforce(site):
    seen = []

    def view(request):
        seen[:] = current().decisions
        return 200, [], b"ok"

    client = site(
        Authorize(jwt(), scopes={"a"}),
        routes=[Route("/trial", Authorize(scopes={"b"}, claims={"tenant": "acme"}, mode="report"))],
        view=view,
        clock=FakeClock(),
    )
    assert client.get("/trial").status == 401
    assert code(client.get("/trial", headers=bearer(mint(scope="b", tenant="acme")))) == "insufficient_scope"
    assert client.get("/trial", headers=bearer(mint(scope="a"))).status == 200
    assert seen == [("authorizer", "report:insufficient_scope"), ("authorizer", "report:insufficient_claims")]
    assert client.get("/trial", headers=bearer(mint(scope="a b", tenant="acme"))).status == 200
    assert seen == [("authorizer", "allowed")]


def test_an_enforcing_spec_needs_a_known_caller_though_a_weaker_one_only_reports(site):
    client = site(
        Authorize(jwt(), scopes={"a"}, mode="report"),
        routes=[Route("/strict", Authorize(scopes={"b"}))],
        view=whoami,
        clock=FakeClock(),
    )
    assert client.get("/").status == 200
    assert code(client.get("/strict")) == "token_missing"
    assert code(client.get("/strict", headers=bearer(mint(scope="a")))) == "insufficient_scope"
    assert client.get("/strict", headers=bearer(mint(scope="b"))).status == 200


@pytest.mark.parametrize("spec", [lambda: Authorize(mode="report"), lambda: Authorize(api_key(), mode="report")])
def test_report_mode_can_not_take_back_what_is_enforced(site, spec):
    with pytest.raises(ConfigurationError, match="take back") as caught:
        site(Authorize(jwt()), routes=[Route("/", spec())], clock=FakeClock())
    assert __file__ in str(caught.value.origin)


# Handshakes.


def test_websocket_handshakes_are_authorized():
    accepted = []

    async def app(scope, receive, send):
        accepted.append(current().principal.id)
        await receive()
        await send({"type": "websocket.accept"})

    wrapped = Gateway(Authorize(jwt()), clock=FakeClock()).wrap(app)

    async def handshake(headers):
        sent = []

        async def receive():
            return {"type": "websocket.connect"}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "path": "/live",
            "raw_path": b"/live",
            "query_string": b"",
            "root_path": "",
            "scheme": "ws",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("testserver", 80),
            "extensions": {"websocket.http.response": {}},
        }
        await wrapped(scope, receive, send)
        return sent

    refused = asyncio.run(handshake([]))
    assert refused[0]["status"] == 401
    assert (b"www-authenticate", b"Bearer") in refused[0]["headers"]
    assert accepted == []
    assert asyncio.run(handshake([(b"authorization", f"Bearer {mint()}".encode())])) == [{"type": "websocket.accept"}]
    assert accepted == ["alice"]


# Mistakes.


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Authorize("jwt"), "authenticator"),
        (lambda: Authorize(whoami), "@Authorize"),
        (lambda: Authorize(jwt(), "jwt"), "authenticator"),
        (lambda: Authorize(scopes="orders:read"), "collection"),
        (lambda: Authorize(scopes=7), "collection"),
        (lambda: Authorize(scopes={"a b"}), "scope"),
        (lambda: Authorize(scopes={'a"'}), "scope"),
        (lambda: Authorize(scopes=[""]), "scope"),
        (lambda: Authorize(scopes=[7]), "scope"),
        (lambda: Authorize(claims=["tenant"]), "mapping"),
        (lambda: Authorize(claims={"tenant": None}), "tenant"),
        (lambda: Authorize(claims={"tenant": []}), "tenant"),
        (lambda: Authorize(claims={"tenant": [["a"]]}), "tenant"),
        (lambda: Authorize(claims={7: "a"}), "7"),
        (lambda: Authorize(when=True), "called"),
        (lambda: Authorize(mode="loud"), "mode"),
    ],
)
def test_mistakes_name_their_line(make, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        make()
    assert caught.value.origin is not None
    assert caught.value.origin.file == __file__


@pytest.mark.parametrize("spec", [lambda: Authorize(), lambda: Authorize(scopes={"a"})])
def test_somebody_must_say_who_proves_it(site, spec):
    with pytest.raises(ConfigurationError, match="prove") as caught:
        site(routes=[Route("/", spec())])
    assert caught.value.origin.file == __file__


def test_it_is_a_decorator_and_a_value():
    def view():
        pass

    spec = Authorize(scopes=["a"])
    assert spec(view) is view
    assert spec == Authorize(scopes={"a"})
    assert spec.identifies
    assert Authorize.off().kind is Authorize
