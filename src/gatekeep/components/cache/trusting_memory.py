"""TrustingMemory: entries in this process' memory, with a shared store behind it, where others purge them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...clock import Clock
from .entry import Entry
from .key import Key
from .memory import Filed, Memory, Place
from .policy import Header

if TYPE_CHECKING:
    from .purge_log import PurgeLog

__all__ = ["TrustingMemory"]


class TrustingMemory(Memory):
    """Memory that is believed for `max_lag` seconds beyond the moment at which every purge was known here."""

    def __init__(self, max_bytes: int, log: PurgeLog, clock: Clock, max_lag: float) -> None:
        super().__init__(max_bytes)
        self.look = self.get
        self._log = log
        self._monotonic = clock.monotonic
        self._max_lag = max_lag

    def get(self, key: Key) -> Filed | None:
        filed = self.records.get(key)
        if filed is None or self._outdated(filed):
            return None
        filed.used = True
        return filed

    def put(self, key: Key, vary: tuple[str, ...], header: Header, entry: Entry) -> Place:
        entry.made = self._monotonic()
        return super().put(key, vary, header, entry)

    def _outdated(self, filed: Filed) -> bool:
        return max(filed.made, self._log.synced_at) < self._monotonic() - self._max_lag
