"""What is declared with options: names that there are not, and decorators without their parentheses."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import pytest

from gatekeep import (
    JWT,
    Alarm,
    Authorize,
    Cache,
    Compress,
    Concurrency,
    ConfigurationError,
    Cors,
    Explain,
    IPRules,
    LoadShed,
    Observe,
    Priority,
    Quota,
    ResourcePolicy,
    Throttle,
    Transform,
    UsagePlans,
    Validate,
)
from gatekeep.component import Spec
from gatekeep.declared import WrongCall

PARENTHESES = {Authorize: "", Cache: "", Compress: "", LoadShed: "", Observe: "", UsagePlans: ""} | dict.fromkeys(
    (Alarm, Concurrency, Cors, Explain, IPRules, Priority, Quota, ResourcePolicy, Throttle, Transform, Validate), "..."
)
"""What is to be written in them, at the least."""


def view(request):
    raise AssertionError("nobody calls it")


@functools.cache
def remembered():
    raise AssertionError("nobody calls it")


class View:
    def get(self):
        raise AssertionError("nobody calls it")


class Nothing:
    pass


class Dispatching:
    def dispatch(self, request):
        raise AssertionError("nobody calls it")


def test_every_spec_is_tried_here():
    def kinds(base):
        return {base}.union(*(kinds(below) for below in base.__subclasses__()))

    public = {spec for spec in kinds(Spec) if spec.__module__.startswith("gatekeep.components.")}
    assert {spec for spec in public if not any(spec in other.__bases__ for other in public)} == set(PARENTHESES)


@pytest.mark.parametrize("spec", PARENTHESES)
@pytest.mark.parametrize("decorated", [view, remembered, View, Dispatching, staticmethod(view)])
def test_a_decorator_without_parentheses(spec, decorated):
    with pytest.raises(ConfigurationError) as caught:
        spec(decorated)
    error = caught.value
    name = spec.__name__
    assert f"{name}: @{name} on {decorated.__qualname__} lacks its parentheses" in str(error)
    assert error.fix == f"write @{name}({PARENTHESES[spec]})"
    assert error.origin.file == __file__


def test_the_line_is_the_decorators():
    line = inspect.currentframe().f_lineno
    with pytest.raises(ConfigurationError) as caught:

        @Cache
        def ill():
            raise AssertionError("nobody calls it")

    assert caught.value.origin.line in (line + 3, line + 4)


@pytest.mark.parametrize("spec", PARENTHESES)
def test_off_without_parentheses(spec):
    with pytest.raises(ConfigurationError) as caught:
        spec.off(view)
    name = spec.__name__
    assert f"{name}.off: @{name}.off on view lacks its parentheses" in str(caught.value)
    assert caught.value.fix == f"write @{name}.off()"
    assert caught.value.origin.file == __file__


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Authorize(JWT), "is not an authenticator"),
        (lambda: Authorize(Throttle), "is not an authenticator"),
        (lambda: Throttle(lambda request: "1/s"), "is not text"),
        (lambda: Throttle(inspect), "is not text"),
        (lambda: Throttle(3), "is not text"),
        (lambda: Validate(Nothing), "pydantic makes no schema"),
        (lambda: Cache(view, ttl=3), "multiple values for argument 'ttl'"),
        (lambda: Cache(1, 2), "positional argument"),
        (lambda: Throttle("1/s", burst=-1), "burst=-1"),
    ],
)
def test_what_is_no_view_is_not_taken_for_one(make, message):
    with pytest.raises((ConfigurationError, TypeError), match=message) as caught:
        make()
    assert "parentheses" not in str(caught.value)
    assert not isinstance(caught.value, WrongCall)


@pytest.mark.parametrize(
    ("make", "message", "fix"),
    [
        (lambda: Throttle(bursts=2), "Throttle: there is no option bursts=", "did you mean burst=?"),
        (lambda: Throttle("1/s", bursts=2), "Throttle: there is no option bursts=", "did you mean burst=?"),
        (lambda: Cache(tag="orders"), "Cache: there is no option tag=", "did you mean tags=?"),
        (lambda: JWT(audiences="orders"), "JWT: there is no option audiences=", "did you mean audience=?"),
        (lambda: Authorize(scope="orders"), "Authorize: there is no option scope=", "did you mean scopes=?"),
        (lambda: Authorize(authenticators="orders"), "there is no option authenticators=", "there are scopes, any_scope, roles,"),
        (lambda: Priority("low", zeal=2), "Priority: there is no option zeal=", "there are rank, mode"),
        (lambda: Cache(view, tag="orders"), "Cache: there is no option tag=", "did you mean tags=?"),
    ],
)
def test_an_option_that_there_is_not(make, message, fix):
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert isinstance(caught.value, TypeError)  # as of any call
    assert message in str(caught.value)
    assert caught.value.fix.startswith(fix)
    assert caught.value.origin.file == __file__
    assert caught.value.__suppress_context__


def test_a_spec_of_ones_own_has_both():
    @dataclass(frozen=True)
    class Geofence(Spec):
        countries: tuple[str, ...]

        def check(self) -> None:
            if not isinstance(self.countries, tuple):
                raise self.mistake("no countries")

    with pytest.raises(ConfigurationError, match=r"@Geofence on view lacks its parentheses \(write @Geofence\(\.\.\.\)\)"):
        Geofence(view)
    with pytest.raises(ConfigurationError, match=r"no option country= \(did you mean countries=\?\)"):
        Geofence(country=("FI",))
    with pytest.raises(ConfigurationError, match="no countries"):
        Geofence("FI")
    assert Geofence(("FI",)).countries == ("FI",)


def test_whoever_takes_a_function_gets_it():
    @dataclass(frozen=True)
    class Signed(Spec):
        key: object

    assert Signed(view).key is view


def test_options_of_whatever_name_are_left_alone():
    class Loose(Spec):
        def __init__(self, **options: object) -> None:
            raise TypeError(f"of its own: {sorted(options)}")

    with pytest.raises(TypeError, match=r"of its own: \['anything'\]") as caught:
        Loose(anything=1)
    assert not isinstance(caught.value, ConfigurationError)


def test_a_class_with_options_is_as_any_other():
    class Abstract(Spec, ABC):
        @abstractmethod
        def rules(self) -> None: ...

    with pytest.raises(TypeError, match="abstract"):
        Abstract()
    assert isinstance(Throttle("1/s"), Spec)
    assert not isinstance(Throttle("1/s"), Quota)
    cached = Cache(5, tags=("a",))
    assert copy.deepcopy(cached) == pickle.loads(pickle.dumps(cached)) == replace(cached) == cached
    assert next(iter(inspect.signature(Quota).parameters)) == "limit"
    assert str(inspect.signature(Authorize)).startswith("(*authenticators: ")
    assert list(inspect.signature(JWT).parameters)[:2] == ["issuer", "audience"]
