"""ApiKey with keys that are written down: where they stand in a request, and that only digests are kept."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest

from gatekeep import Route, Transform, rewrite_path
from gatekeep.components.authorizer import ApiKey, Authorize
from gatekeep.errors import ConfigurationError
from gatekeep.exchange import current
from gatekeep.sources import cookie, header, query
from gatekeep.testing import FakeClock

KEY = "k-0123456789abcdefghij"
OTHER = "k-zyxwvutsrqponmlkjihg"


def whoami(request):
    who = current().principal
    body = [who.kind, who.issuer, who.id, who.client_id, sorted(who.scopes), sorted(who.roles)]
    return 200, [], json.dumps(body).encode()


def digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()


def code(answer) -> str:
    return answer.json()["code"]


@pytest.mark.parametrize("written", [KEY, f"sha256:{digest(KEY)}", f"sha256:{digest(KEY).upper()}"])
def test_a_known_key(site, written):
    client = site(Authorize(ApiKey({written: "acme"})), view=whoami)
    answer = client.get("/", headers={"x-api-key": KEY})
    assert (answer.status, answer.json()) == (200, ["api_key", "", "acme", digest(KEY)[:16], [], []])


def test_what_an_owner_may_have(site):
    keys = {KEY: {"owner": "acme", "scopes": ["orders:read"], "roles": {"partner"}}, OTHER: {"owner": "acme"}}
    client = site(Authorize(ApiKey(keys), scopes={"orders:read"}), view=whoami)
    assert client.get("/", headers={"x-api-key": KEY}).json()[4:] == [["orders:read"], ["partner"]]
    answer = client.get("/", headers={"x-api-key": OTHER})
    assert (answer.status, code(answer)) == (403, "insufficient_scope")
    assert answer.headers.get("www-authenticate").startswith('ApiKey error="insufficient_scope"')


def test_no_key(site):
    answer = site(Authorize(ApiKey({KEY: "acme"}))).get("/", headers={"authorization": f"ApiKey {KEY}"})
    assert (answer.status, code(answer)) == (401, "api_key_missing")
    assert answer.headers.get_all("www-authenticate") == ["ApiKey"]


@pytest.mark.parametrize(
    "sent", ["", KEY[:-1], KEY + "x", KEY.upper(), OTHER, f"sha256:{digest(KEY)}", digest(KEY), "\u00e9" * 30]
)
def test_an_unknown_key(site, sent):
    answer = site(Authorize(ApiKey({KEY: "acme"}))).get("/", headers={"x-api-key": sent})
    assert (answer.status, code(answer)) == (401, "api_key_invalid")
    assert answer.headers.get_all("www-authenticate") == ['ApiKey error="invalid_key"']


@pytest.mark.parametrize("values", [(KEY, KEY), (KEY, OTHER), (OTHER, KEY), (f"{KEY},{KEY}",)])
def test_two_keys_are_ambiguous(site, values):
    client = site(Authorize(ApiKey({KEY: "acme"})))
    answer = client.get("/", headers=[("x-api-key", value) for value in values])
    assert (answer.status, code(answer)) == (400, "ambiguous_credentials")


def test_another_field(site):
    client = site(Authorize(ApiKey({KEY: "acme"}, header("X-Partner-Key"))))
    assert client.get("/", headers={"x-partner-key": KEY}).status == 200
    assert client.get("/", headers={"x-api-key": KEY}).status == 401


@pytest.mark.parametrize(("scheme", "sent"), [("ApiKey", "ApiKey"), ("ApiKey", "apikey"), ("Bearer", "Bearer")])
def test_the_authorization_field(site, scheme, sent):
    client = site(Authorize(ApiKey({KEY: "acme"}, header("Authorization"), scheme=scheme)))
    assert client.get("/", headers={"authorization": f"{sent} {KEY}"}).status == 200
    for value in (KEY, f"Basic {KEY}", sent, f"{sent}{KEY}", ""):
        answer = client.get("/", headers={"authorization": value})
        assert (answer.status, code(answer)) == (401, "api_key_missing"), value
        assert answer.headers.get_all("www-authenticate") == [scheme]
    answer = client.get("/", headers={"authorization": f"{sent} {OTHER}"})
    assert (code(answer), answer.headers.get("www-authenticate")) == ("api_key_invalid", f'{scheme} error="invalid_key"')
    for values in ([f"{sent} {KEY}"] * 2, [f"{sent} {KEY}, Basic x"]):
        answer = client.get("/", headers=[("authorization", value) for value in values])
        assert (answer.status, code(answer)) == (400, "ambiguous_credentials")


def test_the_query(site):
    client = site(Authorize(ApiKey({KEY: "acme"}, query("api_key"))))
    assert client.get(f"/?api_key={KEY}").status == 200
    assert code(client.get("/")) == "api_key_missing"
    assert code(client.get("/?api_key=")) == "api_key_invalid"
    assert code(client.get(f"/?api_key={KEY[:-1]}%C3%A9")) == "api_key_invalid"
    answer = client.get(f"/?api_key={KEY}&api_key={KEY}")
    assert (answer.status, code(answer)) == (400, "ambiguous_credentials")


def test_several_places(site):
    client = site(Authorize(ApiKey({KEY: "acme", OTHER: "other"}, [header("X-Api-Key"), header("Authorization"), query("key")])))
    assert client.get("/", headers={"x-api-key": KEY}).status == 200
    assert client.get("/", headers={"authorization": f"ApiKey {KEY}"}).status == 200
    assert client.get(f"/?key={KEY}").status == 200
    assert client.get(f"/?key={KEY}", headers={"x-api-key": KEY, "authorization": f"ApiKey {KEY}"}).status == 200
    answer = client.get(f"/?key={OTHER}", headers={"x-api-key": KEY})
    assert (answer.status, code(answer)) == (400, "ambiguous_credentials")


def test_a_stripped_key_still_counts_where_the_path_was_rewritten(site):
    client = site(
        Authorize(ApiKey({KEY: "acme"}), strip=True),
        view=whoami,
        routes=[Route("/old/{id}", Transform(request=[rewrite_path("/new/{id}")])), Route("/new/{id}")],
    )
    assert client.get("/old/1", headers={"x-api-key": KEY}).json()[2] == "acme"


def test_what_is_written_down_of_a_key(site):
    clock = FakeClock()
    keys = {
        KEY: {"owner": "acme", "plan": "gold", "name": "the old one", "expires": clock.wall() + 100},
        OTHER: {"owner": "acme", "enabled": False},
    }
    client = site(
        Authorize(ApiKey(keys)), view=lambda _: (200, [], json.dumps(dict(current().principal.claims)).encode()), clock=clock
    )
    answer = client.get("/", headers={"x-api-key": KEY})
    assert answer.json() == {"key_id": digest(KEY)[:16], "key_name": "the old one", "plan": "gold"}
    assert code(client.get("/", headers={"x-api-key": OTHER})) == "api_key_disabled"
    clock.advance(99.9)
    assert client.get("/", headers={"x-api-key": KEY}).status == 200
    clock.advance(0.2)
    assert code(client.get("/", headers={"x-api-key": KEY})) == "api_key_expired"


def test_the_app_may_be_kept_from_the_key(site):
    client = site(
        Authorize(ApiKey({KEY: "acme"}, [header("X-Api-Key"), query("key")]), strip=True),
        view=lambda request: (200, [], f"{request.headers.get('x-api-key')} {request.query_string}".encode()),
    )
    assert client.get("/?a=1", headers={"x-api-key": KEY}).body == b"None a=1"
    assert client.get(f"/?a=1&key={KEY}").body == b"None a=1"


def test_keys_are_not_kept():
    made = ApiKey({KEY: "acme"})
    assert KEY not in repr(made)
    assert KEY not in repr(vars(made))
    [record] = made.keys.records()
    assert (KEY in repr(record), record.secrets[0].digest) == (False, digest(KEY))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (({},), "mapping"),
        (([KEY],), "mapping"),
        (({"k" * 19: "acme"},), "20 characters"),
        (({"a key with some spaces": "acme"},), "20 characters"),
        (({KEY + ",": "acme"},), "20 characters"),
        (({KEY + "\u00e9": "acme"},), "20 characters"),
        (({7: "acme"},), "not a string"),
        (({"sha256:abc": "acme"},), "64"),
        (({KEY: "acme", f"sha256:{digest(KEY)}": "acme"},), "twice"),
        (({KEY: ""},), "no owner"),
        (({KEY: None},), "no owner"),
        (({KEY: {"scopes": ["a"]}},), "no owner"),
        (({KEY: {"owner": 7}},), "no owner"),
        (({KEY: {"owner": "acme", "scope": "a"}},), "only enabled, expires"),
        (({KEY: {"owner": "acme", "scopes": "a"}},), "collections"),
        (({KEY: {"owner": "acme", "roles": [7]}},), "collections"),
        (({KEY: {"owner": "acme", "roles": 7}},), "collections"),
        (({KEY: {"owner": "acme", "expires": "tomorrow"}},), "expires"),
        (({KEY: {"owner": "acme", "expires": True}},), "expires"),
        (({KEY: {"owner": "acme", "enabled": 1}},), "enabled"),
        (({KEY: {"owner": "acme", "plan": ""}},), "plan"),
        (({"k" * 513: "acme"},), "more than 512"),
        (({KEY: "acme"}, header("X Key")), "no place"),
        (({KEY: "acme"}, "X-Api-Key"), "sources"),
        (({KEY: "acme"}, []), "sources"),
        (({KEY: "acme"}, cookie("key")), "cookie"),
    ],
)
def test_mistakes_name_their_line_and_no_key(arguments, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        ApiKey(*arguments)
    assert caught.value.origin is not None
    assert caught.value.origin.file == __file__
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [{"scheme": "Api Key"}, {"scheme": ""}, {"ttl": -1}, {"ttl": "5"}, {"grace": 1e9}, {"remember": 0}, {"remember": 1.5}],
)
def test_options_are_checked(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        ApiKey({KEY: "acme"}, **options)
