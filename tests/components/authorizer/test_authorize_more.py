"""Authorize: any_scope and roles, optional callers, several authenticators together, time limits, what the app gets to see."""

from __future__ import annotations

import asyncio
import threading

import pytest

from components.authorizer.minting import AUDIENCE, ISSUER, bearer, jwks, mint
from components.authorizer.test_any_of import Slow
from gatekeep.components.authorizer import JWT, ApiKey, Authenticator, Authorize, Verifier, all_of, any_of
from gatekeep.components.authorizer.custom import CustomAuthorizer
from gatekeep.components.cache import Cache
from gatekeep.effects import blocking, either
from gatekeep.errors import ConfigurationError
from gatekeep.exchange import ANONYMOUS, Principal, current
from gatekeep.routing import Route
from gatekeep.sources import cookie, header, query
from gatekeep.testing import FakeClock

KEY = "k-0123456789abcdefghij"
GOOD_KEY = {"x-api-key": KEY}


def jwt() -> JWT:
    return JWT(ISSUER, AUDIENCE, keys=jwks("rsa"))


def api_key() -> ApiKey:
    return ApiKey({KEY: {"owner": "acme", "scopes": ["orders:read"], "roles": ["partner"]}})


def whoami(request):
    return 200, [], current().principal.id.encode() or b"nobody"


def code(answer) -> str:
    return answer.json()["code"] if answer.status >= 400 else ""


def outcome(site, spec, **claims):
    return code(site(spec, clock=FakeClock(), view=whoami).get("/", headers=bearer(mint(**claims))))


# Scopes and roles.


@pytest.mark.parametrize(
    ("condition", "claims", "result"),
    [
        ({"any_scope": {"a", "b"}}, {"scope": "b c"}, ""),
        ({"any_scope": {"a", "b"}}, {"scope": "c"}, "insufficient_scope"),
        ({"any_scope": {"a", "b"}, "scopes": {"c"}}, {"scope": "a"}, "insufficient_scope"),
        ({"any_scope": {"a", "b"}, "scopes": {"c"}}, {"scope": "c b"}, ""),
        ({"roles": {"x", "y"}}, {"roles": ["x", "y", "z"]}, ""),
        ({"roles": {"x", "y"}}, {"roles": ["x"]}, "insufficient_role"),
        ({"roles": ["a role"]}, {"roles": ["a role"]}, ""),
        ({"any_role": {"x", "y"}}, {"roles": ["y"]}, ""),
        ({"any_role": {"x", "y"}}, {"roles": []}, "insufficient_role"),
        ({"any_role": {"x"}}, {}, "insufficient_role"),
    ],
)
def test_scopes_and_roles(site, condition, claims, result):
    assert outcome(site, Authorize(jwt(), **condition), **claims) == result


def test_what_a_client_without_them_is_told(site):
    answer = site(Authorize(jwt(), any_scope={"b", "a"}), clock=FakeClock()).get("/", headers=bearer(mint(scope="c")))
    assert answer.status == 403
    assert answer.headers.get("www-authenticate") == (
        'Bearer error="insufficient_scope", error_description="The caller lacks a scope that this needs.", scope="a b"'
    )
    answer = site(Authorize(jwt(), roles={"x"}), clock=FakeClock()).get("/", headers=bearer(mint()))
    assert (answer.status, answer.headers.get("www-authenticate")) == (403, None)


def test_those_of_all_levels_add_up(site):
    client = site(
        Authorize(jwt(), any_scope={"a", "b"}, roles={"x"}),
        routes=[Route("/in", Authorize(any_scope={"c", "d"}, any_role={"y", "z"}))],
        clock=FakeClock(),
    )

    def ask(target, **claims):
        return code(client.get(target, headers=bearer(mint(**claims))))

    assert ask("/", scope="a", roles=["x"]) == ""
    assert ask("/in", scope="a", roles=["x", "y"]) == "insufficient_scope"
    assert ask("/in", scope="a c", roles=["x"]) == "insufficient_role"
    assert ask("/in", scope="a c", roles=["y"]) == "insufficient_role"
    assert ask("/in", scope="a c", roles=["x", "z"]) == ""


def test_those_of_a_reporting_spec_are_reported(site):
    seen = []

    def view(request):
        seen[:] = current().decisions
        return 200, [], b""

    client = site(
        Authorize(jwt()),
        routes=[Route("/", Authorize(any_scope={"a"}, roles={"x"}, any_role={"y"}, mode="report"))],
        view=view,
        clock=FakeClock(),
    )
    assert client.get("/", headers=bearer(mint())).status == 200
    assert seen == [
        ("authorizer", "report:insufficient_scope"),
        ("authorizer", "report:insufficient_role"),
        ("authorizer", "report:insufficient_role"),
    ]


# Optional.


def test_without_credentials_an_optional_caller_is_anonymous(site):
    client = site(Authorize(jwt(), optional=True), view=whoami, clock=FakeClock())
    assert client.get("/").body == b"nobody"
    assert client.get("/", headers=bearer(mint())).body == b"alice"
    assert client.get("/", headers={"authorization": "Basic x"}).body == b"nobody"


def test_bad_credentials_are_refused_all_the_same(site):
    client = site(Authorize(jwt(), optional=True), clock=FakeClock())
    assert code(client.get("/", headers=bearer(mint(exp=1)))) == "token_expired"
    assert client.get("/", headers=[("authorization", "Bearer a"), ("authorization", "Bearer b")]).status == 400


def test_what_an_anonymous_caller_lacks_credentials_might_have(site):
    """401, not 403: who says who it is may come in (RFC 9110 §15.5.2)."""
    for condition in ({"scopes": {"a"}}, {"any_scope": {"a"}}, {"roles": {"a"}}, {"claims": {"a": 1}}):
        answer = site(Authorize(jwt(), optional=True, **condition), clock=FakeClock()).get("/")
        assert (answer.status, code(answer)) == (401, "token_missing")
        assert answer.headers.get("www-authenticate") == "Bearer"


def test_conditions_decide_about_anonymous_callers(site):
    spec = Authorize(jwt(), optional=True, when=lambda request, principal: request.method == "GET" or not principal.anonymous)
    client = site(spec, view=whoami, clock=FakeClock())
    assert client.get("/").status == 200
    assert client.post("/").status == 401
    assert client.post("/", headers=bearer(mint())).status == 200


def test_the_strongest_says_whether_callers_are_optional(site):
    client = site(
        Authorize(jwt(), optional=True),
        routes=[
            Route("/strict", Authorize()),
            Route("/strict/open", Authorize(optional=True)),
            Route("/tried", Authorize(when=lambda request, principal: False, mode="report")),
        ],
        view=whoami,
        clock=FakeClock(),
    )
    assert client.get("/").status == 200
    assert client.get("/strict").status == 401
    assert client.get("/strict/open").status == 200
    assert client.get("/tried").status == 200  # one that only reports takes nothing back


def test_optional_with_one_that_has_to_wait(site):
    client = site(Authorize(Slow(), optional=True), view=whoami)
    assert client.get("/").body == b"nobody"
    assert client.get("/", headers={"x-slow": "alice"}).body == b"alice"
    assert client.get("/", headers={"x-slow": "bad"}).status == 401


# All of them.


def actor(request):
    principal = current().principal
    act = principal.claims.get("act")
    names = [principal.id]
    while act is not None:
        names.append(f"{act['kind']}:{act['sub']}")
        act = act.get("act")
    return 200, [], " ".join(names).encode()


def test_all_of_needs_every_one(site):
    client = site(Authorize(all_of(jwt(), api_key())), view=actor, clock=FakeClock())
    assert client.get("/", headers={**bearer(mint()), **GOOD_KEY}).body == b"alice api_key:acme"
    for headers in ({}, GOOD_KEY, bearer(mint())):
        answer = client.get("/", headers=headers)
        assert (answer.status, code(answer)) == (401, "credentials_missing")
        assert answer.headers.get_all("www-authenticate") == ["Bearer", "ApiKey"]
    assert code(client.get("/", headers={**bearer(mint(exp=1)), **GOOD_KEY})) == "token_expired"
    assert code(client.get("/", headers={**bearer(mint()), "x-api-key": KEY + "x"})) == "api_key_invalid"


def test_the_first_says_who_and_what_it_may(site):
    client = site(Authorize(all_of(api_key(), jwt()), scopes={"orders:write"}), view=actor, clock=FakeClock())
    assert code(client.get("/", headers={**bearer(mint()), **GOOD_KEY})) == "insufficient_scope"
    client = site(Authorize(all_of(jwt(), api_key()), roles={"partner"}), view=actor, clock=FakeClock())
    assert code(client.get("/", headers={**bearer(mint()), **GOOD_KEY})) == "insufficient_role"


def test_actors_that_were_there_stand_behind_the_others(site):
    custom = CustomAuthorizer(lambda request: Principal("mine", id="carol"), identity=[header("x-id")])
    client = site(Authorize(all_of(jwt(), api_key(), custom)), view=actor, clock=FakeClock())
    token = bearer(mint(act={"kind": "jwt", "sub": "bob"}))
    assert client.get("/", headers={**token, **GOOD_KEY, "x-id": "a"}).body == b"alice api_key:acme mine:carol jwt:bob"


def test_all_of_with_one_that_has_to_wait(site):
    for first, second in ((Slow(), api_key()), (api_key(), Slow())):
        client = site(Authorize(all_of(first, second)), view=actor)
        assert client.get("/", headers={"x-slow": "alice", **GOOD_KEY}).status == 200
        assert client.get("/", headers={"x-slow": "alice"}).status == 401
        assert client.get("/", headers=GOOD_KEY).status == 401
        assert client.get("/", headers={"x-slow": "bad", **GOOD_KEY}).status == 401


def test_all_of_or_one(site):
    other = CustomAuthorizer(lambda request: True, identity=[header("x-id")])
    client = site(Authorize(any_of(all_of(jwt(), api_key()), other)), view=whoami, clock=FakeClock())
    assert client.get("/", headers={**bearer(mint()), **GOOD_KEY}).body == b"alice"
    assert len(client.get("/", headers={"x-id": "a"}).body) == 32
    assert len(client.get("/", headers={"x-id": "a", **GOOD_KEY}).body) == 32


def test_answers_of_one_pair_are_not_anothers(site):
    """The cache tells callers apart by who acts for them, too."""
    calls = []

    def view(request):
        calls.append(1)
        return actor(request)

    keys = ApiKey({KEY: "acme", KEY + "2": "umbrella"})
    client = site(Authorize(all_of(jwt(), keys)), Cache(ttl=60), view=view, clock=FakeClock())
    token = bearer(mint())
    for key, who in ((KEY, b"acme"), (KEY + "2", b"umbrella"), (KEY, b"acme")):
        assert client.get("/", headers={**token, "x-api-key": key}).body == b"alice api_key:" + who
    assert len(calls) == 2


@pytest.mark.parametrize(("arguments", "says"), [((), "not several"), ((1, 2), "not an authenticator")])
def test_mistakes_in_all_of(arguments, says):
    with pytest.raises(ConfigurationError, match=says):
        all_of(*arguments)


# Time limits.


def test_a_function_that_takes_too_long_lets_nobody_in(site, protocol):
    released = threading.Event()

    def slow(*_):
        released.wait(60)
        return True

    async def slow_async(*_):
        await asyncio.sleep(10)
        return True

    functions = [blocking(slow), *([slow_async, either(sync=slow, asynchronous=slow_async)] if protocol == "asgi" else [])]
    try:
        for function in functions:
            for condition in ({"when": function}, {"claims": {"sub": function}}):
                client = site(Authorize(jwt(), timeout=0.02, **condition), clock=FakeClock())
                answer = client.get("/", headers=bearer(mint()))
                assert (answer.status, code(answer)) == (503, "unavailable")
    finally:
        released.set()


# What the app sees.


class Everywhere(Authenticator):
    """Takes "good" from wherever it stands."""

    def open(self, opening):
        return EverywhereVerifier()


class EverywhereVerifier(Verifier):
    challenges = {"mine": "Mine"}  # noqa: RUF012
    missing = ("mine_missing", "Nothing of mine.")
    reads = (header("x-mine"), query("t"), cookie("s"))

    def verify(self, exchange):
        found = [source.credential(exchange.request) for source in self.reads]
        return Principal("mine", id="alice") if "good" in found else None


def view_of(seen):
    def view(request):
        seen.append((request.query_string, {name: value for name, value in request.headers if name != "host"}))
        return 200, [], b""

    return view


def test_credentials_can_be_kept_from_the_app(site):
    seen = []
    client = site(Authorize(Everywhere(), strip=True), view=view_of(seen))
    client.get("/?a=1&%74=good", headers={"x-mine": "good", "X_Mine": "good", "cookie": "a=1; s=good", "x-other": "1"})
    assert seen == [("a=1", {"cookie": "a=1", "x-other": "1"})]
    assert client.get("/?a=1", headers={"x-mine": "good"}).status == 200
    assert seen[1] == ("a=1", {})


def test_a_field_that_an_app_may_take_for_the_credentials_is_stripped_where_it_stands_alone(site):
    seen = []
    client = site(Authorize(Everywhere(), strip=True), view=view_of(seen))
    client.get("/", headers={"X_Mine": "forged", "cookie": "s=good", "x-minus": "1", "mine": "2"})
    assert seen == [("", {"x-minus": "1", "mine": "2"})]


def test_what_is_not_to_be_stripped_stays(site):
    seen = []
    client = site(Authorize(Everywhere()), view=view_of(seen))
    client.get("/?t=good", headers={"x-mine": "good"})
    assert seen == [("t=good", {"x-mine": "good"})]


def test_every_kind_of_credentials_is_stripped(site):
    seen = []
    client = site(Authorize(any_of(Everywhere(), all_of(Everywhere(), Everywhere())), strip=True), view=view_of(seen))
    client.get("/?t=good")
    assert seen == [("", {})]


def test_the_gateway_strips_for_every_route(site):
    seen = []
    client = site(Authorize(Everywhere(), strip=True), routes=[Route("/x", Authorize(when=lambda *_: True))], view=view_of(seen))
    client.get("/x", headers={"x-mine": "good"})
    assert seen == [("", {})]


class Silent(Authenticator):
    def open(self, opening):
        return SilentVerifier()


class SilentVerifier(EverywhereVerifier):
    reads = ()


def test_what_can_not_be_stripped_stops_the_start(site):
    with pytest.raises(ConfigurationError, match="nothing to strip"):
        site(Authorize(Silent(), strip=True))


def test_the_app_is_told_in_its_own_words(site, protocol):
    seen = []

    def view(request):
        seen.append(request.environ_or_scope)
        return 200, [], b""

    names = {"a": "alice", "b": "zoë ☃"}
    custom = CustomAuthorizer(
        lambda request: Principal("mine", id=names[request.header("x-id")], scopes=frozenset("x")), identity=[header("x-id")]
    )
    client = site(Authorize(custom, optional=True), view=view)
    client.get("/", headers={"x-id": "a"})
    client.get("/", headers={"x-id": "b"})
    client.get("/", headers={"remote-user": "mallory"})
    if protocol == "wsgi":
        assert seen[0]["REMOTE_USER"] == "alice"
        assert seen[1]["REMOTE_USER"].encode("latin-1").decode() == "zoë ☃"
        assert "REMOTE_USER" not in seen[2]
        return
    user, auth = seen[0]["user"], seen[0]["auth"]
    assert (user.is_authenticated, user.display_name, user.identity, user.kind) == (True, "alice", "alice", "mine")
    assert auth.scopes == ["authenticated", "x"]
    assert seen[2]["user"].is_authenticated is False
    assert seen[2]["user"] is ANONYMOUS
    assert seen[2]["auth"].scopes == []


def test_the_app_is_told_in_report_mode_too(site, protocol):
    seen = []

    def view(request):
        native = request.environ_or_scope
        seen.append(native.get("REMOTE_USER", "") if protocol == "wsgi" else native["user"].id)
        return 200, [], b""

    client = site(Authorize(api_key(), scopes={"x"}, mode="report"), view=view)
    for headers in ({}, GOOD_KEY, {"x-api-key": KEY + "x"}):
        assert client.get("/", headers=headers).status == 200
    assert seen == ["", "acme", ""]


def test_a_kind_of_ones_own_is_challenged_as_its_authenticator(site):
    custom = CustomAuthorizer(lambda request: Principal("mine", id="a"), identity=[header("authorization")])
    answer = site(Authorize(custom, scopes={"x"})).get("/", headers={"authorization": "Bearer a"})
    assert answer.status == 403
    assert answer.headers.get("www-authenticate").startswith('Bearer error="insufficient_scope"')
    answer = site(Authorize(any_of(custom, api_key()), scopes={"x"})).get("/", headers={"authorization": "Bearer a"})
    assert (answer.status, answer.headers.get("www-authenticate")) == (403, None)


# Mistakes.


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"any_scope": "a"}, "any_scope='a' is not a collection"),
        ({"any_scope": {"a b"}}, "'a b' is not a scope"),
        ({"roles": "a"}, "roles='a' is not a collection"),
        ({"roles": {""}}, "'' is not a role"),
        ({"any_role": [1]}, "1 is not a role"),
        ({"optional": 1}, "optional=1 is neither"),
        ({"strip": "yes"}, "strip='yes' is neither"),
        ({"timeout": 0}, "timeout=0 is not"),
        ({"timeout": True}, "timeout=True is not"),
    ],
)
def test_mistakes_name_their_line(settings, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        Authorize(jwt(), **settings)
    assert caught.value.origin is not None
    assert caught.value.origin.file == __file__


def test_two_with_authenticators_at_one_level_are_a_mistake(site):
    with pytest.raises(ConfigurationError, match=r"stands beside an Authorize .*test_authorize_more\.py:\d+.*any_of") as caught:
        site(Authorize(jwt()), Authorize(api_key())).get("/")
    assert "test_authorize_more.py" in str(caught.value).partition(":")[0]
    client = site(Authorize(jwt()), routes=[Route("/", Authorize(api_key()))], view=whoami)
    assert (client.get("/", headers=GOOD_KEY).status, client.get("/").status) == (200, 401), "the stronger one's count"


def test_conditions_may_stand_beside_an_authenticator(site):
    client = site(Authorize(api_key()), Authorize(roles={"partner"}), Authorize(scopes={"orders:write"}))
    assert code(client.get("/", headers=GOOD_KEY)) == "insufficient_scope"
