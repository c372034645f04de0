"""Account: what a view charges and gives back while a request is under way. It is settled when the answer has ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from ...exchange import Exchange
from ...stores import Bucket, Change, Demand, Lease, LocalLimitStore, Tally, Window
from .limit import Limit
from .settlement import Settlement

__all__ = ["Account"]


class Account:
    """Of the limits that one decision took from. No more is given back in the end than was taken and charged."""

    def __init__(
        self, settlement: Settlement, limits: Sequence[Limit], demands: Sequence[Demand | str], memory: LocalLimitStore | None
    ) -> None:
        self._settlement = settlement
        self._memory = memory
        self._lines: list[tuple[Limit, Bucket | Window | Tally]] = []
        for limit, demand in zip(limits, demands, strict=True):
            full = limit.demand(demand, limit.cost) if isinstance(demand, str) else demand
            if type(full) is not Lease:
                self._lines.append((limit, cast("Bucket | Window | Tally", full)))
        self._sums = [0.0] * len(self._lines)
        self._names = [limit.name for limit, _ in self._lines]
        # Those that count what is charged; where there are none, all.
        charged = [index for index, (_, demand) in enumerate(self._lines) if demand.cost == 0.0]
        self._default = charged or list(range(len(self._lines)))

    def add(self, amount: float, name: str | None) -> None:
        """Note an amount, negative to give it back."""
        which = self._default if name is None else [index for index, known in enumerate(self._names) if known == name]
        for index in which:
            self._sums[index] += amount

    def settle(self, exchange: Exchange, age: float) -> None:
        changes = []
        for (limit, demand), amount in zip(self._lines, self._sums, strict=True):
            # What the request took is given back already where its outcome does not count.
            taken = demand.cost if limit.outcome is None or limit.outcome(exchange) else 0.0
            bounded = max(amount, -taken)
            if bounded:
                changes.append(Change(demand, bounded, age))
        if changes:
            self._settlement.adjust(changes, self._memory)
