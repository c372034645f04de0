"""Template: a path pattern such as "/orders/{id:int}", and what can be said of two patterns without a path."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from posixpath import normpath
from typing import Any, Final
from urllib.parse import unquote

from .trie import Segment

__all__ = ["Template", "covers", "fold", "fold_path", "may_meet"]


def _integer(text: str) -> int | str:
    # int() refuses what is too long for it (CPython: 4,300 digits); the path matches nevertheless.
    return int(text) if len(text) <= 1000 else text


_CONVERTERS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "str": (r"[^/]+", str),
    "path": (r".*", str),
    # Digits of any script: where the app's own converter takes them, as Flask's does, the policy holds for them as well.
    "int": (r"\d+", _integer),
    "float": (r"\d+(?:\.\d+)?", float),
    "uuid": (r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}", str),
}
_PARAMETER: Final = re.compile(r"\{([a-zA-Z_]\w*)(?::([a-z]+))?\}")
_ONE: Final = "\0"
_REST: Final = "\1"
_LONGEST: Final[Mapping[int, int]] = {2: 2_000, 3: 400}
"""Characters up to which so many parameters in one segment are told apart: with n, matching may take the n-th power of them."""
_LONGEST_OF_MORE: Final = 100


def _segments(shape: str) -> list[Segment]:
    found: list[Segment] = []
    for part in shape.split("/"):
        if _REST in part:
            found.append(...)
            break
        found.append(None if _ONE in part else part)
    return found


def fold(text: str) -> str:
    """A path, or a part of one, as a forgiving app may read it.

    Decoded once more, in one letter case, with plain characters for their look-alikes of other forms (NFKC), up to a "?" or
    "#", and without blanks around its segments.
    """
    if text.isascii() and "%" not in text and " " not in text and "?" not in text and "#" not in text:
        return text.lower()
    text = unicodedata.normalize("NFKC", unquote(text)).upper().casefold()
    path = text.partition("?")[0].partition("#")[0]
    return "/".join([segment.strip() for segment in path.split("/")])


def fold_path(path: str) -> str:
    """A whole path, folded. What looked like a slash or a dot has become one, and is read as such."""
    folded = fold(path)
    return folded if path.isascii() else "/" + normpath(folded).lstrip("/")


class Template:
    """A path pattern such as "/orders/{id:int}/{rest:path}": converters str (one segment, the default), int, float, uuid, path.

    Raises ValueError for a pattern that is not one.
    """

    __slots__ = (
        "_converters",
        "_forgiving",
        "_in_segments",
        "_longest",
        "_match",
        "_spans",
        "bare",
        "exact",
        "names",
        "segments",
        "tangled",
        "text",
    )

    def __init__(self, text: str) -> None:
        if not text.startswith("/"):
            raise ValueError(f"the path pattern {text!r} does not start with a slash")
        if _ONE in text or _REST in text:
            raise ValueError(f"the path pattern {text!r} holds a control character")
        parts = _PARAMETER.split(text)  # literal, name, converter, literal, name, converter, …, literal
        literals, names, kinds = parts[::3], parts[1::3], [kind or "str" for kind in parts[2::3]]
        unknown = [kind for kind in kinds if kind not in _CONVERTERS]
        if unknown:
            raise ValueError(f"{text!r}: unknown converter {unknown[0]!r}; there are {', '.join(_CONVERTERS)}")
        if len(set(names)) < len(names):
            raise ValueError(f"{text!r} names a parameter twice")
        if any("{" in literal or "}" in literal for literal in literals):
            raise ValueError(f"{text!r}: a brace that opens or closes no parameter")
        pattern, forgiving, shape = "", "", ""
        for literal, name, kind in zip(literals, [*names, None], [*kinds, None], strict=True):
            pattern += re.escape(literal)
            forgiving += re.escape(fold(literal))
            shape += literal
            if name is not None and kind is not None:
                pattern += f"(?P<{name}>{_CONVERTERS[kind][0]})"
                forgiving += f"(?:{_CONVERTERS[kind][0]})"
                shape += _REST if kind == "path" else _ONE
        self.text = text
        self.names = frozenset(names)
        bare = fold(_PARAMETER.sub(lambda found: f"{{{found[2] or 'str'}}}", text))
        self.bare = bare.removesuffix("{path}").rstrip("/") if bare.endswith("/{path}") else bare.rstrip("/")
        """What templates have in common that differ in names, a trailing slash or rest, and what folding takes away only."""
        self.segments = _segments(shape)
        self._spans = "path" in kinds[:-1]
        together = len(kinds) if self._spans else max(part.count(_ONE) + part.count(_REST) for part in shape.split("/"))
        self.tangled = together > 1
        """Whether parameters share a segment, so that there are many ways to try before a path is known not to match."""
        self._longest = _LONGEST.get(together, _LONGEST_OF_MORE)
        self._converters = {
            name: _CONVERTERS[kind][1] for name, kind in zip(names, kinds, strict=True) if kind in ("int", "float")
        }
        self._match = re.compile(pattern, re.DOTALL).fullmatch
        self._forgiving = re.compile(forgiving.removesuffix("/") + "/*", re.DOTALL).fullmatch
        self.exact = (
            set(kinds) <= {"str", "path"}
            and all(literal.endswith("/") for literal, kind in zip(literals, kinds, strict=False) if kind is not None)
            and all(literal.startswith("/") or not literal for literal in literals[1:])
            and "path" not in kinds[:-1]
            and ("path" not in kinds or not literals[-1])
        )
        """Whether the segments alone say what matches: parameters fill whole segments and take any text."""
        self._in_segments = names if self.exact and "path" not in kinds else None
        """The names of such parameters in order."""

    def match(self, path: str, parts: list[str] | None = None) -> Mapping[str, Any] | None:
        """The parameters, converted, or None. Matches the whole path, a newline included; none that overstretches it.

        `parts`: the path, split at its slashes, where that is done already.
        """
        if self._in_segments is not None:
            return self._match_segments(parts or path.split("/"), self._in_segments)
        found = None if self.tangled and self.overstretched(path) else self._match(path)
        if found is None:
            return None
        params: dict[str, Any] = found.groupdict()
        for name, convert in self._converters.items():
            params[name] = convert(params[name])
        return params

    def _match_segments(self, parts: list[str], names: list[str]) -> Mapping[str, Any] | None:
        segments = self.segments
        if len(parts) != len(segments):
            return None
        params: dict[str, Any] = {}
        for place, part in enumerate(parts):
            own = segments[place]
            if own is None:
                if not part:
                    return None
                params[names[len(params)]] = part
            elif own != part:
                return None
        return params

    def overstretched(self, path: str) -> bool:
        """Whether a path is too long for a tangled template to be matched in little time."""
        return (len(path) if self._spans else max(map(len, path.split("/")))) > self._longest

    def nearly_matches(self, folded: str) -> bool:
        """Whether a folded path matches but for what folding takes away, and for slashes at its end; or is too long to tell."""
        if self.tangled and self.overstretched(folded):
            return True
        return self._forgiving(folded) is not None or self._forgiving(f"{folded}/") is not None

    def __repr__(self) -> str:
        return f"Template({self.text!r})"


def covers(template: Template, segments: Sequence[Segment]) -> bool:
    """Whether every path that fits these segments surely matches the template; False where that can't be told.

    Of segments that stand for any one or any rest it is known that the one is not empty, and that the rest is at least there.
    """
    if not template.exact:
        return False
    for position, own in enumerate(template.segments):
        if own is ...:
            return len(segments) > position
        other = segments[position] if position < len(segments) else ...
        if other is ... or (other != own and own is not None) or (own is None and other == ""):
            return False
    return len(segments) == len(template.segments)


def may_meet(one: Sequence[Segment], other: Sequence[Segment]) -> bool:
    """Whether some path may fit both; what folding takes away and trailing slashes are left open."""
    for left, right in zip(one, other, strict=False):
        if left is ... or right is ...:
            return True
        if left is not None and right is not None and fold(left) != fold(right):
            return False
    longer = one if len(one) > len(other) else other
    rest = longer[min(len(one), len(other)) :]
    return all(segment == "" or segment is ... for segment in rest[:1])
