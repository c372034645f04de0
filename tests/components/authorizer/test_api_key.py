"""ApiKey: keys in a field of their own, of which only digests are kept."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest

from gatekeep.components.authorizer import ApiKey, Authorize
from gatekeep.errors import ConfigurationError
from gatekeep.exchange import current

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
    assert answer.headers.get("www-authenticate") == 'ApiKey error="insufficient_scope", scope="orders:read"'


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
    client = site(Authorize(ApiKey({KEY: "acme"}, header="X-Partner-Key")))
    assert client.get("/", headers={"x-partner-key": KEY}).status == 200
    assert client.get("/", headers={"x-api-key": KEY}).status == 401


def test_keys_are_not_kept():
    made = ApiKey({KEY: "acme"})
    assert KEY not in repr(made)
    assert KEY not in repr(vars(made))
    assert list(made.keys) == [digest(KEY)]


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
        (({KEY: {"owner": "acme", "scope": "a"}},), "only owner, roles, scopes"),
        (({KEY: {"owner": "acme", "scopes": "a"}},), "collections"),
        (({KEY: {"owner": "acme", "roles": [7]}},), "collections"),
        (({KEY: {"owner": "acme", "roles": 7}},), "collections"),
        (({KEY: "acme"}, "X Key"), "header"),
        (({KEY: "acme"}, "Authorization"), "field of their own"),
    ],
)
def test_mistakes_name_their_line_and_no_key(arguments, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        ApiKey(*arguments)
    assert caught.value.origin is not None
    assert caught.value.origin.file == __file__
    assert KEY not in str(caught.value)
