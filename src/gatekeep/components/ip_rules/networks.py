"""Networks: a set of addresses as sorted ranges; asking it costs the same however many networks it was made of."""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable

from ...proxies import Address, Network

__all__ = ["Networks"]


class Networks:
    """Made of text such as "10.0.0.0/8" or "2001:db8::1". Raises ValueError for what is no network."""

    __slots__ = ("_ranges",)

    def __init__(self, networks: Iterable[str]) -> None:
        parsed = [ipaddress.ip_network(network) for network in networks]
        self._ranges = {version: _ranges([network for network in parsed if network.version == version]) for version in (4, 6)}

    def __contains__(self, address: Address) -> bool:
        firsts, lasts = self._ranges[address.version]
        number = int(address)
        place = bisect_right(firsts, number) - 1
        return place >= 0 and number <= lasts[place]

    def __bool__(self) -> bool:
        return any(firsts for firsts, _ in self._ranges.values())


def _ranges(networks: list[Network]) -> tuple[list[int], list[int]]:
    """The first and the last addresses of networks of one version, which then no longer overlap."""
    disjoint = list(ipaddress.collapse_addresses(networks))  # type: ignore[type-var]
    return [int(network[0]) for network in disjoint], [int(network[-1]) for network in disjoint]
