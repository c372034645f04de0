"""StageRouter: which stage a request is for. Stands before the route table; knows nothing of what a stage does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from ...errors import ConfigurationError
from ...message import Request
from .spec import Stage

__all__ = ["StageRouter"]

T = TypeVar("T")


class StageRouter(Generic[T]):
    """Picks by host and header first, then by the longest base path; what no stage wants is nobody's (None).

    T is whatever the gateway keeps for a stage.
    """

    def __init__(self, stages: Sequence[tuple[Stage, T]]) -> None:
        seen: dict[tuple[object, ...], Stage] = {}
        for stage, _ in stages:
            selectors = (stage.path, stage.host, stage.header)
            if selectors in seen:
                raise ConfigurationError(
                    f"Stage: {stage.name!r} is picked by the same path, host and header as {seen[selectors].name!r}",
                    origin=stage.origin,
                )
            seen[selectors] = stage
        # The most specific first: a header, an exact host, the longest wildcard host, the longest base path.
        self._stages = sorted(
            stages,
            key=lambda entry: (
                entry[0].header is None,
                entry[0].host is None,
                (entry[0].host or "").startswith("*"),
                -len(entry[0].host or ""),
                -len(entry[0].path),
            ),
        )

    def pick(self, request: Request) -> tuple[Stage, T] | None:
        """The stage of a request. The base path must match whole segments, as sent: no case folding, no dot segments."""
        path = request.path
        for entry in self._stages:
            stage = entry[0]
            base = stage.path
            if base and not (path.startswith(base) and path[len(base) : len(base) + 1] in ("", "/")):
                continue
            if stage.host is not None and not _host_matches(stage.host, request.host):
                continue
            if stage.header is not None and request.header(stage.header[0]) != stage.header[1]:
                continue
            return entry
        return None


def _host_matches(pattern: str, host: str) -> bool:
    name = host.rpartition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    name = name.rstrip(".")
    return name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern
