"""What repr() says of configuration: what differs from the defaults, functions by name and line, the same in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial, wraps
from inspect import currentframe
from typing import Any, cast

import pytest

from gatekeep import ApiKey, Authorize, Cache, Gateway, Quota, Route, Throttle, Transform, UsagePlan, blocking, either, set_header
from gatekeep.component import Spec
from gatekeep.showing import Shown, shown
from gatekeep.sources import header

SECRET = "k" * 32


def tenant(request: object) -> str:
    return "x"


@lru_cache
def remembered(request: object) -> str:
    return "x"


async def later(request: object) -> str:
    return "x"


def here() -> int:
    frame = currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def at(function: Callable[..., Any]) -> str:
    return f"(test_showing.py:{function.__code__.co_firstlineno})"


class Views:
    def owner(self, request: object) -> str:
        return "x"


class Caller:
    def __call__(self, request: object) -> str:
        return "x"


@dataclass(frozen=True)
class Own(Spec):
    """A user's own spec."""

    first: str = "a"
    password: str = field(default="", repr=False)
    names: Mapping[str, Any] = field(default_factory=dict)
    flag: bool = False


@dataclass(frozen=True)
class Worded(Own):
    def __repr__(self) -> str:
        return "worded"


@dataclass(frozen=True)
class WordedToo(Worded):
    more: int = 0


@dataclass(frozen=True, slots=True)
class Slotted(Shown):
    name: str
    size: int = 3


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (Throttle("1/s"), "Throttle(rate='1/s')"),
        (Throttle("1/s", 5, by="ip", mode="report"), "Throttle(rate='1/s', burst=5, mode='report', by='ip')"),
        (Quota("10/day"), "Quota(limit='10/day')"),
        (Cache(ttl=10, tags=["a"]), "Cache(ttl=10, tags=['a'])"),
        (Throttle("1/s", by=("ip", header("X-A"))), "Throttle(rate='1/s', by=('ip', Header(name='x-a')))"),
        (Authorize(ApiKey({SECRET: "ann"})), "Authorize(authenticator=ApiKey())"),
        (Authorize(scopes={"c", "b", "a"}, optional=True), "Authorize(scopes={'a', 'b', 'c'}, optional=True)"),
        (Authorize(), "Authorize()"),
        (Transform(request=[set_header("a", "b")]), "Transform(request=[Operation(kind='set_header', name='a', value='b')])"),
        (UsagePlan("free", quota="10/day"), "UsagePlan(name='free', quota=Quota(limit='10/day'))"),
        (Throttle.off(), "Throttle.off()"),
        (Own(password="s3cret"), "Own()"),
        (Own("b", names={"n": {"y", "x"}}), "Own(first='b', names={'n': {'x', 'y'}})"),
        (Own(flag=cast("bool", 0)), "Own(flag=0)"),
        (Worded(), "worded"),
        (WordedToo(), "worded"),
        (Slotted("n"), "Slotted(name='n')"),
        (Slotted("n", 4), "Slotted(name='n', size=4)"),
    ],
)
def test_what_differs_from_the_defaults(spec: object, text: str) -> None:
    assert repr(spec) == text
    assert shown(spec) == text


def test_functions_are_told_by_name_and_line() -> None:
    @wraps(tenant)
    def wrapper(request: object) -> str:
        return tenant(request)

    def local(request: object) -> str:
        return "x"

    line = here() + 1
    nameless = lambda request: "x"  # noqa: E731
    assert shown(tenant) == f"tenant {at(tenant)}"
    assert shown(wrapper) == f"tenant {at(tenant)}"
    assert shown(local) == f"local {at(local)}"
    assert shown(nameless) == f"<lambda> (test_showing.py:{line})"
    assert shown(remembered) == f"remembered {at(remembered.__wrapped__)}"
    assert shown(Views().owner) == f"Views.owner {at(Views.owner)}"
    assert shown(partial(tenant, "a", size=[later])) == f"partial(tenant {at(tenant)}, 'a', size=[later {at(later)}])"
    assert repr(blocking(tenant)) == f"blocking(tenant {at(tenant)})"
    assert repr(blocking(tenant, timeout=2.0)) == f"blocking(tenant {at(tenant)}, timeout=2.0)"
    assert repr(either(sync=tenant, asynchronous=later)) == f"either(sync=tenant {at(tenant)}, asynchronous=later {at(later)})"
    assert repr(Throttle("1/s", by=nameless)) == f"Throttle(rate='1/s', by=<lambda> (test_showing.py:{line}))"
    assert repr(Authorize(claims={"team": local})) == f"Authorize(claims={{'team': local {at(local)}}})"


def test_other_values() -> None:
    endless: list[Any] = [1]
    endless.append(endless)
    assert shown(endless) == "[1, ...]"
    assert shown([]) == "[]"
    assert shown((1,)) == "(1,)"
    assert shown(frozenset()) == "set()"
    assert shown(Views) == "Views"
    assert " at 0x" not in shown(Caller())
    assert shown(Caller()) == "<test_showing.Caller object>"
    assert shown({"a": [{"b": None}]}) == "{'a': [{'b': None}]}"


SCRIPT = """
from gatekeep import *
by = lambda request: "x"
gateway = Gateway(Authorize(ApiKey({"k" * 32: "ann"}), scopes={"a", "b", "c", "d"}, when=lambda request, principal: True),
                  routes=[Route("/x", Throttle("1/s", by=by), Cache(ttl=1, key=by))])
for endpoint, specs in gateway.check(lambda environ, start_response: []):
    print(endpoint, *specs)
"""


def test_the_policy_table_is_the_same_in_every_process() -> None:
    tables = set()
    for seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
            timeout=300,
        )
        tables.add(told.stdout)
    [table] = tables
    assert table == (
        "* /x Authorize(authenticator=ApiKey(), scopes={'a', 'b', 'c', 'd'}, when=<lambda> (<string>:4))"
        " Throttle(rate='1/s', by=<lambda> (<string>:3)) Cache(ttl=1, key=<lambda> (<string>:3))\n"
    )


def test_a_secret_is_not_in_the_table() -> None:
    gateway = Gateway(Authorize(ApiKey({SECRET: "ann"})), routes=[Route("/x")])
    assert SECRET not in repr(gateway.check(lambda environ, start_response: []))
