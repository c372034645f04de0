"""What Gateway(...) is given, looked at before anything is made of it: a mistake names the line and the fix."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from inspect import isabstract
from typing import TypeVar

from .component import Component
from .components import Stage
from .components.cache import CacheStorage
from .errors import ConfigurationError, Origin
from .proxies import TrustedProxies

__all__ = [
    "check_cache",
    "check_choice",
    "check_size",
    "check_workers",
    "components_in",
    "listed",
    "named_once",
    "trusted",
]

T = TypeVar("T")


def check_choice(name: str, value: object, allowed: tuple[str, ...], origin: Origin) -> None:
    if value not in allowed:
        raise ConfigurationError(f"Gateway: {name}={value!r} is none of {', '.join(map(repr, allowed))}", origin=origin)


def listed(name: str, given: Iterable[T], kind: type[T], origin: Origin) -> tuple[T, ...]:
    """What a list of routes or stages holds. Raises ConfigurationError."""
    items = _items(name, given, f"{name}=[{kind.__name__}(...)]", origin)
    for item in items:
        if not isinstance(item, kind):
            raise ConfigurationError(f"Gateway: {item!r} is not a {kind.__name__}", origin=origin)
    return items


def named_once(stages: Iterable[Stage]) -> None:
    """Raise ConfigurationError for two stages of one name."""
    names: set[str] = set()
    for stage in stages:
        if stage.name in names:
            raise ConfigurationError(f"Stage: there are two named {stage.name!r}", origin=stage.origin)
        names.add(stage.name)


def components_in(order: Iterable[type[Component]], origin: Origin) -> tuple[type[Component], ...]:
    """The classes of components in an order. Raises ConfigurationError."""
    fix = "classes of components, such as those of STANDARD"
    kinds = _items("order", order, fix, origin)
    for kind in kinds:
        if not isinstance(kind, type) or not issubclass(kind, Component) or isabstract(kind):
            raise ConfigurationError(f"Gateway: order: {kind!r} is no component's class", origin=origin, fix=fix)
    return kinds


def check_size(name: str, size: object, origin: Origin) -> None:
    if isinstance(size, bool) or not isinstance(size, int) or size <= 0:
        raise ConfigurationError(
            f"Gateway: {name}={size!r} is not a positive number of bytes", origin=origin, fix=f"{name}=10 * 1024 * 1024"
        )


def check_cache(cache: object, origin: Origin) -> None:
    if not (cache is None or isinstance(cache, CacheStorage)):
        raise ConfigurationError(
            f"Gateway: cache={cache!r} is no CacheStorage", origin=origin, fix="cache=CacheStorage(store=...)"
        )


def check_workers(workers: object, origin: Origin) -> None:
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise ConfigurationError(f"Gateway: workers={workers!r} is not a number of processes", origin=origin)


def trusted(networks: Collection[str], header: str, origin: Origin) -> TrustedProxies:
    """The proxies of a gateway. Raises ConfigurationError."""
    if isinstance(networks, str):
        raise ConfigurationError("Gateway: trusted_proxies is a string", origin=origin, fix="give a list of networks")
    if not isinstance(networks, Collection):
        raise ConfigurationError(f"Gateway: trusted_proxies={networks!r} is not a list", origin=origin, fix='["10.0.0.0/8"]')
    if not isinstance(header, str):
        raise ConfigurationError(f"Gateway: client_ip_header={header!r} is not a field's name", origin=origin)
    try:
        return TrustedProxies(networks, header)
    except ValueError as error:
        raise ConfigurationError(f"Gateway: trusted_proxies: {error}", origin=origin) from None


def _items(name: str, given: Iterable[T], fix: str, origin: Origin) -> tuple[T, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigurationError(f"Gateway: {name}={given!r} is not a list", origin=origin, fix=fix)
    return tuple(given)
