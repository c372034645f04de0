"""Policy: what the requests of one endpoint pass, and which Routes have a part in it."""

from __future__ import annotations

from collections.abc import Sequence

from .marks import ViewMarks
from .pipeline import Pipeline
from .routing import Endpoint

__all__ = ["Policy"]


class Policy:
    """What an endpoint's requests pass: one pipeline, or one per method and set of Routes where those matter."""

    __slots__ = ("certain", "endpoint", "marks", "methods", "possible", "single", "variants")

    def __init__(self, endpoint: Endpoint, marks: ViewMarks, certain: Sequence[int], possible: Sequence[int]) -> None:
        self.endpoint = endpoint
        self.marks = marks
        self.certain = certain
        """Indexes of the Routes that hold for every path of the endpoint."""
        self.possible = possible
        """Indexes of those that hold for some of its paths."""
        self.methods: frozenset[str] = frozenset()
        """The methods whose specs differ from the others'."""
        self.single: Pipeline | None = None
        self.variants: dict[tuple[str, tuple[int, ...]], Pipeline] = {}
