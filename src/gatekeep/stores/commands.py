"""CommandStore: the capability of a Redis or Valkey that takes any command, for what is built on more than buckets and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from ..effects import Io
from .base import Store

__all__ = ["CommandStore"]


@runtime_checkable
class CommandStore(Store, Protocol):
    """Redis commands within the store's time budget, behind its circuit. Each operation raises DependencyError."""

    @property
    def prefix(self) -> str:
        """What the names of all keys begin with."""

    def call(self, *command: Any) -> Io[Any]:
        """One command's reply, as it is."""

    def pipeline(self, commands: Sequence[Sequence[Any]]) -> Io[list[Any]]:
        """Several commands' replies; one round trip."""

    def eval(self, script: Any, keys: Sequence[Any], args: Sequence[Any]) -> Io[Any]:
        """A Script's reply; its keys share a slot."""

    def open_line(self, key: Any = None) -> Any:
        """A connection of the caller's own, outside of the time budget and the circuit, for pub/sub."""

    async def aopen_line(self, key: Any = None) -> Any:
        """As open_line(), on the running loop."""
