"""The client's address: whose word is taken, in which header, and where the walk through the hops ends."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeep.proxies import TrustedProxies, parse_address
from gatekeep.requests import AsgiRequest, WsgiRequest


def request(protocol, peer, lines):
    """A request with header lines as (name, value); WSGI servers join repeated ones."""
    if protocol == "asgi":
        headers = [(name.encode(), value.encode()) for name, value in lines]
        scope = {"type": "http", "path": "/", "headers": headers, "client": (peer, 1) if peer is not None else None}
        return AsgiRequest(scope, None)
    environ = {"REQUEST_METHOD": "GET", "REMOTE_ADDR": peer or ""}
    for name, value in lines:
        key = f"HTTP_{name.upper().replace('-', '_')}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return WsgiRequest(environ)


XFF = "x-forwarded-for"
TRUSTED = ["10.0.0.0/8", "2001:db8:ffff::/48"]


@pytest.mark.parametrize(
    ("peer", "lines", "client"),
    [
        # Nobody's word but a trusted proxy's.
        ("198.51.100.1", [(XFF, "192.0.2.1")], "198.51.100.1"),
        ("198.51.100.1", [], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [(XFF, "192.0.2.1")], "192.0.2.1"),
        # What the client itself has put in front is never reached.
        ("10.0.0.1", [(XFF, "203.0.113.9, 192.0.2.1")], "192.0.2.1"),
        ("10.0.0.1", [(XFF, "10.0.0.7, 192.0.2.1")], "192.0.2.1"),
        ("10.0.0.1", [(XFF, "203.0.113.9, 192.0.2.1, 10.0.0.2")], "192.0.2.1"),
        # Repeated lines are one list.
        ("10.0.0.1", [(XFF, "203.0.113.9"), (XFF, "192.0.2.1")], "192.0.2.1"),
        ("10.0.0.1", [(XFF, "203.0.113.9"), (XFF, "192.0.2.1"), (XFF, "10.0.0.2")], "192.0.2.1"),
        # Other kinds of header are ignored.
        ("10.0.0.1", [("x-real-ip", "203.0.113.9"), ("forwarded", "for=203.0.113.9")], "10.0.0.1"),
        # A chain of trusted ones ends at the first of them.
        ("10.0.0.1", [(XFF, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
        # A malformed hop ends the walk at the last good one.
        ("10.0.0.1", [(XFF, "192.0.2.1, unknown, 10.0.0.2")], "10.0.0.2"),
        ("10.0.0.1", [(XFF, "192.0.2.1,")], "10.0.0.1"),
        ("10.0.0.1", [(XFF, "192.0.2.1, " + "1" * 200)], "10.0.0.1"),
        ("10.0.0.1", [(XFF, "")], "10.0.0.1"),
        # Ports, brackets, zones, capitals, mapped addresses.
        ("10.0.0.1", [(XFF, "192.0.2.1:4711")], "192.0.2.1"),
        ("10.0.0.1", [(XFF, "[2001:DB8::1]:4711")], "2001:db8::1"),
        ("10.0.0.1", [(XFF, "2001:DB8::1")], "2001:db8::1"),
        ("::ffff:10.0.0.1", [(XFF, "::ffff:192.0.2.1")], "192.0.2.1"),
        ("2001:db8:ffff::1", [(XFF, "2001:db8::1%eth0")], "2001:db8::1"),
        # No address at all.
        (None, [(XFF, "192.0.2.1")], None),
        ("testclient", [(XFF, "192.0.2.1")], None),
    ],
)
def test_the_walk(protocol, peer, lines, client):
    assert TrustedProxies(TRUSTED).client(request(protocol, peer, lines)) == client


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("for=192.0.2.1", "192.0.2.1"),
        ('For="192.0.2.1:80";proto=https;by=10.0.0.1', "192.0.2.1"),
        ('proto=https; for="[2001:db8::1]:4711"', "2001:db8::1"),
        ("for=203.0.113.9, for=192.0.2.1", "192.0.2.1"),
        ("for=192.0.2.1, for=10.0.0.2", "192.0.2.1"),
        ("for=192.0.2.1, proto=https", "10.0.0.1"),
        ("for=_hidden", "10.0.0.1"),
        ("for=unknown, for=10.0.0.2", "10.0.0.2"),
        ('for="203.0.113.9, for=192.0.2.1', "192.0.2.1"),  # a quote that the client has opened hides nobody
    ],
)
def test_forwarded(protocol, value, client):
    proxies = TrustedProxies(TRUSTED, "Forwarded")
    assert proxies.client(request(protocol, "10.0.0.1", [("forwarded", value), (XFF, "203.0.113.9")])) == client


def test_a_header_with_a_single_address(protocol):
    proxies = TrustedProxies(TRUSTED, "X-Real-IP")
    assert proxies.client(request(protocol, "10.0.0.1", [("x-real-ip", "192.0.2.1"), (XFF, "203.0.113.9")])) == "192.0.2.1"


def test_without_proxies_the_peer_is_the_client(protocol):
    proxies = TrustedProxies()
    assert proxies.client(request(protocol, "2001:DB8::1", [(XFF, "192.0.2.1")])) == "2001:db8::1"
    assert proxies.client(request(protocol, None, [])) is None


def test_a_chain_without_end_is_given_up(protocol):
    hops = ", ".join(["192.0.2.1", *["10.0.0.2"] * 1000])
    assert TrustedProxies(TRUSTED).client(request(protocol, "10.0.0.1", [(XFF, hops)])) == "10.0.0.2"


def test_trust_is_a_matter_of_the_same_family():
    proxies = TrustedProxies(["0.0.0.0/0"])
    assert proxies.trusts(parse_address("203.0.113.1"))
    assert not proxies.trusts(parse_address("2001:db8::1"))
    assert not proxies.trusts(None)


@given(st.ip_addresses(), st.one_of(st.none(), st.integers(0, 65535)))
def test_every_address_is_read_in_every_form(address, port):
    mapped = getattr(address, "ipv4_mapped", None)
    expected = mapped if mapped is not None else ipaddress.ip_address(str(address).partition("%")[0])
    bracketed = f"[{address}]" if address.version == 6 else str(address)
    texts = [bracketed if port is None else f"{bracketed}:{port}"]
    if port is None:
        texts.append(f" {address} ")
    for text in texts:
        assert parse_address(text) == expected


NONSENSE = [
    "",
    " ",
    "unknown",
    "_x",
    "1.2.3",
    "1.2.3.4.5",
    "010.1.1.1",
    "1.2.3.4:x",
    "[::1",
    "[::1]x",
    "::1]",
    "1.2.3.256",
    ":::",
]


@pytest.mark.parametrize("text", [None, *NONSENSE])
def test_what_is_no_address(text):
    assert parse_address(text) is None
