"""SegmentTrie: values by path pattern, found segment by segment.

Flat cost: a look-up costs what its path's segments cost, whatever the number of patterns. The trie proposes candidates; each
is then verified exactly (a compiled pattern, or the framework's own matcher), so it may propose too many, never too few.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import Any, Generic, TypeAlias, TypeVar

__all__ = ["Segment", "SegmentTrie"]

T = TypeVar("T")

Segment: TypeAlias = str | EllipsisType | None
"""One step of a trie: literal text, None for any one segment, `...` for any rest (also an empty one)."""


class _Node(Generic[T]):
    __slots__ = ("any", "ends", "last", "rest", "static")

    def __init__(self) -> None:
        self.static: dict[str, _Node[T]] = {}
        self.any: _Node[T] | None = None
        self.ends: list[tuple[int, T]] = []
        self.rest: list[tuple[int, T]] = []
        self.last: list[T] = []
        """What a path finds that ends here, in order: never changed, for it is given away."""

    def following(self, segment: str | None) -> list[_Node[T]]:
        """The nodes that a step of a pattern leads to."""
        found = [self.any] if self.any is not None else []
        if segment is None:
            return [*found, *self.static.values()]
        child = self.static.get(segment)
        return found if child is None else [*found, child]

    def everything(self) -> list[tuple[int, T]]:
        """What ends here and below."""
        found: list[tuple[int, T]] = []
        nodes = [self]
        for node in nodes:  # grows while it is walked
            found += node.ends
            found += node.rest
            nodes += node.following(None)
        return found


class SegmentTrie(Generic[T]):
    """Values by path pattern; `candidates` gives every value whose pattern may match, in the order they were added."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._count = 0

    def add(self, segments: Sequence[Segment], value: T) -> None:
        """Segments as `path.split("/")` gives them: a path "/a/b" has ["", "a", "b"]. What follows `...` is ignored."""
        node = self._root
        entry = (self._count, value)
        self._count += 1
        ends = node.ends
        for segment in segments:
            if segment is ...:
                ends = node.rest
                break
            if segment is None:
                if node.any is None:
                    node.any = _Node()
                node = node.any
            else:
                node = node.static.setdefault(segment, _Node())
            ends = node.ends
        ends.append(entry)
        node.last = self._values(node.ends + node.rest)

    def candidates(self, parts: list[str]) -> Sequence[T]:
        """`parts`: a path's, as `split("/")` gives them."""
        # Nearly always one node leads to one node; only where text and a parameter both fit does the walk fork.
        node = self._root
        found: list[tuple[int, T]] = []
        for position, segment in enumerate(parts):
            if node.rest:
                found += node.rest
            child, parameter = node.static.get(segment), node.any
            if parameter is None:
                if child is None:
                    return self._values(found) if found else ()
                node = child
            elif child is None:
                node = parameter
            else:
                return self._fork(found, [child, parameter], parts[position + 1 :])
        return self._values(found + node.ends + node.rest) if found else node.last

    def meeting(self, segments: Sequence[Segment]) -> list[T]:
        """Every value whose pattern some path of this pattern may fit too, but for slashes at the end, in the order of `add`."""
        nodes = [self._root]
        found: list[tuple[int, T]] = []
        for segment in segments:
            if segment is ...:
                for node in nodes:
                    found += node.everything()
                return self._values(found)
            for node in nodes:
                found += node.rest
                if segment == "":
                    found += node.ends
            nodes = [child for node in nodes for child in node.following(segment)]
        for node in nodes:
            found += node.ends
            found += node.rest
            slash = node.static.get("")
            if slash is not None:
                found += slash.everything()
        return self._values(found)

    def _fork(self, found: list[tuple[int, T]], nodes: list[_Node[T]], parts: Sequence[str]) -> list[T]:
        for segment in parts:
            following = []
            for node in nodes:
                if node.rest:
                    found += node.rest
                child = node.static.get(segment)
                if child is not None:
                    following.append(child)
                if node.any is not None:
                    following.append(node.any)
            nodes = following
        for node in nodes:
            found += node.ends
            found += node.rest
        return self._values(found)

    @staticmethod
    def _values(found: list[tuple[int, T]]) -> list[T]:
        if len(found) == 1:
            return [found[0][1]]
        found.sort(key=_by_order)
        return [value for _, value in found]


def _by_order(entry: tuple[int, Any]) -> int:
    return entry[0]
