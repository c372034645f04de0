"""Pattern: text with `*`, `?` and `${variables}`, matched in time linear in the text, whoever wrote it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

__all__ = ["ArnPattern", "BadPolicy", "Facts", "Pattern", "single"]

Facts: TypeAlias = Mapping[str, "str | Sequence[str]"]
"""What is known of a request, by condition key in lower case."""

_TOKEN = re.compile(r"\$\{([^}]*)\}|([*?])")
_VARIABLE = re.compile(r"\s*([^,\s]+)\s*(?:,\s*'([^']*)'\s*)?").fullmatch
_STAR, _ANY = object(), object()
_ARN_PARTS = 6  # arn:partition:service:region:account:resource


class BadPolicy(ValueError):
    """What is no policy document, and why."""


class _Variable(str):
    """A key in lower case; `default` is what stands for it where it is not known."""

    __slots__ = ("default",)
    default: str | None


class Pattern:
    """One pattern. Raises BadPolicy for a variable that is none."""

    __slots__ = ("_fixed", "_fold", "_tokens")

    def __init__(self, text: str, *, variables: bool = True, wildcards: bool = True, fold: bool = False) -> None:
        self._fold = fold
        self._tokens = _tokens(text.casefold() if fold else text, variables=variables, wildcards=wildcards)
        self._fixed = None if any(isinstance(token, _Variable) for token in self._tokens) else _matcher(self._tokens)

    @property
    def fixed(self) -> bool:
        """Whether it has no variables."""
        return self._fixed is not None

    def matches(self, text: str, facts: Facts) -> bool:
        """Whether the whole text matches. A variable that is not known, or has many values, matches nothing."""
        if self._fold:
            text = text.casefold()
        if self._fixed is not None:
            return self._fixed(text)
        tokens: list[object] = []
        for token in self._tokens:
            if isinstance(token, _Variable):
                value = single(facts.get(token))
                token = token.default if value is None else value  # noqa: PLW2901
                if token is None:
                    return False
                if self._fold and isinstance(token, str):
                    token = token.casefold()  # noqa: PLW2901
            tokens.append(token)
        return _matcher(tokens)(text)


class ArnPattern:
    """A pattern for ARNs: wildcards stay within the parts that colons divide, but for the last; "*" alone is everything."""

    __slots__ = ("_count", "_parts", "_tests")

    def __init__(self, text: str, *, variables: bool = True) -> None:
        # A colon in a variable divides nothing.
        masked = re.sub(r"\$\{[^}]*\}", lambda found: found[0].replace(":", "\0"), text)
        parts = masked.split(":", _ARN_PARTS - 1)
        self._parts = [Pattern(part.replace("\0", ":"), variables=variables) for part in parts]
        self._count = len(parts)
        # The last part says most; what takes everything need not be asked.
        self._tests = [(place, self._parts[place]) for place in reversed(range(len(parts))) if parts[place] != "*"]

    @property
    def fixed(self) -> bool:
        """Whether it has no variables."""
        return all(part.fixed for part in self._parts)

    def matches(self, arn: str, facts: Facts) -> bool:
        parts = arn.split(":", self._count - 1)
        if len(parts) != self._count:
            return False
        for place, pattern in self._tests:  # noqa: SIM110 - a generator costs as much as a test
            if not pattern.matches(parts[place], facts):
                return False
        return True


def single(value: str | Sequence[str] | None) -> str | None:
    """The one value of a fact; None where there is none, or more than one."""
    if value is None or isinstance(value, str):
        return value
    return value[0] if len(value) == 1 else None


def _tokens(text: str, *, variables: bool, wildcards: bool) -> list[object]:
    tokens: list[object] = []
    place = 0
    for found in _TOKEN.finditer(text):
        tokens.append(text[place : found.start()])
        place = found.end()
        name, wild = found[1], found[2]
        if wild is not None:
            tokens.append((_STAR if wild == "*" else _ANY) if wildcards else wild)
        elif not variables:
            tokens.append(found[0])
        elif name in ("*", "?", "$"):
            tokens.append(name)
        else:
            said = _VARIABLE(name)
            if said is None:
                raise BadPolicy(f"{found[0]} is not a policy variable")
            variable = _Variable(said[1].lower())
            variable.default = said[2]
            tokens.append(variable)
    tokens.append(text[place:])
    return [token for token in tokens if token != ""]


def _matcher(tokens: Sequence[object]) -> Callable[[str], bool]:
    pieces: list[str] = [""]
    plain = True
    for token in tokens:
        if token is _STAR:
            pieces.append("")
        elif token is _ANY:
            pieces[-1] += "."
            plain = False
        else:
            pieces[-1] += re.escape(str(token))
    if len(pieces) == 1:
        if plain:
            return "".join(map(str, tokens)).__eq__
        whole = re.compile(pieces[0], re.DOTALL).fullmatch
        return lambda text: whole(text) is not None
    # Between stars, the leftmost place is as good as any: no way back, whatever the text.
    first, *middle = (re.compile(piece, re.DOTALL) for piece in pieces[:-1])
    last = re.compile(pieces[-1] + r"\Z", re.DOTALL)
    width = sum(len(str(token)) if token is not _ANY else 1 for token in tokens[_after_last_star(tokens) :])

    def matches(text: str) -> bool:
        found = first.match(text)
        if found is None:
            return False
        place = found.end()
        for piece in middle:
            found = piece.search(text, place)
            if found is None:
                return False
            place = found.end()
        return len(text) - width >= place and last.match(text, len(text) - width) is not None

    return matches


def _after_last_star(tokens: Sequence[object]) -> int:
    return max(place for place, token in enumerate(tokens) if token is _STAR) + 1
