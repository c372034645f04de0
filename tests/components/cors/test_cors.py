"""Cors: who may read answers from other origins, and what browsers are told before they ask."""

from __future__ import annotations

import pytest

from gatekeep.components.cors import Cors
from gatekeep.components.ip_rules import IPRules
from gatekeep.errors import ConfigurationError
from gatekeep.routing import Route

APP = "https://app.example"


def preflight(client, target="/x", origin=APP, method="PUT", headers=None):
    fields = {"origin": origin, "access-control-request-method": method}
    if headers is not None:
        fields["access-control-request-headers"] = headers
    return client.request("OPTIONS", target, headers=fields)


def allowed(answer):
    return answer.headers.get("access-control-allow-origin")


class TestPreflights:
    def test_one_that_is_allowed(self, site):
        called = []

        def view(request):
            called.append(1)
            return 200, [], b""

        spec = Cors(allow_origins=[APP], allow_methods=["GET", "PUT"], allow_headers=["Content-Type", "x-a"], max_age=60.9)
        answer = preflight(site(spec, view=view), headers="content-type, X-A")
        assert answer.status == 204
        assert answer.body == b""
        assert allowed(answer) == APP
        assert answer.headers.get("access-control-allow-methods") == "GET, PUT"
        assert answer.headers.get("access-control-allow-headers") == "content-type, x-a"
        assert answer.headers.get("access-control-max-age") == "60"
        assert answer.headers.get("access-control-allow-credentials") is None
        assert answer.headers.get("vary") == "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
        assert called == []

    @pytest.mark.parametrize(
        "asking",
        [
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"method": "DELETE"},
            {"headers": "x-other"},
            {"headers": "content-type, x-other"},
        ],
    )
    def test_one_that_is_not_says_nothing(self, site, asking):
        spec = Cors(allow_origins=[APP], allow_methods=["GET", "PUT"], allow_headers=["Content-Type"])
        answer = preflight(site(spec), **asking)
        assert answer.status == 204
        assert not [name for name, _ in answer.headers if name.startswith("access-control-")]
        assert "Origin" in answer.headers.get("vary")

    def test_anybody_anything(self, site):
        answer = preflight(
            site(Cors(allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])), method="BREW", headers="x-a"
        )
        assert allowed(answer) == "*"
        assert answer.headers.get("access-control-allow-methods") == "BREW"
        assert answer.headers.get("access-control-allow-headers") == "x-a"

    def test_it_is_answered_before_anybody_is_refused(self, site):
        client = site(Cors(allow_origins=[APP]), IPRules(deny=["127.0.0.1"]))
        assert allowed(preflight(client)) == APP
        assert client.request("OPTIONS", "/x", headers={"origin": APP}).status == 403

    @pytest.mark.parametrize("headers", [{"origin": APP}, {"access-control-request-method": "PUT"}, {}])
    def test_an_options_request_that_is_none_is_the_app_s(self, site, headers):
        assert site(Cors(allow_origins=[APP])).request("OPTIONS", "/x", headers=headers).body == b"ok"

    def test_the_strongest_policy_decides(self, site):
        client = site(
            Cors(allow_origins=["*"]), routes=[Route("/x", Cors(allow_origins=[APP])), Route("/y", Cors.off()), Route("/z")]
        )
        assert allowed(preflight(client)) == APP
        assert allowed(preflight(client, origin="https://other.example")) is None
        assert preflight(client, "/y").body == b"ok"
        assert allowed(preflight(client, "/z")) == "*"


class TestAnswers:
    def test_of_the_app_and_of_the_gateway_carry_the_same(self, site):
        spec = Cors(allow_origins=[APP], allow_credentials=True, expose_headers=["x-b", "X-A"])
        for client in (site(spec), site(spec, IPRules(deny=["127.0.0.1"]))):
            answer = client.get("/x", headers={"origin": APP})
            assert allowed(answer) == APP
            assert answer.headers.get("access-control-allow-credentials") == "true"
            assert answer.headers.get("access-control-expose-headers") == "X-A, x-b"
            assert answer.headers.get("vary") == "Origin"

    def test_a_stranger_gets_the_answer_but_no_leave_to_read_it(self, site):
        answer = site(Cors(allow_origins=[APP])).get("/x", headers={"origin": "https://evil.example"})
        assert answer.body == b"ok"
        assert allowed(answer) is None
        assert answer.headers.get("vary") == "Origin"

    def test_without_an_origin_caches_are_told_all_the_same(self, site):
        answer = site(Cors(allow_origins=[APP])).get("/x")
        assert allowed(answer) is None
        assert answer.headers.get("vary") == "Origin"

    def test_anybody_s_answer_varies_with_nothing(self, site):
        answer = site(Cors(allow_origins=["*"])).get("/x", headers={"origin": APP})
        assert allowed(answer) == "*"
        assert answer.headers.get("vary") is None

    @pytest.mark.parametrize(
        ("own", "after"),
        [
            ("Accept", ["Accept", "Origin"]),
            ("accept, origin", ["accept, origin"]),
            ("*", ["*"]),
        ],
    )
    def test_vary_is_added_to_once(self, site, own, after):
        view = lambda request: (200, [("vary", own)], b"")  # noqa: E731
        assert site(Cors(allow_origins=[APP]), view=view).get("/x").headers.get_all("vary") == after

    def test_the_app_s_own_words_are_replaced(self, site):
        def view(request):
            return 200, [("Access-Control-Allow-Origin", "*"), ("access-control-allow-headers", "x"), ("x-a", "b")], b""

        answer = site(Cors(allow_origins=[APP]), view=view).get("/x", headers={"origin": APP})
        assert answer.headers.get_all("access-control-allow-origin") == [APP]
        assert answer.headers.get("access-control-allow-headers") is None
        assert answer.headers.get("x-a") == "b"


@pytest.mark.parametrize(
    ("pattern", "origin", "fits"),
    [
        ("https://app.example", "https://app.example", True),
        ("https://APP.example", "https://app.example", True),
        ("https://app.example", "http://app.example", False),
        ("https://app.example", "https://app.example:8443", False),
        ("https://app.example:8443", "https://app.example:8443", True),
        ("https://*.example", "https://a.example", True),
        ("https://*.example", "https://a.b.example", True),
        ("https://*.example", "https://example", False),
        ("https://*.example", "https://evil.test/.example", False),
        ("https://*.example", "https://evil.test#.example", False),
        ("https://*.example", "https://a.example.evil.test", False),
        ("https://*.example", "http://a.example", False),
        ("*://app.example", "http://app.example", True),
        ("https://app-*.example", "https://app-7.example", True),
        ("https://*.*.example", "https://a.b.example", True),
        ("http://localhost:*", "http://localhost:3000", True),
        ("http://localhost:*", "http://localhost", False),
    ],
)
def test_origins(site, pattern, origin, fits):
    answer = site(Cors(allow_origins=["https://first.example", pattern])).get("/x", headers={"origin": origin})
    assert allowed(answer) == (origin if fits else None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "allow_origins is empty"),
        ({"allow_origins": APP}, "allow_origins is a string"),
        ({"allow_origins": [APP], "allow_methods": "GET"}, r"allow_methods is a string \(allow_methods=\['GET'\]\)"),
        ({"allow_origins": ["app.example"]}, "not an origin"),
        ({"allow_origins": ["https://app.example/"]}, "not an origin"),
        ({"allow_origins": ["https://*app.example"]}, "not an origin.*followed by a dot"),
        ({"allow_origins": ["https://app.*"]}, "not an origin"),
        ({"allow_origins": ["https://*"]}, "not an origin"),
        ({"allow_origins": ["https://app.example@evil.test"]}, "not an origin"),
        ({"allow_origins": ["*"], "allow_credentials": True}, "allow_credentials together"),
        ({"allow_origins": [APP], "allow_headers": ["*"], "allow_credentials": True}, "allow_credentials together"),
        ({"allow_origins": [APP], "max_age": -1}, "negative"),
    ],
)
def test_mistakes_name_file_and_line(options, message):
    with pytest.raises(ConfigurationError, match=rf"test_cors\.py:\d+: Cors: .*{message}"):
        Cors(**options)
