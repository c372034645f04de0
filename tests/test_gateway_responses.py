"""gateway_responses: which names are taken, which are mistakes, and what is said of those that may be either."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gatekeep
from gatekeep import Component, ConfigurationError, Gateway, Hooks, IPRules, Spec
from gatekeep.errors import Forbidden
from gatekeep.gateway_responses import known_codes

ROOT = Path(gatekeep.__file__).parent
DOCS = Path(__file__).parents[1] / "docs"
HERE = re.escape(__file__) + r":\d+: "


def same(denied, standard):
    return standard


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("throtled", '"throttled"'),
        ("throtteld", '"throttled"'),
        ("ip-denied", '"ip_denied"'),
        ("IP_DENIED", '"ip_denied"'),
        ("token_expire", '"token_expired"'),
        ("confilct", '"conflict"'),
        ("4XX", '"4xx"'),
        ("429", '"4xx", or a code'),
        (429, '"4xx", or a code'),
        (None, "a string"),
    ],
)
def test_a_slip_names_what_was_meant(name, fix):
    with pytest.raises(ConfigurationError, match=f"{HERE}Gateway: gateway_responses: {name!r} is no code") as caught:
        Gateway(gateway_responses={name: same})
    assert fix in caught.value.fix


@pytest.mark.parametrize("function", ["busy", None, {"status": 503}])
def test_what_is_not_callable_is_a_mistake(function):
    with pytest.raises(ConfigurationError, match=HERE + r".*'throttled'.* is not callable \(a function of the Denied"):
        Gateway(gateway_responses={"throttled": function})


def test_what_is_no_mapping_is_a_mistake():
    with pytest.raises(ConfigurationError, match=HERE + ".*is not a mapping"):
        Gateway(gateway_responses=[("throttled", same)])


def test_every_known_code_and_class_is_taken_and_nothing_said(caplog):
    Gateway(gateway_responses=dict.fromkeys([*known_codes(), "4xx", "5xx"], same)).check()
    assert not caplog.records


class Closed(Spec):
    """The shop is closed."""


class Doorman(Component):
    spec = Closed

    def bind(self, plan):
        def on_request(exchange):
            raise Forbidden("Come back tomorrow.", code="shop_closed")

        return Hooks(on_request=on_request) if plan.specs else None


def test_a_code_of_a_component_of_one_s_own_is_taken(site, caplog):
    def teapot(denied, standard):
        standard.status = 418
        return standard

    client = site(Closed(), order=[Doorman], gateway_responses={"shop_closed": teapot, "4xx": same})
    assert (client.get("/").status, client.get("/").json()["code"]) == (418, "shop_closed")
    client.gateway.check()
    [warning] = caplog.messages
    assert re.fullmatch(r"\S+:\d+: gateway_responses: gatekeep has no code 'shop_closed', nor has a subclass of Denied", warning)


def test_a_code_that_a_subclass_of_denied_has_is_known_however_near_to_another(caplog):
    class Late(Forbidden):
        code = "throttles"

    Gateway(gateway_responses={Late.code: same}).check()
    assert not caplog.records
    with pytest.raises(ConfigurationError, match="throtled"):
        Gateway(IPRules(deny=["192.0.2.1"]), gateway_responses={"throtled": same})


def test_codes_that_the_source_and_the_guide_name_are_known():
    named = {code for file in ROOT.rglob("*.py") for code in re.findall(r'\bcode="([a-z_]+)"', file.read_text("utf-8"))}
    for page in DOCS.rglob("*.md"):
        for row in re.findall(r"^\|\s*[45]\d\d\s*\|([^|]*)\|", page.read_text("utf-8"), re.MULTILINE):
            named |= set(re.findall(r"`([a-z]+(?:_[a-z]+)*)`", row))
    assert len(named) > 80
    assert named <= known_codes(), sorted(named - known_codes())
