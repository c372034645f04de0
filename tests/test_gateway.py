"""The gateway as a whole, around an opaque app: what passes, what is refused, and in which words."""

from __future__ import annotations

import pytest

from gatekeep.component import Spec
from gatekeep.components.cors import Cors
from gatekeep.components.ip_rules import IPRules
from gatekeep.errors import ConfigurationError
from gatekeep.routing import Route


def test_nothing_configured_changes_nothing(site):
    answer = site().get("/x")
    assert (answer.status, answer.body) == (200, b"ok")
    assert [name.lower() for name, _ in answer.headers] == ["content-type", "content-length"]


def test_refusals_are_problem_json(site):
    answer = site(IPRules(deny=["127.0.0.1"])).get("/x")
    assert answer.status == 403
    assert answer.headers.get("content-type") == "application/problem+json"
    body = answer.json()
    assert body["code"] == "ip_denied"
    assert body["request_id"] == answer.headers.get("x-request-id")


def test_refusals_in_the_words_of_aws(site):
    answer = site(IPRules(deny=["127.0.0.1"]), errors="aws").get("/x")
    assert answer.status == 403
    assert answer.json() == {"Message": "User is not authorized to access this resource"}
    assert answer.headers.get("x-amzn-errortype") == "AccessDeniedException"


def test_policy_on_a_route_of_an_opaque_app(site):
    client = site(routes=[Route("/admin/{rest:path}", IPRules(deny=["127.0.0.1"]))])
    assert client.get("/admin/x").status == 403
    assert client.get("/other").status == 200


@pytest.mark.parametrize(
    "target",
    ["//admin/x", "/ADMIN/x", "/./admin/x", "/a/../admin/x", "/admin;a/x", "/admin%2fx", "/admin%5cx", "/x%00", "/%2e/admin/x"],
)
def test_paths_that_can_be_read_in_two_ways_are_refused(site, target):
    called = []

    def view(request):
        called.append(request.path)
        return 200, [], b""

    client = site(view=view, routes=[Route("/admin/{rest:path}", IPRules(deny=["127.0.0.1"]))])
    assert client.get(target).status in (400, 403)
    assert not called


def test_cors_preflight_and_answers(site):
    client = site(Cors(allow_origins=["https://a.example"]), IPRules(deny=["127.0.0.1"]))
    preflight = client.request("OPTIONS", "/x", headers={"origin": "https://a.example", "access-control-request-method": "PUT"})
    assert preflight.status == 204
    assert preflight.headers.get("access-control-allow-origin") == "https://a.example"
    refused = client.get("/x", headers={"origin": "https://a.example"})
    assert refused.status == 403
    assert refused.headers.get("access-control-allow-origin") == "https://a.example"


def test_a_spec_without_a_component_is_a_mistake(site):
    class Geofence(Spec):
        pass

    with pytest.raises(ConfigurationError, match="no component"):
        site(Geofence())


def test_report_mode_enforces_nothing(site):
    assert site(IPRules(deny=["127.0.0.1"], mode="report")).get("/x").status == 200
    assert site(IPRules(deny=["127.0.0.1"]), mode="report").get("/x").status == 200
