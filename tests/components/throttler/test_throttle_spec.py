"""The Throttle spec: what it takes, its defaults, and mistakes that name file and line."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from gatekeep.components.throttler import Throttle, claim, header
from gatekeep.components.throttler.identity import label, stable_id
from gatekeep.effects import blocking, either
from gatekeep.errors import ConfigurationError


def by_tenant(request: Any) -> str:
    return "tenant"


async def by_tenant_later(request: Any) -> str:
    return "tenant"


class ByPlan:
    def __call__(self, request: Any) -> str:
        return "plan"


@pytest.mark.parametrize(
    ("rate", "burst", "size"),
    [
        ("10/second", None, 10),
        ("100/minute", None, 100),
        ("0.5/second", None, 1),
        ("1/15 minutes", None, 1),
        ("10/s", 20, 20),
        ("10/s", 1, 1),
    ],
)
def test_burst_is_one_periods_rate_and_at_least_one(rate: str, burst: float | None, size: float) -> None:
    assert Throttle(rate, burst=burst).size == size


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rate": "10"}, "10/second"),
        ({"rate": 10}, "not text"),
        ({"rate": "0/s"}, "lets nothing through"),
        ({"rate": "10/s", "burst": 0}, "burst"),
        ({"rate": "10/s", "burst": -5}, "burst"),
        ({"rate": "10/s", "burst": float("nan")}, "burst"),
        ({"rate": "10/s", "burst": float("inf")}, "burst"),
        ({"rate": "10/s", "burst": "20"}, "burst"),
        ({"rate": "10/s", "cost": -1}, "cost"),
        ({"rate": "10/s", "cost": 11}, "none would ever pass"),
        ({"rate": "10/s", "burst": 0.5}, "none would ever pass"),
        ({"rate": "10/s", "by": "user"}, "nothing to count by"),
        ({"rate": "10/s", "by": ()}, "nothing to count by"),
        ({"rate": "10/s", "by": ("ip", 5)}, "nothing to count by"),
        ({"rate": "10/s", "by": header("")}, "nothing to count by"),
        ({"rate": "10/s", "by": header("x tenant")}, "nothing to count by"),
        ({"rate": "10/s", "by": header("x-ж")}, "nothing to count by"),
        ({"rate": "10/s", "by": claim("")}, "nothing to count by"),
        ({"rate": "10/s", "after": "validate"}, "after"),
        ({"rate": "10/s", "on_store_error": "ignore"}, "on_store_error"),
        ({"rate": "10/s", "name": ""}, "name"),
        ({"rate": "10/s", "name": 'a"b'}, "name"),
        ({"rate": "10/s", "name": "ж"}, "name"),
        ({"rate": "10/s", "mode": "off"}, "mode"),
    ],
)
def test_mistakes(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Throttle(**options)
    assert words in str(caught.value)
    assert Path(__file__).name in str(caught.value)


@pytest.mark.parametrize(
    ("by", "late"),
    [
        ("ip", False),
        ("route", False),
        (header("X-Tenant"), False),
        (by_tenant, False),
        (("ip", header("x-tenant")), False),
        ("principal", True),
        ("api_key", True),
        (claim("tenant"), True),
        (("ip", "principal"), True),
        (("ip", ("route", claim("tenant"))), True),
    ],
)
def test_what_needs_the_principal_is_decided_after_authorization(by: Any, late: bool) -> None:
    assert Throttle("1/s", by=by).late is late
    assert Throttle("1/s", by=by, after="authorize").late is True


@pytest.mark.parametrize(
    ("by", "word"),
    [
        ("ip", "ip"),
        (header("X-Tenant"), "header x-tenant"),
        (claim("tenant"), "claim tenant"),
        (by_tenant, "by_tenant"),
        (either(sync=by_tenant, asynchronous=by_tenant_later), "by_tenant"),
        (blocking(by_tenant), "by_tenant"),
        (functools.partial(by_tenant), "by_tenant"),
        (ByPlan(), "ByPlan"),
        (("ip", by_tenant), "ip+by_tenant"),
    ],
)
def test_labels(by: Any, word: str) -> None:
    assert Throttle("1/s", by=by).size == 1
    assert label(by) == word


def test_ids_differ_where_limits_do() -> None:
    every = [
        "ip",
        "principal",
        ("ip",),
        ("ip", "route"),
        (("ip",), "route"),
        header("a"),
        claim("a"),
        header("b"),
        by_tenant,
        by_tenant_later,
        ByPlan(),
    ]
    assert len({stable_id(by) for by in every}) == len(every)
    assert stable_id(header("X-A")) == stable_id(header("x-a"))
    assert stable_id(ByPlan()) == stable_id(ByPlan())


def test_it_is_a_decorator_and_can_be_switched_off() -> None:
    @Throttle("1/s")
    def view() -> str:
        return "seen"

    assert view() == "seen"
    assert repr(Throttle.off()) == "Throttle.off()"
