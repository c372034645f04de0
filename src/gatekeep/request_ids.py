"""Request ids: 128 random bits in hex. Made by the batch: one alone takes six times what its part of a batch does."""

from __future__ import annotations

from os import urandom
from typing import Final

from .forks import reset_after_fork

__all__ = ["RequestIds"]

_DIGITS: Final = 32
_BATCH: Final = 64
_ALL: Final = _BATCH * _DIGITS


class RequestIds:
    """Those that nobody has taken yet. No lock: each step is one operation on a list."""

    __slots__ = ("_left", "_tie")

    def __init__(self) -> None:
        self._left: list[str] = []
        self._tie = reset_after_fork(self)

    def after_fork(self) -> None:
        """Forget them: the parent gives them out."""
        self._left.clear()

    def take(self) -> str:
        while True:
            try:
                return self._left.pop()
            except IndexError:
                digits = urandom(_ALL // 2).hex()
                self._left += [digits[start : start + _DIGITS] for start in range(0, _ALL, _DIGITS)]
