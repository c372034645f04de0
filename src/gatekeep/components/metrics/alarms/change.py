"""AlarmChange: what a notifier is told. AlarmStatus: what anybody may ask."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

__all__ = ["AlarmChange", "AlarmStatus", "State"]

State: TypeAlias = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
"""As CloudWatch names them."""


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """An alarm of one process has come into another state."""

    name: str
    level: str
    """Where the Alarm stands: "gateway", "stage:<name>", "route:<methods> <path>" or "view:<endpoint>"."""
    state: State
    previous: State
    when: str
    """What raises it, in the grammar's words."""
    metric: str
    value: float | None
    """In the metric's own unit: a share of 1, a number, a number each second, or seconds. Of the latest period; of an alarm
    that is raised, of the latest that was beyond the threshold."""
    threshold: float
    unit: str
    """ "share", "number", "rate" or "seconds"."""
    reason: str
    at: float
    """Unix time."""
    period: float
    """Seconds."""
    host: str
    process: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        where = "" if self.level == "gateway" else f" ({self.level})"
        return f"{self.state}: {self.name}{where}: {self.reason}"


class AlarmStatus(NamedTuple):
    """How an alarm of this process stands."""

    name: str
    level: str
    state: State
    since: float
    """Unix time of the latest change of state."""
    when: str
    value: float | None
    """Of the latest period, in the unit of AlarmChange's; None where that had no data."""
    told: str
    """The value in words."""
