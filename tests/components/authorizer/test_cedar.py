"""Cedar: policies decide by principal, role, claim, action, route and context; what they can't decide is refused."""

from __future__ import annotations

import logging
import sys

import pytest

from components.authorizer.minting import AUDIENCE, ISSUER, bearer, jwks, mint
from gatekeep.components.authorizer import JWT, Authorize
from gatekeep.components.authorizer.cedar import Cedar
from gatekeep.errors import ConfigurationError
from gatekeep.routing import Route
from gatekeep.testing import FakeClock


def guarded(site, cedar, **options):
    return site(
        Authorize(JWT(ISSUER, AUDIENCE, keys=jwks("rsa")), when=cedar),
        routes=[Route("/orders/{id}"), Route("/users/{id}")],
        clock=FakeClock(),
        **options,
    )


def status(client, method="GET", target="/orders/7", **claims):
    answer = client.request(method, target, headers=bearer(mint(**claims)))
    assert answer.status in (200, 403)
    assert answer.status == 200 or answer.json()["code"] == "forbidden"
    return answer.status


@pytest.mark.parametrize(
    ("policy", "claims", "expected"),
    [
        ("permit(principal, action, resource);", {}, 200),
        ("", {}, 403),
        ('permit(principal == User::"alice", action, resource);', {}, 200),
        ('permit(principal == User::"alice", action, resource);', {"sub": "bob"}, 403),
        ('permit(principal in Role::"admin", action, resource);', {"roles": ["admin"]}, 200),
        ('permit(principal in Role::"admin", action, resource);', {"roles": ["user"]}, 403),
        ('permit(principal, action == Action::"GET", resource == Route::"/orders/{id}");', {}, 200),
        ('permit(principal, action == Action::"POST", resource);', {}, 403),
        ('permit(principal, action, resource == Route::"/users/{id}");', {}, 403),
        ('permit(principal, action, resource) when { principal.claims.tenant == "acme" };', {"tenant": "acme"}, 200),
        ('permit(principal, action, resource) when { principal.claims.tenant == "acme" };', {"tenant": "x"}, 403),
        ('permit(principal, action, resource) when { principal.scopes.contains("a") };', {"scope": "a b"}, 200),
        ('permit(principal, action, resource) when { principal.issuer == "https://id.example.com" };', {}, 200),
        ('permit(principal, action, resource) when { context.path like "/orders/*" };', {}, 200),
        ('permit(principal, action, resource) when { context.client == "127.0.0.1" };', {}, 200),
        ("permit(principal, action, resource) when { principal.claims.level > 3 };", {"level": 4}, 200),
        (
            "permit(principal, action, resource) when { principal.claims.deep.list.contains(1) };",
            {"deep": {"list": [1, 2.5]}},
            200,
        ),
        ('permit(principal, action, resource); forbid(principal == User::"alice", action, resource);', {}, 403),
    ],
)
def test_policies(site, policy, claims, expected):
    assert status(guarded(site, Cedar(policy)), **claims) == expected


def test_an_error_in_a_policy_is_a_refusal(site, caplog):
    """Cedar itself would skip the forbid."""
    policy = "permit(principal, action, resource); forbid(principal, action, resource) when { principal.claims.blocked == true };"
    client = guarded(site, Cedar(policy))
    assert status(client, blocked=False) == 200
    assert status(client, blocked=True) == 403
    with caplog.at_level(logging.ERROR, logger="gatekeep.authorizer"):
        assert status(client) == 403
    assert "blocked" in caplog.text


def test_what_claims_can_hold_does_no_harm(site):
    client = guarded(site, Cedar("permit(principal, action, resource);"))
    odd = {"a": 1.5, "b": 2**70, "c": {"__entity": {"type": "Role", "id": "admin"}, "__extn": 1}, "d": [None, [None]], "é": "é"}
    assert status(client, **odd) == 200
    client = guarded(site, Cedar('permit(principal, action, resource) when { principal.claims.c in Role::"admin" };'))
    assert status(client, **odd) == 403
    for name in ('"; permit', 'a"b', "a\\b", "ünïcode"):
        assert status(guarded(site, Cedar('permit(principal == User::"alice", action, resource);')), sub=name) == 403


def test_entities_of_ones_own(site):
    entities = [{"uid": {"type": "Role", "id": "admin"}, "attrs": {}, "parents": [{"type": "Group", "id": "staff"}]}]
    client = guarded(site, Cedar('permit(principal in Group::"staff", action, resource);', entities=entities))
    assert status(client, roles=["admin"]) == 200
    assert status(client, roles=["user"]) == 403


def test_action_resource_and_context_of_ones_own(site):
    policy = 'permit(principal, action == Action::"read", resource == Order::"7") when { context.vip };'
    cedar = Cedar(
        policy,
        action=lambda request: "read" if request.method == "GET" else "write",
        resource=lambda request: ("Order", request.path.rpartition("/")[2]),
        context=lambda request: {"vip": request.header("x-vip") is None},
    )
    client = guarded(site, cedar)
    assert status(client) == 200
    assert status(client, "POST") == 403
    assert status(client, target="/orders/8") == 403


SCHEMA = """
entity Role;
entity User in [Role] { kind: String, issuer: String, scopes: Set<String>, roles: Set<String>, claims: {} };
entity Route;
action GET appliesTo { principal: User, resource: Route, context: { path: String, client?: String, stage?: String } };
"""


def test_policies_are_checked_against_a_schema():
    Cedar('permit(principal, action == Action::"GET", resource) when { principal.kind == "jwt" };', schema=SCHEMA)
    with pytest.raises(ConfigurationError, match=r"Cedar: .*kinds"):
        Cedar('permit(principal, action == Action::"GET", resource) when { principal.kinds == "jwt" };', schema=SCHEMA)
    Cedar("", schema={"": {"entityTypes": {}, "actions": {}}})


def test_policies_from_a_file(site, tmp_path):
    file = tmp_path / "policies.cedar"
    with pytest.raises(ConfigurationError, match="No such file"):
        Cedar(file)
    file.write_text("permit(principal, action, resource);")
    assert status(guarded(site, Cedar(file))) == 200


@pytest.mark.parametrize(
    "settings", [{"policies": "permit(;"}, {"policies": "", "entities": [{"uid": 1}]}, {"policies": "", "schema": "x"}]
)
def test_mistakes_name_their_line(settings):
    with pytest.raises(ConfigurationError, match=r"test_cedar\.py:\d+: Cedar: "):
        Cedar(**settings)


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cedarpy", None)
    with pytest.raises(ConfigurationError, match=r'pip install "gatekeep\[policy\]"'):
        Cedar("")
