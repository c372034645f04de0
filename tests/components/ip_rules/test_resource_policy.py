"""ResourcePolicy: what no statement allows is refused before anybody is known."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from gatekeep.components.authorizer import ApiKey, Authorize
from gatekeep.components.ip_rules import ResourcePolicy
from gatekeep.components.stages import Stage
from gatekeep.errors import ConfigurationError
from gatekeep.routing import Route
from gatekeep.testing import FakeClock

KEY = "k-0123456789abcdefghij"


def statement(effect: str = "Allow", resource: str = "execute-api:/*", **elements: Any) -> dict[str, Any]:
    return {"Effect": effect, "Principal": "*", "Action": "execute-api:Invoke", "Resource": resource, **elements}


def policy(*statements: dict[str, Any], **options: Any) -> ResourcePolicy:
    return ResourcePolicy({"Version": "2012-10-17", "Statement": list(statements)}, **options)


OFFICE = {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "2001:db8::/32"]}}


def code(answer: Any) -> str:
    return "" if answer.status < 400 else answer.json()["code"]


def test_what_nothing_allows_is_refused(site: Any) -> None:
    client = site(policy(statement(resource="execute-api:/*/GET/orders/*")))
    assert client.get("/orders/1").status == 200
    assert (client.get("/users").status, code(client.get("/users"))) == (403, "implicit_deny")
    assert client.post("/orders/1").status == 403


def test_a_deny_wins(site: Any) -> None:
    client = site(policy(statement(), statement("Deny", "execute-api:/*/*/admin*")))
    assert client.get("/").status == 200
    for target in ("/admin", "/admin/", "/admin/users"):
        assert code(client.get(target)) == "explicit_deny"


def test_by_address(site: Any) -> None:
    client = site(policy(statement(), statement("Deny", Condition={"NotIpAddress": OFFICE["IpAddress"]})))
    assert client.get("/", client="10.1.2.3").status == 200
    assert client.get("/", client="2001:db8::1").status == 200
    assert code(client.get("/", client="192.0.2.1")) == "explicit_deny"
    assert code(client.get("/", client=None)) == "explicit_deny"
    client = site(policy(statement(Condition=OFFICE)))
    assert [client.get("/", client=address).status for address in ("10.1.2.3", "192.0.2.1", None)] == [200, 403, 403]


def test_what_a_client_says_of_its_address_counts_only_through_a_trusted_proxy(site: Any) -> None:
    forged = {"x-forwarded-for": "10.1.2.3"}
    assert site(policy(statement(Condition=OFFICE))).get("/", headers=forged, client="192.0.2.1").status == 403
    client = site(policy(statement(Condition=OFFICE)), trusted_proxies=["192.0.2.1"])
    assert client.get("/", headers=forged, client="192.0.2.1").status == 200


def test_by_time(site: Any) -> None:
    clock = FakeClock()  # 2001-09-09T01:46:40Z
    client = site(policy(statement(Condition={"DateLessThan": {"aws:CurrentTime": "2001-09-09T02:00:00Z"}})), clock=clock)
    assert client.get("/").status == 200
    clock.advance(1000)
    assert client.get("/").status == 403


def test_stages_are_part_of_the_resource(site: Any) -> None:
    client = site(
        policy(statement(resource="execute-api:/live/*")), stages=[Stage("live", path="/live"), Stage("dev", path="/dev")]
    )
    assert client.get("/live/x").status == 200
    assert client.get("/dev/x").status == 403


def test_policies_of_every_level_must_allow(site: Any) -> None:
    inner = policy(statement(resource="execute-api:/*/GET/orders/*"))
    client = site(policy(statement(Condition=OFFICE)), routes=[Route("/orders/{rest:path}", inner)])
    assert client.get("/orders/1", client="10.0.0.1").status == 200
    assert client.post("/orders/1", client="10.0.0.1").status == 403
    assert client.get("/orders/1", client="192.0.2.1").status == 403


def test_it_is_asked_before_the_caller_is_known(site: Any) -> None:
    client = site(Authorize(ApiKey({KEY: "acme"})), policy(statement("Deny"), statement()))
    assert code(client.get("/", headers={"x-api-key": KEY})) == "explicit_deny"
    assert code(client.get("/")) == "explicit_deny"


@pytest.mark.parametrize("target", ["/public/../admin", "/public//admin", "/public/%2e%2e%2fadmin", "/public;x"])
def test_a_path_that_an_opaque_app_may_read_otherwise_is_a_400(site: Any, target: str) -> None:
    answer = site(policy(statement(resource="execute-api:/*/GET/public/*"))).get(target)
    assert (answer.status, code(answer)) == (400, "ambiguous_path")


def test_a_report_refuses_nobody(site: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="gatekeep"):
        assert site(policy(statement("Deny"), mode="report")).get("/").status == 200
    assert "explicit_deny" in caplog.text


def test_as_json_with_an_arn_of_ones_own(site: Any) -> None:
    arn = "arn:aws:execute-api:eu-west-1:123456789012:abc"
    text = json.dumps({"Version": "2012-10-17", "Statement": statement(resource=f"{arn}/*/GET/a")})
    client = site(ResourcePolicy(text, arn=arn))
    assert client.get("/a").status == 200
    assert site(ResourcePolicy(text)).get("/a").status == 403


@pytest.mark.parametrize(
    ("document", "options", "says"),
    [
        ("{", {}, "Expecting"),
        ({"Statement": [{**statement(), "Effect": "x"}]}, {}, "neither Allow nor Deny"),
        ({"Statement": [statement(Principal={"AWS": "123456789012"})]}, {}, "names '123456789012', but who calls is not known"),
        ({"Statement": [statement()]}, {"arn": "x"}, "'x' is not arn"),
    ],
)
def test_mistakes_name_file_line_and_fix(document: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"test_resource_policy\.py:\d+: ResourcePolicy: .*{says}"):
        ResourcePolicy(document, **options)
