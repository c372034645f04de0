"""Declared: the class of everything that users write down with options, and what a call of it that can't be means.

A call that succeeds costs nothing more. Where one fails, Python's own words or a field's speak of the wrong thing.
"""

from __future__ import annotations

import sys
from abc import ABCMeta
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ConfigurationError, Origin
from .marks import is_view

__all__ = ["Declared", "Decorator", "WrongCall", "bare_decorator", "caller"]

_PACKAGE = str(Path(__file__).parent)


def caller() -> Origin:
    """The nearest line outside gatekeep and outside generated code: where the user wrote what is being made."""
    frame = sys._getframe(1)
    while True:
        file = frame.f_code.co_filename
        if not file.startswith((_PACKAGE, "<")):
            return Origin(file, frame.f_lineno)
        if frame.f_back is None:
            return Origin(file, frame.f_lineno)
        frame = frame.f_back


class WrongCall(ConfigurationError, TypeError):
    """Options that there are not, or parentheses that are missing: a TypeError, as of any call, that names line and fix."""


def bare_decorator(name: str, view: object, fix: str) -> WrongCall:
    """The error for `@name` where `@name()` was meant."""
    what = getattr(view, "__qualname__", repr(view))
    return WrongCall(f"{name}: @{name} on {what} lacks its parentheses", origin=caller(), fix=f"write {fix}")


class Declared(ABCMeta):
    """Its classes are called with options, and know their names."""

    if not TYPE_CHECKING:  # for whom a call is that of __init__

        def __call__(cls, *args: Any, **options: Any) -> Any:
            try:
                return super().__call__(*args, **options)
            except Exception:
                wrong = cls.misuse(args, options)
                if wrong is None:
                    raise
                raise wrong from None

    @property
    def __signature__(cls) -> Signature:
        """What `help` and editors show: the options, as if there were no `__call__` here."""
        whole = signature(cls.__init__)  # type: ignore[misc]
        return whole.replace(parameters=list(whole.parameters.values())[1:])

    # As of any class: that of ABCMeta is for virtual subclasses, which there are none of, and is slow.
    __instancecheck__ = type.__instancecheck__

    def misuse(cls, args: Sequence[Any], options: Mapping[str, Any]) -> WrongCall | None:
        """What is wrong with a call that failed, where it is the call itself."""
        parameters = cls.__signature__.parameters.values()
        if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
            return None
        known = [parameter.name for parameter in parameters if parameter.kind is not Parameter.VAR_POSITIONAL]
        unknown = next((name for name in options if name not in known), None)
        if unknown is None:
            return None
        near = get_close_matches(unknown, known, n=1)
        fix = f"did you mean {near[0]}=?" if near else f"there are {', '.join(known)}" if known else "it takes none"
        return WrongCall(f"{cls.__name__}: there is no option {unknown}=", origin=caller(), fix=fix)


class Decorator(Declared):
    """Its objects are put on views, with parentheses even where nothing is in them."""

    def misuse(cls, args: Sequence[Any], options: Mapping[str, Any]) -> WrongCall | None:
        if len(args) != 1 or options or isinstance(args[0], Declared) or not is_view(args[0]):
            return super().misuse(args, options)
        return bare_decorator(cls.__name__, args[0], f"@{cls.__name__}({'' if cls._needs_nothing() else '...'})")

    def _needs_nothing(cls) -> bool:
        """Whether nothing has to be said in the parentheses."""
        try:
            cls()
        except Exception:  # whatever it wants, it wants something
            return False
        return True
