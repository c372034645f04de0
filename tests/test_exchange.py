"""Exchange and Principal: what views and components may ask of a running request."""

from __future__ import annotations

import logging
import re

import pytest

from gatekeep.component import Off
from gatekeep.components.ip_rules import IPRules
from gatekeep.components.stages import Stage
from gatekeep.errors import ConfigurationError, Forbidden
from gatekeep.exchange import ANONYMOUS, Principal, current, principal
from gatekeep.routing import Route
from probes import lined_up, probe


def test_a_principal_is_known_by_kind_issuer_and_id():
    one = Principal("jwt", "https://a.example", "7", claims={"x": 1})
    other = Principal("jwt", "https://b.example", "7")
    assert one.key == ("jwt", "https://a.example", "7")
    assert one.key != other.key
    assert one == Principal("jwt", "https://a.example", "7")
    assert (one.subject, one.anonymous, ANONYMOUS.anonymous) == ("7", False, True)


def asked(site, question, target="/", headers=None, client="127.0.0.1", **options):
    """What a view learns from the running exchange."""
    answers = []

    def view(request):
        answers.append(question(current()))
        return 200, [], b""

    site(view=view, **options).get(target, headers=headers, client=client)
    (answer,) = answers
    return answer


def test_who_and_where(site, protocol):
    routes = [Route("/orders/{id:int}/{rest:path}")]

    def question(exchange):
        return (exchange.route, dict(exchange.path_params), exchange.stage, dict(exchange.variables), exchange.protocol)

    assert asked(site, question, "/orders/7/a/b", routes=routes) == (
        "/orders/{id:int}/{rest:path}",
        {"id": 7, "rest": "a/b"},
        None,
        {},
        protocol,
    )
    assert asked(site, question, "/other", routes=routes) == (None, {}, None, {}, protocol)


def test_stage_and_variables(site):
    stages = [Stage("blue", path="/v1", variables={"table": "orders"}), Stage("rest")]
    assert asked(site, lambda exchange: (exchange.stage, dict(exchange.variables)), "/v1/x", stages=stages) == (
        "blue",
        {"table": "orders"},
    )
    assert asked(site, lambda exchange: exchange.stage, "/x", stages=stages) == "rest"


def test_of_equal_names_the_last_route_s_parameter_counts(site):
    routes = [Route("/{x:path}"), Route("/{x:int}")]
    assert asked(site, lambda exchange: dict(exchange.path_params), "/7", routes=routes) == {"x": 7}


def test_path_parameters_that_the_framework_makes_are_made_once(site):
    calls = []

    def question(exchange):
        exchange._params = lambda: calls.append(1) or {"a": 1}
        return [exchange.path_params, exchange.path_params]

    assert asked(site, question) == [{"a": 1}, {"a": 1}]
    assert calls == [1]


def test_the_principal_of_an_unauthorized_request_is_anonymous(site):
    assert asked(site, lambda exchange: (exchange.principal, principal())) == (ANONYMOUS, ANONYMOUS)


def test_request_ids_are_random_and_stay_the_same(site):
    one, other = (asked(site, lambda exchange: (exchange.request_id, exchange.request_id)) for _ in range(2))
    assert one[0] == one[1]
    assert one != other
    assert re.fullmatch("[0-9a-f]{32}", one[0])


@pytest.mark.parametrize(
    ("client", "sent", "taken"),
    [
        ("10.0.0.1", "from-the.proxy_1", True),
        ("10.0.0.1", "x" * 128, True),
        ("10.0.0.1", "x" * 129, False),
        ("10.0.0.1", "", False),
        ("10.0.0.1", "a b", False),
        ("10.0.0.1", "a\u00e4", False),
        ("10.0.0.1", "a,b", False),
        ("10.9.0.1", "from-a-stranger", False),
        (None, "from-nobody", False),
    ],
)
def test_an_inbound_request_id_is_a_trusted_proxy_s_own(site, client, sent, taken):
    headers = {"x-request-id": sent}
    got = asked(site, lambda e: e.request_id, headers=headers, client=client, trusted_proxies=["10.0.0.0/24"])
    assert (got == sent) is taken


def test_without_trusted_proxies_nobody_s_request_id_is_taken(site):
    assert asked(site, lambda exchange: exchange.request_id, headers={"x-request-id": "mine"}) != "mine"


def test_the_client_s_address(site):
    assert asked(site, lambda exchange: (exchange.client, exchange.client), client="2001:DB8::1") == ("2001:db8::1",) * 2
    assert asked(site, lambda exchange: exchange.client, client=None) is None


def test_reports_are_noted_and_logged(site, caplog):
    caplog.set_level(logging.INFO, "gatekeep")
    seen = []
    watcher = probe("watcher", finish=lambda exchange: seen.append(exchange.decisions))
    strict = probe("strict", request=lambda exchange: exchange.report("strict", Forbidden("No.", code="nope")))
    site(watcher.spec, strict.spec, **lined_up(watcher, strict)).get("/")
    assert seen == [[("strict", "report:nope")]]
    assert "would refuse" in caplog.text


def test_its_repr_says_what_it_is_about(site):
    text = asked(site, repr, "/orders/7", routes=[Route("/orders/{id}")])
    assert text == "<Exchange GET '/orders/7' → /orders/{id}>"


def test_when_the_request_is_over_scope_and_environ_hold_no_exchange(site):
    kept = []

    def view(request):
        kept.append(request.environ_or_scope)
        assert request.environ_or_scope["gatekeep"] is current()
        return 200, [], b""

    site(view=view).get("/")
    assert "gatekeep" not in kept[0]


class TestSpec:
    """What every spec shares."""

    def test_it_knows_the_line_that_made_it(self):
        spec = IPRules(allow=["10.0.0.1"])
        assert spec.origin.file == __file__
        assert str(spec.origin).endswith(f".py:{spec.origin.line}")

    def test_equal_specs_of_other_lines_are_equal(self):
        assert IPRules(allow=["10.0.0.1"]) == IPRules(allow=["10.0.0.1"])

    def test_a_wrong_mode_is_named(self):
        with pytest.raises(ConfigurationError, match=r"test_exchange\.py:\d+: IPRules: mode='off'"):
            IPRules(allow=["10.0.0.1"], mode="off")

    def test_off_is_a_spec_of_its_kind(self):
        off = IPRules.off()
        assert isinstance(off, Off)
        assert repr(off) == "IPRules.off()"
        assert off.about is IPRules
        assert off.origin.file == __file__

    def test_configuration_errors_name_file_line_and_fix(self):
        error = IPRules(allow=["10.0.0.1"]).mistake("is wrong", fix="do it right")
        assert str(error) == f"{error.origin}: IPRules: is wrong (do it right)"
        assert str(ConfigurationError("plain")) == "plain"
