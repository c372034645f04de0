"""CacheStorage: where the response cache keeps its entries, for a whole gateway; what a route asks of it is in spec.py."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...component import caller
from ...errors import ConfigurationError, Origin
from ...stores import Store

__all__ = ["CacheStorage"]

_LEAST_SECRET = 32


@dataclass(frozen=True, kw_only=True)
class CacheStorage:
    """Memory, and behind it a store that processes share. `Gateway(cache=CacheStorage(…))`; raises ConfigurationError."""

    store: str | Store | None = None
    """A URL or a store for entries, leases and purges; None: the gateway's."""
    shared: bool | None = None
    """Whether entries go to the store, too; None: where it is Redis or Valkey."""
    memory: int = 64 * 2**20
    """Bytes of entries in each process."""
    max_lag: float = 3.0
    """Seconds for which memory is believed without news of the purges of other processes; 0.0: the store is asked each time."""
    compress_over: int | None = 1024
    """Bytes of a body from which on it is deflated for the store; None: never."""
    secrets: Sequence[str | bytes] = field(default=(), repr=False)
    """Encrypt what is in the store: the first one does, each of them opens; at least 32 bytes."""
    namespace: str = ""
    """Apart from other gateways with the same store and hosts."""
    origin: Origin = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "origin", caller())
        if self.memory < 2**20:
            raise self.mistake(f"memory={self.memory!r} is less than 1 MiB")
        if not 0 <= self.max_lag < math.inf:
            raise self.mistake(f"max_lag={self.max_lag!r} is not a number of seconds")
        if self.compress_over is not None and self.compress_over < 0:
            raise self.mistake(f"compress_over={self.compress_over!r} is not a number of bytes")
        if isinstance(self.secrets, (str, bytes)):
            raise self.mistake("secrets is a string", fix="write secrets=[secret]")
        if any(len(secret) < _LEAST_SECRET for secret in self.keys):
            raise self.mistake(f"a secret is shorter than {_LEAST_SECRET} bytes", fix="take secrets.token_hex(32)")
        if self.shared is False and (self.store is not None or self.secrets):
            raise self.mistake("shared=False keeps nothing in a store, and store= or secrets= would do nothing")

    @property
    def keys(self) -> list[bytes]:
        """The secrets as bytes."""
        return [secret.encode() if isinstance(secret, str) else secret for secret in self.secrets]

    def mistake(self, message: str, fix: str = "") -> ConfigurationError:
        """The error to raise: names file and line."""
        return ConfigurationError(f"CacheStorage: {message}", origin=self.origin, fix=fix)
