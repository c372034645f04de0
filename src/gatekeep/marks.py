"""Marks: the specs that decorators put on views, and how they are found again behind wrappers and classes.

A mark is an attribute that holds a spec; the view itself stays what it was. Nothing here knows a framework.
"""

from __future__ import annotations

import functools
import itertools
import weakref
from collections.abc import Collection, Iterator, Mapping
from operator import itemgetter
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

__all__ = ["ViewMarks", "decorated", "is_view", "layers", "mark", "marks", "settle", "strays", "view_marks"]

V = TypeVar("V")
_MARK = "__gatekeep_"
"""How the names of marks begin; a number follows, of its own for each: whoever copies the attributes of several objects to one,
as functools.wraps and Django's method_decorator do, takes all marks along and overwrites none."""
_METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "trace")
_DISPATCHERS = ("dispatch", "dispatch_request", "__call__")
"""What every request to a class-based view passes, whatever its method."""


class _Decorated:
    """An object that a spec was put on, so that one which no route reaches can be named."""

    __slots__ = ("reached", "spec", "view")

    def __init__(self, number: int, view: Any, spec: Any) -> None:
        self.view = weakref.ref(view, functools.partial(_forget, number))
        self.spec = spec
        self.reached = False


_numbers = itertools.count()
_decorated: dict[int, _Decorated] = {}
"""By number, in order. What is gone is gone here too: Django's method_decorator decorates anew at each request."""


def _forget(number: int, _: object) -> None:
    _decorated.pop(number, None)


def mark(view: V, spec: Any) -> V:
    """Put a spec on a view and return the view. Raises TypeError for what can't hold an attribute or a weak reference."""
    target: Any = view.__func__ if isinstance(view, (staticmethod, classmethod)) else view
    try:
        number = next(_numbers)
        setattr(target, f"{_MARK}{number}", spec)
        _decorated[number] = _Decorated(number, target, spec)
    except AttributeError as error:
        raise TypeError(str(error)) from None
    return view


def marks(target: object) -> tuple[Any, ...]:
    """The specs on exactly this object, innermost decorator first; a base class' don't count."""
    try:
        found = [(int(name.removeprefix(_MARK)), spec) for name, spec in vars(target).copy().items() if name.startswith(_MARK)]
    except TypeError:
        return ()
    return tuple(spec for _, spec in sorted(found, key=itemgetter(0)))


def decorated() -> list[tuple[object, Any]]:
    """Every living object that a spec was put on, with that spec."""
    return [(view, entry.spec) for view, entry in _living()]


def settle(reached: Collection[int]) -> None:
    """Remember by id() which objects a route leads to: a framework may hold a view for longer than its app lives."""
    for view, entry in _living():
        entry.reached = entry.reached or id(view) in reached


def strays() -> list[tuple[object, Any]]:
    """Every living object with a spec that no route has ever led to."""
    return [(view, entry.spec) for view, entry in _living() if not entry.reached]


def _living() -> list[tuple[object, _Decorated]]:
    return [(view, entry) for entry in list(_decorated.values()) if (view := entry.view()) is not None]


def layers(view: object) -> Iterator[object]:
    """A view and everything it wraps, outermost first: `__func__`, partial.func, `__wrapped__`, `view_class`, DRF's `cls`."""
    seen: set[int] = set()
    waiting = [view]
    while waiting:
        layer = waiting.pop(0)
        if layer is None or id(layer) in seen:
            continue
        seen.add(id(layer))
        yield layer
        if isinstance(layer, functools.partial):
            waiting.append(layer.func)
        if isinstance(layer, type):
            continue
        own = getattr(layer, "__dict__", {})
        waiting.append(getattr(layer, "__func__", None))
        waiting.extend(own.get(name) for name in ("__wrapped__", "view_class", "cls"))


def is_view(target: object) -> bool:
    """Whether somebody may have put a decorator on it: a function with a name of its own, or a class that handles requests."""
    if isinstance(target, type):
        return any(name in vars(base) for base in target.__mro__ for name in (*_METHODS, *_DISPATCHERS))
    return getattr(target, "__name__", "<lambda>") != "<lambda>" and not isinstance(target, ModuleType)


class ViewMarks(NamedTuple):
    """What a view carries: specs for all its methods, and per HTTP method what stands on a class' own functions."""

    common: tuple[Any, ...]
    by_method: Mapping[str, tuple[Any, ...]]
    reached: frozenset[int]
    """The id() of every object that was looked at: a decorated one that is in no such set is an orphan."""
    overridden: tuple[tuple[Any, object], ...]
    """(spec of a base class' function, the function that overrides it without one of that kind) in class-based views."""


def view_marks(view: object) -> ViewMarks:
    """Read every mark that a request to this view is to obey, weak to strong, each spec once."""
    reader = _Reader()
    common: dict[int, Any] = {}
    by_method: dict[str, tuple[Any, ...]] = {}
    found = list(layers(view))
    for layer in reversed(found):  # the innermost decorator is the weakest
        reader.reached.add(id(layer))
        if not isinstance(layer, type):
            # An instance is called through its class, which may carry marks too.
            for spec in (*reader.inherited(type(layer)), *reader.handler(type(layer), "__call__"), *marks(layer)):
                common[id(spec)] = spec
            continue
        handlers = _actions(found) or {method: method for method in _METHODS if hasattr(layer, method)}
        for method, name in handlers.items():
            specs = reader.handler(layer, name)
            if specs:
                by_method[method.upper()] = specs
        for spec in reader.inherited(layer):
            common[id(spec)] = spec
        for name in _DISPATCHERS:
            common.update((id(spec), spec) for spec in reader.handler(layer, name))
    if "GET" in by_method:
        by_method.setdefault("HEAD", by_method["GET"])
    return ViewMarks(tuple(common.values()), by_method, frozenset(reader.reached), tuple(reader.overridden))


def _actions(found: list[object]) -> dict[str, str]:
    # DRF's view functions say which of the class' functions each HTTP method calls.
    for layer in found:
        own = getattr(layer, "__dict__", {})
        if not isinstance(layer, type) and "cls" in own and isinstance(own.get("actions"), Mapping):
            return dict(own["actions"])
    return {}


class _Reader:
    """Collects marks along the bases of a class, and what it came past."""

    def __init__(self) -> None:
        self.reached: set[int] = set()
        self.overridden: list[tuple[Any, object]] = []

    def inherited(self, cls: type) -> tuple[Any, ...]:
        """The marks on a class and its bases, weak to strong; of each kind those of the nearest class."""
        kept: list[Any] = []
        kinds: set[Any] = set()
        for base in cls.__mro__:
            own = marks(base)
            if own:
                self.reached.add(id(base))
                kept = [spec for spec in own if _kind(spec) not in kinds] + kept
                kinds |= {_kind(spec) for spec in own}
        return tuple(kept)

    def handler(self, cls: type, name: str) -> tuple[Any, ...]:
        """The marks on a class' method as it is called. A base class' method that it hides must not have said more."""
        specs: dict[int, Any] = {}
        override: object | None = None
        kinds: set[Any] = set()
        for base in cls.__mro__:
            if override is None:
                kinds |= {_kind(spec) for spec in marks(base)}  # said by the overriding class, or by one below it
            function = vars(base).get(name)
            if function is None:
                continue
            chain = list(layers(getattr(function, "__func__", function)))
            found = {id(spec): spec for layer in reversed(chain) for spec in marks(layer)}
            self.reached |= {id(layer) for layer in chain}
            if override is None:
                override, specs = function, found
                kinds |= {_kind(spec) for spec in specs.values()}
            else:
                self.overridden += [(spec, override) for spec in found.values() if _kind(spec) not in kinds]
        return tuple(specs.values())


def _kind(spec: Any) -> Any:
    return getattr(spec, "about", type(spec))
