"""IPRules: which addresses get in, and that asking stays cheap and bounded."""

from __future__ import annotations

import ipaddress
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeep.components.ip_rules import IPRules
from gatekeep.components.ip_rules.networks import Networks
from gatekeep.errors import ConfigurationError

PROXIES = {"trusted_proxies": ["127.0.0.1"]}


def status(client: Any, address: str) -> int:
    return int(client.get("/x", headers={"x-forwarded-for": address}).status)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.1.2.3", 403),
        ("11.0.0.0", 200),
        ("9.255.255.255", 200),
        ("192.0.2.7", 403),
        ("192.0.2.8", 200),
        ("::ffff:10.1.2.3", 403),
        ("2001:db8:1::1", 403),
        ("2001:db9::1", 200),
    ],
)
def test_a_denied_network_and_nobody_else(site: Any, address: str, expected: int) -> None:
    client = site(IPRules(deny=["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]), **PROXIES)
    assert [status(client, address) for _ in range(2)] == [expected] * 2  # looked at, then remembered


def test_with_allow_everybody_else_is_refused_and_a_deny_wins(site: Any) -> None:
    client = site(IPRules(allow=["10.0.0.0/8"], deny=["10.9.0.0/16"]), **PROXIES)
    assert [status(client, address) for address in ("10.1.1.1", "10.9.1.1", "192.0.2.1", "::1")] == [200, 403, 403, 403]


def test_rules_of_every_level_apply(site: Any) -> None:
    client = site(IPRules(deny=["10.1.0.0/16"]), IPRules(deny=["10.2.0.0/16"]), **PROXIES)
    assert [status(client, address) for address in ("10.1.1.1", "10.2.1.1", "10.3.1.1")] == [403, 403, 200]


def test_a_caller_without_an_address_passes_where_there_is_no_allow() -> None:
    assert not IPRules(deny=["0.0.0.0/0", "::/0"]).refuses(None)
    assert IPRules(allow=["0.0.0.0/0"]).refuses(None)


def test_a_report_refuses_nobody(site: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="gatekeep"):
        assert site(IPRules(deny=["127.0.0.1"], mode="report")).get("/x").status == 200
    assert "ip_denied" in caplog.text


def test_strangers_take_no_memory() -> None:
    refuses = IPRules(deny=["10.0.0.0/8"]).refuses
    for number in range(10_000):
        refuses(str(ipaddress.ip_address(number)))
    assert refuses.cache_info().currsize <= 4096  # type: ignore[attr-defined]


@given(
    st.lists(st.ip_addresses(v=4).flatmap(lambda ip: st.integers(0, 32).map(lambda bits: f"{ip}/{bits}"))),
    st.lists(st.ip_addresses(v=6).flatmap(lambda ip: st.integers(0, 128).map(lambda bits: f"{ip}/{bits}"))),
    st.lists(st.ip_addresses(), min_size=1),
)
def test_a_set_holds_what_one_of_its_networks_holds(four: list[str], six: list[str], addresses: list[Any]) -> None:
    networks = [ipaddress.ip_network(text, strict=False) for text in (*four, *six)]
    held = Networks(map(str, networks))
    ends = [address for network in networks for address in (network[0], network[-1])]
    for address in (*addresses, *ends):
        assert (address in held) == any(address in network for network in networks)
    assert bool(held) == bool(networks)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({}, "neither allow nor deny"),
        ({"deny": "10.0.0.0/8"}, r"deny is a string .*deny=\['10.0.0.0/8'\]"),
        ({"allow": ["10.0.0.1/8"]}, "allow: 10.0.0.1/8 has host bits set"),
        ({"deny": ["everybody"]}, "deny: 'everybody' does not appear to be"),
    ],
)
def test_mistakes_name_file_line_and_fix(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"test_ip_rules\.py:\d+: IPRules: .*{message}"):
        IPRules(**rules)
