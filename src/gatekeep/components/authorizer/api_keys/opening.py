"""open_key_store: the store of API keys that a URL, a path or an engine stands for. Extras are imported where they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike, fspath
from typing import Any
from urllib.parse import unquote, urlsplit

from ....errors import ConfigurationError, Origin, to_install
from ....stores import open_store
from .file import FileKeys
from .store import KeyStore, MemoryKeys

__all__ = ["open_key_store"]


def open_key_store(store: object, origin: Origin) -> KeyStore:
    """Connects to nothing yet. Raises ConfigurationError for what is none, and where the extra is not installed."""
    if isinstance(store, KeyStore):
        return store
    if isinstance(store, PathLike):
        return FileKeys(fspath(store), origin)
    if isinstance(store, str):
        scheme, separator, _ = store.partition("://")
        if not separator:
            raise ConfigurationError(
                f"KeyRing: {scheme[:20]!r} is no store's URL", origin=origin, fix='a Path, "redis://...", "sqlite:///..."'
            )
        opener: Callable[[str, Origin], KeyStore] = _OPENERS.get(scheme.partition("+")[0], _sql)
        return opener(store, origin)
    if type(store).__module__.partition(".")[0] == "sqlalchemy":
        return _sql(store, origin)
    raise ConfigurationError(f"KeyRing: a {type(store).__name__} is no store", origin=origin)


def _memory(_url: str, _origin: Origin) -> KeyStore:
    return MemoryKeys()


def _file(url: str, origin: Origin) -> KeyStore:
    return FileKeys(unquote(urlsplit(url).path), origin)


def _redis(url: str, _origin: Origin) -> KeyStore:
    from .redis import RedisKeys

    return RedisKeys(open_store(url))  # type: ignore[arg-type]


def _sql(store: Any, origin: Origin) -> KeyStore:
    try:
        from .sql import SqlKeys
    except ModuleNotFoundError as error:
        if error.name != "sqlalchemy":
            raise
        raise ConfigurationError("KeyRing: this needs SQLAlchemy", origin=origin, fix=to_install("sql")) from None
    return SqlKeys(store, origin)


_OPENERS: Mapping[str, Callable[[str, Origin], KeyStore]] = {
    "memory": _memory,
    "file": _file,
    "redis": _redis,
    "rediss": _redis,
    "unix": _redis,
    "valkey": _redis,
    "valkeys": _redis,
}
