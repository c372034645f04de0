"""Cognito: moto's server stands in for a user pool, and gives out its tokens (acceptance); then what Cognito asks of them."""

from __future__ import annotations

import boto3
import pytest
from moto.server import ThreadedMotoServer

from components.authorizer.minting import NOW, bearer, mint
from gatekeep.components.authorizer import Authorize, Cognito
from gatekeep.errors import ConfigurationError
from gatekeep.exchange import current
from gatekeep.testing import FakeClock

REGION = "eu-west-1"
PASSWORD = "Correct-Horse-7"


class Pool:
    """A user pool with one client and one user, alice, who is in the group "clerks"."""

    def __init__(self, endpoint: str) -> None:
        client = boto3.client(
            "cognito-idp", REGION, endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test"
        )
        self.id = client.create_user_pool(PoolName="orders")["UserPool"]["Id"]
        flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
        made = client.create_user_pool_client(UserPoolId=self.id, ClientName="web", ExplicitAuthFlows=flows)
        self.client_id = made["UserPoolClient"]["ClientId"]
        client.admin_create_user(UserPoolId=self.id, Username="alice", MessageAction="SUPPRESS")
        client.admin_set_user_password(UserPoolId=self.id, Username="alice", Password=PASSWORD, Permanent=True)
        client.create_group(UserPoolId=self.id, GroupName="clerks")
        client.admin_add_user_to_group(UserPoolId=self.id, Username="alice", GroupName="clerks")
        self.jwks_url = f"{endpoint}/{self.id}/.well-known/jwks.json"
        self._client = client

    def sign_in(self) -> dict[str, str]:
        given = self._client.initiate_auth(
            ClientId=self.client_id, AuthFlow="USER_PASSWORD_AUTH", AuthParameters={"USERNAME": "alice", "PASSWORD": PASSWORD}
        )
        return given["AuthenticationResult"]


@pytest.fixture(scope="module")
def pool():
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield Pool(f"http://{host}:{port}")
    finally:
        server.stop()


def who(request):
    principal = current().principal
    told = f"{principal.id} {principal.client_id} {','.join(sorted(principal.roles))} {principal.claims['token_use']}"
    return 200, [("content-type", "text/plain")], told.encode()


def test_a_token_of_the_pool_is_accepted(site, pool):
    tokens = pool.sign_in()
    access = site(Authorize(Cognito(REGION, pool.id, pool.client_id, jwks_url=pool.jwks_url)), view=who)
    subject, client, roles, use = access.get("/", headers=bearer(tokens["AccessToken"])).body.decode().split(" ")
    assert (client, roles, use) == (pool.client_id, "clerks", "access")
    assert subject
    identity = site(Authorize(Cognito(REGION, pool.id, [pool.client_id], use="id", jwks_url=pool.jwks_url)), view=who)
    assert identity.get("/", headers=bearer(tokens["IdToken"])).body.decode().split(" ")[0] == subject
    assert access.get("/", headers=bearer(tokens["IdToken"])).status == 401, "one kind is never taken for the other"
    assert identity.get("/", headers=bearer(tokens["AccessToken"])).status == 401
    stranger = site(Authorize(Cognito(REGION, pool.id, "another-client", jwks_url=pool.jwks_url)))
    assert stranger.get("/", headers=bearer(tokens["AccessToken"])).json()["code"] == "unknown_client"
    neighbour = site(Authorize(Cognito(REGION, f"{REGION}_Neighbour", pool.client_id, jwks_url=pool.jwks_url)))
    assert neighbour.get("/", headers=bearer(tokens["AccessToken"])).json()["code"] == "invalid_issuer"


# What AWS says of these tokens, with tokens of our own.

POOL = f"{REGION}_AbCdEfGhI"
WE = f"https://cognito-idp.{REGION}.amazonaws.com/{POOL}"


@pytest.fixture
def judge(site, issuer):
    def judge(use, **changes):
        clock = FakeClock()
        client = site(Authorize(Cognito(REGION, POOL, {"web", "cli"}, use, jwks_url=issuer.jwks_url)), clock=clock)
        of_use = {"aud": "web"} if use == "id" else {"aud": None, "client_id": "web"}
        answer = client.get("/", headers=bearer(mint(**{"iss": WE, "token_use": use, **of_use, **changes})))
        return answer.json()["code"] if answer.status != 200 else ""

    return judge


@pytest.mark.parametrize(
    ("use", "changes", "expected"),
    [
        ("access", {}, ""),
        ("access", {"client_id": "cli"}, ""),
        ("access", {"client_id": "evil"}, "unknown_client"),
        ("access", {"client_id": None, "aud": "web"}, "unknown_client"),
        ("access", {"token_use": "id"}, "invalid_claim"),
        ("access", {"token_use": None}, "invalid_claim"),
        ("access", {"sub": None}, "invalid_claim"),
        ("access", {"exp": NOW - 10}, "token_expired"),
        ("access", {"iss": WE + "x"}, "invalid_issuer"),
        ("access", {"alg": "RS512"}, "unsupported_algorithm"),
        ("id", {}, ""),
        ("id", {"aud": "evil"}, "invalid_audience"),
        ("id", {"aud": None, "client_id": "web"}, "invalid_audience"),
        ("id", {"token_use": "access"}, "invalid_claim"),
    ],
)
def test_what_is_asked_of_them(judge, use, changes, expected):
    assert judge(use, **changes) == expected


def test_where_keys_are():
    assert Cognito(REGION, POOL, "web")._tokens.jwks_url == f"{WE}/.well-known/jwks.json"
    beijing = Cognito("cn-north-1", "cn-north-1_AbCdEfGhI", "web")
    assert beijing.issuer == "https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_AbCdEfGhI"
    assert Cognito("us-gov-west-1", "us-gov-west-1_AbCdEfGhI", "web").issuer.startswith("https://cognito-idp.us-gov-west-1.")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"region": "Ireland"}, "region"),
        ({"region": "eu-west-1.evil.example/"}, "region"),
        ({"region": None}, "region"),
        ({"pool_id": "AbCdEfGhI"}, "pool"),
        ({"pool_id": f"{POOL}/../x"}, "pool"),
        ({"pool_id": "eu-west-2_AbCdEfGhI"}, "not in"),
        ({"client_ids": []}, "client_ids"),
        ({"use": "refresh"}, "use"),
        ({"leeway": -1}, "leeway"),
        ({"sources": []}, "sources"),
    ],
)
def test_mistakes_name_their_line(options, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        Cognito(**{"region": REGION, "pool_id": POOL, "client_ids": "web", **options})
    assert "test_cognito.py" in str(caught.value)
