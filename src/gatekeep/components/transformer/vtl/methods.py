"""Methods: what a template may call on a text, list, map or number, by the names that Java has for it. There are no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .patterns import matches, replaced, replacing, split
from .values import Budget, Entry, Failed, HeaderMap, Host, JavaList, Once, OnceHeaders, as_text, equal

__all__ = ["call", "get", "name_of", "put"]


class Method(NamedTuple):
    least: int
    most: int
    function: Callable[..., Any]
    """(budget, the value, arguments…)"""


def call(value: Any, name: str, arguments: list[Any], budget: Budget) -> Any:
    """What a method gives; null where there is none of that name for so many arguments, as in Velocity."""
    if isinstance(value, Host):
        method = value.methods.get(name)
        if method is None or not method[0] <= len(arguments) <= method[1]:
            return None
        return method[2](value.owner, *arguments)
    found = _METHODS.get(type(value), _NONE).get(name)
    if found is None or not found.least <= len(arguments) <= found.most:
        return None
    budget.spend(1)
    return found.function(budget, value, *arguments)


def get(value: Any, name: Any, budget: Budget) -> Any:
    """A member of a map, an item of a list, a property of what the gateway hands in; null where there is none."""
    if isinstance(value, dict):
        return value.get(name_of(value, name, budget))
    if isinstance(value, list):
        return value[name] if type(name) is int and -len(value) <= name < len(value) else None
    if isinstance(value, Host):
        found = value.properties.get(name) if isinstance(name, str) else None
        return None if found is None else found(value.owner)
    if isinstance(value, Entry):
        return value[0] if name == "key" else value[1] if name == "value" else None
    return None


def put(value: Any, name: Any, member: Any, budget: Budget) -> None:
    """Set a member of a map or an item of a list; elsewhere it does nothing, as in Velocity."""
    budget.make(16)
    if isinstance(value, Once):
        value.write(name_of(value, name, budget), member)
    elif isinstance(value, dict):
        value[name_of(value, name, budget)] = member
    elif isinstance(value, list) and type(name) is int and -len(value) <= name < len(value):
        value[name] = member


def name_of(value: dict[str, Any], name: Any, budget: Budget) -> str:
    """The key under which a map has it: a text, whatever it is."""
    text = as_text(name, budget)
    return text.lower() if isinstance(value, HeaderMap) else text


# Texts.


def _text(function: Callable[..., Any]) -> Callable[..., Any]:
    """A method whose arguments are texts and whose work grows with the text."""

    def method(budget: Budget, value: str, *arguments: Any) -> Any:
        budget.spend(len(value) >> 6)
        return function(value, *[as_text(argument, budget) for argument in arguments])

    return method


def _made(function: Callable[..., str]) -> Callable[..., Any]:
    """The same, where it makes another text."""
    method = _text(function)

    def making(budget: Budget, value: str, *arguments: Any) -> str:
        budget.make(len(value) + sum(len(argument) for argument in arguments if isinstance(argument, str)))
        made: str = method(budget, value, *arguments)
        return made

    return making


def _index(value: Any, size: int) -> int:
    if type(value) is not int or not 0 <= value <= size:
        raise Failed("an index is out of range")
    return value


def _substring(budget: Budget, value: str, first: Any, last: Any = None) -> str:
    begin, end = _index(first, len(value)), len(value) if last is None else _index(last, len(value))
    if begin > end:
        raise Failed("an index is out of range")
    budget.make(end - begin)
    return value[begin:end]


def _char_at(_: Budget, value: str, index: Any) -> str:
    return value[_index(index, len(value) - 1)]


def _index_of(budget: Budget, value: str, part: Any, start: Any = 0) -> int:
    budget.spend(len(value) >> 6)
    found: int = value.find(as_text(part, budget), max(start, 0) if type(start) is int else 0)
    return found


def _last_index_of(value: str, part: str) -> int:
    # From the other end: str.find takes linear time in CPython, str.rfind the product of both lengths.
    found = value[::-1].find(part[::-1])
    return found if found < 0 else len(value) - found - len(part)


def _compared(left: Any, right: Any) -> int:
    return int(left > right) - int(left < right)


# Lists.


def _add(budget: Budget, value: list[Any], first: Any, second: Any = None) -> bool | None:
    budget.make(16)
    if second is None:
        value.append(first)
        return True
    budget.spend(len(value) >> 6)
    value.insert(_index(first, len(value)), second)
    return None


def _add_all(budget: Budget, value: list[Any], items: Any) -> bool:
    found = list(items) if isinstance(items, list) else []
    budget.make(16 * len(found))
    value += found
    return bool(found)


def _set(_: Budget, value: list[Any], index: Any, item: Any) -> Any:
    index = _index(index, len(value) - 1)
    old, value[index] = value[index], item
    return old


def _find(budget: Budget, value: list[Any], wanted: Any) -> int:
    for index, item in enumerate(value):
        budget.spend(1)
        if equal(item, wanted, budget):
            return index
    return -1


def _remove(budget: Budget, value: list[Any], wanted: Any) -> Any:
    if type(wanted) is int:
        return value.pop(_index(wanted, len(value) - 1))
    index = _find(budget, value, wanted)
    if index >= 0:
        del value[index]
    return index >= 0


def _sub_list(budget: Budget, value: list[Any], first: Any, last: Any) -> list[Any]:
    begin, end = _index(first, len(value)), _index(last, len(value))
    budget.make(16 * max(end - begin, 0))
    return type(value)(value[begin:end])


# Maps.


def _put(budget: Budget, value: dict[str, Any], name: Any, member: Any) -> Any:
    old = value.get(name_of(value, name, budget))
    put(value, name, member, budget)
    return old


def _put_all(budget: Budget, value: dict[str, Any], members: Any) -> None:
    for name, member in list(members.items()) if isinstance(members, dict) else ():
        put(value, name, member, budget)


def _put_if_absent(budget: Budget, value: dict[str, Any], name: Any, member: Any) -> Any:
    old = get(value, name, budget)
    if old is None:
        put(value, name, member, budget)
    return old


def _get_or(budget: Budget, value: dict[str, Any], name: Any, default: Any) -> Any:
    return value.get(name_of(value, name, budget), default)


def _listed(function: Callable[[dict[str, Any]], Any]) -> Callable[..., JavaList]:
    def method(budget: Budget, value: dict[str, Any]) -> JavaList:
        budget.make(32 * len(value))
        return JavaList(function(value))

    return method


def _removed(budget: Budget, value: dict[str, Any], name: Any) -> Any:
    return None if isinstance(value, Once) else value.pop(name_of(value, name, budget), None)


# Numbers.


def _as(kind: type[int | float]) -> Callable[..., Any]:
    def convert(_: Budget, value: float) -> Any:
        try:
            return kind(value)
        except (OverflowError, ValueError):  # infinity, what is no number, what no double holds
            raise Failed("a number is too large") from None

    return convert


def _parse(kind: type[int | float]) -> Callable[..., Any]:
    def parse(budget: Budget, _: Any, text: Any) -> Any:
        text = as_text(text, budget)
        try:
            return kind(text) if len(text) <= 30 else None
        except ValueError:
            raise Failed("a text is no number") from None

    return parse


_OF_ALL: Mapping[str, Method] = {
    "equals": Method(1, 1, lambda budget, value, other: equal(value, other, budget)),
    "toString": Method(0, 0, lambda budget, value: as_text(value, budget)),
}
_OF_CONTAINERS: Mapping[str, Method] = {
    **_OF_ALL,
    "isEmpty": Method(0, 0, lambda _, value: not value),
    "size": Method(0, 0, lambda _, value: len(value)),
}
_OF_TEXTS: Mapping[str, Method] = {
    **_OF_ALL,
    "charAt": Method(1, 1, _char_at),
    "compareTo": Method(1, 1, _text(_compared)),
    "concat": Method(1, 1, _made(lambda value, other: value + other)),
    "contains": Method(1, 1, _text(lambda value, part: part in value)),
    "endsWith": Method(1, 1, _text(str.endswith)),
    "equalsIgnoreCase": Method(1, 1, _text(lambda value, other: value.casefold() == other.casefold())),
    "indexOf": Method(1, 2, _index_of),
    "isEmpty": Method(0, 0, lambda _, value: not value),
    "lastIndexOf": Method(1, 1, _text(_last_index_of)),
    "length": Method(0, 0, lambda _, value: len(value)),
    "matches": Method(1, 1, matches),
    "replace": Method(2, 2, lambda budget, value, old, new: replaced(budget, value, as_text(old, budget), as_text(new, budget))),
    "replaceAll": Method(2, 2, replacing(0)),
    "replaceFirst": Method(2, 2, replacing(1)),
    "split": Method(1, 2, split),
    "startsWith": Method(1, 1, _text(str.startswith)),
    "substring": Method(1, 2, _substring),
    "toLowerCase": Method(0, 0, _made(str.lower)),
    "toUpperCase": Method(0, 0, _made(str.upper)),
    "trim": Method(0, 0, _made(str.strip)),
}
_OF_LISTS: Mapping[str, Method] = {
    **_OF_CONTAINERS,
    "add": Method(1, 2, _add),
    "addAll": Method(1, 1, _add_all),
    "clear": Method(0, 0, lambda _, value: value.clear()),
    "contains": Method(1, 1, lambda budget, value, wanted: _find(budget, value, wanted) >= 0),
    "get": Method(1, 1, lambda _, value, index: value[_index(index, len(value) - 1)]),
    "indexOf": Method(1, 1, _find),
    "remove": Method(1, 1, _remove),
    "set": Method(2, 2, _set),
    "subList": Method(2, 2, _sub_list),
}
_OF_MAPS: Mapping[str, Method] = {
    **_OF_CONTAINERS,
    "containsKey": Method(1, 1, lambda budget, value, name: name_of(value, name, budget) in value),
    "containsValue": Method(1, 1, lambda budget, value, wanted: _find(budget, list(value.values()), wanted) >= 0),
    "entrySet": Method(0, 0, _listed(lambda value: map(Entry, value.items()))),
    "get": Method(1, 1, lambda budget, value, name: value.get(name_of(value, name, budget))),
    "getOrDefault": Method(2, 2, _get_or),
    "keySet": Method(0, 0, _listed(list)),
    "put": Method(2, 2, _put),
    "putAll": Method(1, 1, _put_all),
    "putIfAbsent": Method(2, 2, _put_if_absent),
    "remove": Method(1, 1, _removed),
    "values": Method(0, 0, _listed(lambda value: value.values())),
}
_OF_ENTRIES: Mapping[str, Method] = {
    **_OF_ALL,
    "getKey": Method(0, 0, lambda _, value: value[0]),
    "getValue": Method(0, 0, lambda _, value: value[1]),
}
_OF_NUMBERS: Mapping[str, Method] = {
    **_OF_ALL,
    "compareTo": Method(1, 1, lambda _, value, other: _compared(value, other) if isinstance(other, (int, float)) else None),
    "doubleValue": Method(0, 0, _as(float)),
    "intValue": Method(0, 0, _as(int)),
    "longValue": Method(0, 0, _as(int)),
    "parseDouble": Method(1, 1, _parse(float)),
    "parseInt": Method(1, 1, _parse(int)),
    "parseLong": Method(1, 1, _parse(int)),
}
_NONE: Mapping[str, Method] = {}
_METHODS: Mapping[type, Mapping[str, Method]] = {
    Entry: _OF_ENTRIES,
    HeaderMap: _OF_MAPS,
    JavaList: _OF_LISTS,
    Once: _OF_MAPS,
    OnceHeaders: _OF_MAPS,
    bool: _OF_ALL,
    dict: _OF_MAPS,
    float: _OF_NUMBERS,
    int: _OF_NUMBERS,
    list: _OF_LISTS,
    str: _OF_TEXTS,
}
