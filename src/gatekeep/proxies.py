"""The client's address: the peer, or what trusted proxies say of it, and nothing else."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

from .message import Request

__all__ = ["Address", "Network", "TrustedProxies", "parse_address"]

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class TrustedProxies:
    """Networks whose word on the client is taken, and the one header that they say it in; all other headers are ignored.

    `header` is "x-forwarded-for", "forwarded" (RFC 7239) or one with a single address, such as "x-real-ip". Addresses are
    walked from the right through the trusted ones; a malformed hop ends the walk at the last good one.
    """

    def __init__(self, networks: Iterable[str] = (), header: str = "x-forwarded-for") -> None:
        self.networks: list[Network] = [ipaddress.ip_network(network) for network in networks]
        self.header = header.lower()

    def trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self.networks if network.version == address.version)

    def client(self, request: Request) -> str | None:
        """The client's address in canonical text; None where there is none (a Unix socket)."""
        if not self.networks:
            return _canonical(request.peer)
        peer = parse_address(request.peer)
        if peer is None:
            return None
        if not self.trusts(peer):
            return str(peer)
        client = peer
        for hop in reversed(self._hops(request)):
            address = parse_address(hop)
            if address is None:
                break
            client = address
            if not self.trusts(address):
                break
        return str(client)

    def _hops(self, request: Request) -> list[str]:
        text = request.header(self.header)
        if text is None:
            return []
        if self.header != "forwarded":
            return text.split(",")
        return [_forwarded_for(element) for element in text.split(",")]


def _forwarded_for(element: str) -> str:
    # RFC 7239 §4; an element without `for` is a hop that we know nothing of, which ends the walk.
    for pair in element.split(";"):
        name, _, value = pair.strip().partition("=")
        if name.lower() == "for":
            return value.strip('"')
    return ""


@lru_cache(maxsize=4096)
def _canonical(text: str | None) -> str | None:
    address = parse_address(text)
    return None if address is None else str(address)


@lru_cache(maxsize=4096)
def parse_address(text: str | None) -> Address | None:
    """An address from text, with or without a port, IPv6 with or without brackets; IPv4-mapped ones become IPv4."""
    if not text:
        return None
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
