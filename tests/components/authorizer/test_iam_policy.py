"""IAMPolicy: policy documents on callers who are known."""

from __future__ import annotations

import json

import flask
import pytest

from components.authorizer.minting import AUDIENCE, ISSUER, bearer, jwks, mint
from gatekeep.components.authorizer import JWT, Authorize
from gatekeep.components.authorizer.iam_policy import IAMPolicy
from gatekeep.components.stages import Stage
from gatekeep.errors import ConfigurationError
from gatekeep.gateway import Gateway
from gatekeep.testing import Client, FakeClock


def statement(effect="Allow", resource="execute-api:/*", **elements):
    return {"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource, **elements}


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def guarded(site, *statements, clock=None, **options):
    policy = IAMPolicy(document(*statements))
    return site(Authorize(JWT(ISSUER, AUDIENCE, keys=jwks("rsa")), when=policy), clock=clock or FakeClock(), **options)


def status(client, target="/", method="GET", **claims):
    answer = client.request(method, target, headers=bearer(mint(**claims)))
    assert answer.status != 403 or answer.json()["code"] == "forbidden"
    return answer.status


def test_the_callers_own_policy(site):
    client = guarded(site, statement(resource="execute-api:/*/GET/orders/*"), statement("Deny", "execute-api:/*/*/orders/secret"))
    assert status(client, "/orders/7") == 200
    assert status(client, "/users/7") == 403
    assert status(client, "/orders/7", "POST") == 403
    for target in ("/orders/secret", "/orders/secret/"):
        assert status(client, target) == 403


def test_slashes_at_the_start_lead_around_no_deny():
    app = flask.Flask(__name__)
    app.add_url_rule("/admin", view_func=lambda: "admin")
    policy = IAMPolicy(document(statement(), statement("Deny", "execute-api:/*/GET/admin")))
    Gateway(Authorize(JWT(ISSUER, AUDIENCE, keys=jwks("rsa")), when=policy), clock=FakeClock()).init_app(app)
    with Client(app) as client:  # werkzeug takes them all for one
        statuses = [status(client, target) for target in ("/admin", "//admin", "///admin", "//admin/", "//other")]
    assert statuses == [403, 403, 403, 403, 404]


def test_a_resources_policy_names_callers(site):
    arn = "arn:aws:iam::123456789012:user/carol"
    client = guarded(
        site,
        statement(Principal={"AWS": ["alice", arn]}),
        statement("Deny", Principal={"AWS": "bob"}),
        statement(Principal="*", resource="execute-api:/*/GET/public/*"),
    )
    assert status(client) == 200
    assert status(client, sub="carol") == 403
    assert status(client, sub="carol", arn=arn) == 200
    assert status(client, "/public/x", sub="carol") == 200
    assert status(client, "/public/x", sub="bob") == 403


def test_variables_and_conditions_about_the_caller(site):
    client = guarded(
        site,
        statement(resource="execute-api:/*/GET/users/${aws:username}"),
        statement(resource="execute-api:/*/GET/team", Condition={"StringEquals": {"aws:PrincipalTag/Team": "red"}}),
        statement(resource="execute-api:/*/GET/admin", Condition={"Bool": {"aws:PrincipalTag/admin": "true"}}),
        statement(
            resource="execute-api:/*/GET/kind", Condition={"StringEquals": {"aws:PrincipalType": "jwt", "aws:userid": "app"}}
        ),
        statement(resource="execute-api:/*/GET/issuer", Condition={"StringEquals": {"aws:FederatedProvider": ISSUER}}),
        statement(resource="execute-api:/*/GET/arn", Condition={"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"}}),
    )
    assert status(client, "/users/alice") == 200
    assert status(client, "/users/bob") == 403
    assert status(client, "/users/x", sub="*") == 403
    assert [status(client, "/team", team=team) for team in ("red", ["blue", "red"], "blue", None, {"a": 1})] == [
        200,
        200,
        403,
        403,
        403,
    ]
    assert [status(client, "/admin", admin=value) for value in (True, "true", False, 1)] == [200, 200, 403, 403]
    assert [status(client, "/kind", azp=azp) for azp in ("app", None)] == [200, 403]
    assert status(client, "/issuer") == 200
    assert [status(client, "/arn", arn=arn) for arn in ("arn:aws:iam::1:user/a", "x", None, 7)] == [200, 403, 403, 403]


def test_by_address_and_time_and_stage(site):
    clock = FakeClock()  # 2001-09-09T01:46:40Z
    soon = {"DateLessThan": {"aws:CurrentTime": "2001-09-09T02:00:00Z"}, "IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}
    stages = [Stage("live", path="/live"), Stage("dev", path="/dev")]
    client = guarded(site, statement(resource="execute-api:/live/*", Condition=soon), clock=clock, stages=stages)
    token = bearer(mint(exp=1_000_009_000))
    assert [client.get(target, headers=token).status for target in ("/live/x", "/dev/x")] == [200, 403]
    assert client.get("/live/x", headers=token, client="10.0.0.1").status == 403
    clock.advance(1000)
    assert client.get("/live/x", headers=token).status == 403


def test_an_unclear_path_is_a_400(site):
    client = guarded(site, statement(resource="execute-api:/*/GET/public/*"))
    assert client.get("/public/../x", headers=bearer(mint())).status == 400


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("{", "Expecting"),
        ("[]", "is an object"),
        (document({"Effect": "Allow"}), "has an Action"),
        (document(statement(Principal="*"), statement()), "has a Principal"),
    ],
)
def test_mistakes_name_their_line(given, says):
    with pytest.raises(ConfigurationError, match=rf"test_iam_policy\.py:\d+: IAMPolicy: .*{says}"):
        IAMPolicy(given)
    IAMPolicy(json.dumps(document(statement())))
    with pytest.raises(ConfigurationError, match="is not arn"):
        IAMPolicy(document(statement()), arn="x")
