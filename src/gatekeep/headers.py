"""Header fields, in the forms of both protocols: Headers keeps WSGI's text pairs, RawHeaders ASGI's bytes pairs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

from .environ import OWN_KEYS, Environ, environ_key, separator

__all__ = ["Field", "Headers", "Patch", "RawHeaders", "RawPairs", "TextPairs", "is_pair", "is_token"]

TextPairs = list[tuple[str, str]]
RawPairs = list[tuple[bytes, bytes]]

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2


@lru_cache(maxsize=1024)
def _raw_name(name: str) -> bytes:
    return name.lower().encode("latin-1")


def _plain_text(name: str) -> str:
    return name.lower().replace("_", "-")


@lru_cache(maxsize=1024)
def _plain_name(name: str) -> bytes:
    return _plain_text(name).encode("latin-1")


@lru_cache(maxsize=1024)
def is_token(name: str) -> bool:
    """Whether it can be the name of a field or a cookie."""
    return _TOKEN.fullmatch(name) is not None


def is_pair(value: object) -> bool:
    """Whether somebody who gives a field's name and value has given two texts."""
    return isinstance(value, (tuple, list)) and len(value) == 2 and all(isinstance(each, str) for each in value)


class Field:
    """A header field of our own making, in both forms, made and checked at start-up: see Headers.append."""

    __slots__ = ("raw", "text")

    def __init__(self, name: str, value: str) -> None:
        self.text = Headers()._checked(name, value)
        self.raw = (_raw_name(name), value.encode("latin-1"))


_name_of: Final = itemgetter(0)
_LF: Final = b"\n"


def _names_in(pairs: RawPairs) -> str:
    """All names in one, lower case, each between line feeds: one look costs less than one at each.

    As text: in CPython 3.11 `bytes in bytes` takes ten times as long as `str in str`.
    """
    return f"\n{_LF.join(map(_name_of, pairs)).decode('latin-1').lower()}\n"


class Patch:
    """A change of header fields, made at start-up: names to take out, in every spelling, then fields to append."""

    __slots__ = ("keys", "lengths", "names", "raw", "raw_names", "text", "variables")

    def __init__(self, names: Iterable[str], fields: Iterable[Field]) -> None:
        fields = tuple(fields)
        self.names = frozenset(_plain_text(name) for name in names)
        self.raw_names = frozenset(name.encode("latin-1") for name in self.names)
        self.lengths = frozenset(map(len, self.names))
        self.text = [field.text for field in fields]
        self.raw = [field.raw for field in fields]
        keys = [environ_key(name) for name in self.names]
        self.keys = (*keys, *(f"HTTP_{key}" for key in keys if key in OWN_KEYS))
        """The names as a WSGI environ has them, and what else an app may take for them."""
        self.variables = tuple((environ_key(name), value) for name, value in self.text)

    def of_raw(self, pairs: Sequence[Any]) -> RawPairs:
        """ASGI's fields with the change made, in a list of its own; names may be bytearrays."""
        lengths = self.lengths
        for pair in pairs:
            if len(pair[0]) in lengths and self._takes(pair[0]):
                pairs = [pair for pair in pairs if len(pair[0]) not in lengths or not self._takes(pair[0])]
                break
        return [*pairs, *self.raw]

    def _takes(self, name: Any) -> bool:
        return bytes(name).lower().replace(b"_", b"-") in self.raw_names

    def to_environ(self, environ: Environ) -> None:
        """Make the change in a WSGI environ."""
        for key in self.keys:
            environ.pop(key, None)
        for key, value in self.variables:
            present = environ.get(key)
            environ[key] = f"{present}{separator(key)}{value}" if present else value


class Headers:
    """An ordered multi-map of header fields: two Set-Cookie stay two. Names compare case-insensitively (RFC 9110 §5.1).

    Values are latin-1 text, as both protocols define them. Adding a name that is no token, a value with CR, LF or NUL, or one
    beyond latin-1 raises ValueError.
    """

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = (), own: list[tuple[Any, Any]] | None = None) -> None:
        """`own`: what to begin with, as adopt() says."""
        self._pairs: list[Any] = [] if own is None else own
        if pairs:
            for name, value in pairs:
                self.add(name, value)

    @classmethod
    def adopt(cls, pairs: list[tuple[Any, Any]]) -> Headers:
        """Take over a list in this class' own form, unchecked and uncopied: what an app or server produced."""
        return cls((), pairs)

    @classmethod
    def of(cls, fields: Iterable[Field]) -> Headers:
        """Fields made at start-up."""
        return cls.adopt([field.text for field in fields])

    # The two forms: the base class keeps text pairs (WSGI's form), RawHeaders keeps bytes pairs (ASGI's).

    def text(self) -> TextPairs:
        """The fields as (str, str), WSGI's form; may be the inner list itself."""
        return self._pairs

    def raw(self) -> RawPairs:
        """The fields as (bytes, bytes) with lower-case names, ASGI's form; may be the inner list itself."""
        return [(_raw_name(name), value.encode("latin-1")) for name, value in self._pairs]

    @staticmethod
    def _pair(name: str, value: str) -> tuple[Any, Any]:
        return (name, value)

    @staticmethod
    def _name(name: str) -> Any:
        return name.lower()

    @staticmethod
    def _plain(name: Any) -> Any:
        return _plain_text(name)

    @staticmethod
    def _out(value: Any) -> str:
        return value  # type: ignore[no-any-return]

    def names(self) -> str:
        """All names in one, lower case, each between line feeds."""
        return "\n" + "\n".join(map(_name_of, self._pairs)).lower() + "\n"

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of a field, or the default."""
        wanted = self._name(name)
        length = len(wanted)
        for key, value in self._pairs:
            if len(key) == length and key.lower() == wanted:
                return self._out(value)
        return default

    def has(self, name: str) -> bool:
        """Whether there is such a field; the name in lower case."""
        length = len(name)
        return any(len(pair[0]) == length and pair[0].lower() == name for pair in self._pairs)

    def get_all(self, name: str) -> list[str]:
        """Every value of a field, in order."""
        wanted = self._name(name)
        return [self._out(value) for key, value in self._pairs if key == wanted or key.lower() == wanted]

    def _checked(self, name: str, value: str) -> tuple[Any, Any]:
        if not is_token(name):
            raise ValueError(f"not a header name: {name!r}")
        if "\n" in value or "\r" in value or "\0" in value:
            raise ValueError(f"the value of {name} holds a line break or NUL")
        if not value.isascii():
            value.encode("latin-1")  # UnicodeEncodeError is a ValueError
        return self._pair(name, value)

    def add(self, name: str, value: str) -> None:
        """Append a field, whatever is there already."""
        self._pairs.append(self._checked(name, value))

    def append(self, field: Field) -> None:
        """As add(), for a field made at start-up."""
        self._pairs.append(field.text)

    def patch(self, patch: Patch) -> None:
        """As remove_alike() for each of its names, then append() for each of its fields."""
        lengths = patch.lengths
        for name, _ in self._pairs:
            if len(name) in lengths and _plain_text(name) in patch.names:
                self._pairs = [pair for pair in self._pairs if _plain_text(pair[0]) not in patch.names]
                break
        self._pairs += patch.text

    def put(self, name: str, value: str) -> None:
        """As add(), for a name and value of our own making, which need no check; the name in lower case."""
        self._pairs.append((name, value))

    def set(self, name: str, value: str) -> None:
        """Replace every field of that name by one."""
        pair = self._checked(name, value)
        self.remove(name)
        self._pairs.append(pair)

    def stamp(self, name: str, value: str) -> None:
        """As set(), for a name and value of our own making, which need no check; the name in lower case."""
        length, first = len(name), name[0]
        for pair in self._pairs:
            key: str = pair[0]
            # Content-Type is as long as X-Request-Id: most are told apart by one letter, in either case.
            if len(key) == length and key[0].lower() == first and key.lower() == name:
                self.remove(name)
                break
        self._pairs.append((name, value))

    def setdefault(self, name: str, value: str) -> None:
        """Add the field unless one of that name is there."""
        if name not in self:
            self.add(name, value)

    def remove(self, name: str) -> bool:
        """Drop every field of that name; says whether there was one."""
        wanted = self._name(name)
        length = len(wanted)
        for key, _ in self._pairs:
            if len(key) == length and key.lower() == wanted:
                self._pairs = [pair for pair in self._pairs if pair[0].lower() != wanted]
                return True
        return False

    def remove_alike(self, name: str) -> None:
        """As remove(), and also what has an underscore for a hyphen: WSGI has one variable for both."""
        wanted = self._plain(self._name(name))
        length = len(wanted)
        for key, _ in self._pairs:
            if len(key) == length and self._plain(key) == wanted:
                self._pairs = [pair for pair in self._pairs if len(pair[0]) != length or self._plain(pair[0]) != wanted]
                return

    def remove_prefixed(self, prefix: str) -> None:
        """Drop every field whose name starts so; the prefix in lower case."""
        wanted = self._name(prefix)
        for key, _ in self._pairs:
            if key.lower().startswith(wanted):
                self._pairs = [pair for pair in self._pairs if not pair[0].lower().startswith(wanted)]
                return

    def extend(self, pairs: Iterable[tuple[str, str]]) -> None:
        for name, value in pairs:
            self.add(name, value)

    def copy(self) -> Headers:
        return type(self).adopt(list(self._pairs))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.text())

    def __len__(self) -> int:
        return len(self._pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.raw() == other.raw()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text()!r})"


class RawHeaders(Headers):
    """Headers kept as ASGI's (bytes, bytes) pairs, so that looking one up converts nothing but that one."""

    __slots__ = ()

    def text(self) -> TextPairs:
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._pairs]

    def raw(self) -> RawPairs:
        return self._pairs

    def names(self) -> str:
        return _names_in(self._pairs)

    def has(self, name: str) -> bool:
        wanted = name.encode("latin-1")
        length = len(wanted)
        return any(len(pair[0]) == length and pair[0].lower() == wanted for pair in self._pairs)

    # What the hot path calls most, without the steps between.

    @classmethod
    def of(cls, fields: Iterable[Field]) -> Headers:
        return cls((), [field.raw for field in fields])

    def append(self, field: Field) -> None:
        self._pairs.append(field.raw)

    def patch(self, patch: Patch) -> None:
        self._pairs = patch.of_raw(self._pairs)

    def put(self, name: str, value: str) -> None:
        self._pairs.append((name.encode("latin-1"), value.encode("latin-1")))

    def stamp(self, name: str, value: str) -> None:
        wanted = name.encode("latin-1")
        length, first = len(wanted), wanted[0]
        for pair in self._pairs:
            key = pair[0]
            # Content-Type is as long as X-Request-Id: most are told apart by one letter, in either case.
            if len(key) == length and key[0] | 32 == first and key.lower() == wanted:
                self.remove(name)
                break
        self._pairs.append((wanted, value.encode("latin-1")))

    def remove_alike(self, name: str) -> None:
        wanted = _plain_name(name)
        length = len(wanted)
        for key, _ in self._pairs:
            if len(key) == length and key.lower().replace(b"_", b"-") == wanted:
                self._pairs = [pair for pair in self._pairs if len(pair[0]) != length or self._plain(pair[0]) != wanted]
                return

    @staticmethod
    def _pair(name: str, value: str) -> tuple[bytes, bytes]:
        return (_raw_name(name), value.encode("latin-1"))

    @staticmethod
    def _name(name: str) -> bytes:
        return _raw_name(name)

    @staticmethod
    def _plain(name: bytes) -> bytes:
        return name.lower().replace(b"_", b"-")

    @staticmethod
    def _out(value: bytes) -> str:
        return value.decode("latin-1")
