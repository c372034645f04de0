"""Paths made to keep the gateway busy: whatever their length, they are judged in little time, and by no lighter policy."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gatekeep import IPRules, Route
from pace import allowed

NOBODY = IPRules(deny=["0.0.0.0/0"])


@pytest.mark.parametrize(
    ("template", "short", "long"),
    [
        ("/{a}-{b}.{c}", "/a-b.c", "/" + "-" * 60_000),
        ("/{a}-{b}", "/a-b", "/x" + "-y" * 30_000),
        ("/{a}-{b}-{c}-{d}!", "/1-2-3-4!", "/" + "-" * 60_000),
        ("/x/{a}{b}", "/x/ab", "/x/" + "a" * 60_000),
        ("/{a:path}/b/{c:path}/d", "/a/b/c/d", "/b" * 30_000),
        ("/{a}-{b}/{rest:path}", "/a-b/c", "/" + "-" * 30_000 + "/c" * 10_000),
        ("/A-{a}-{b}", "/A-b-c", "/a" + "-" * 30_000),
    ],
)
def test_a_path_that_could_be_split_in_too_many_ways_is_ambiguous(site: Any, template: str, short: str, long: str) -> None:
    client = site(routes=[Route(template, NOBODY)])
    assert client.get(short).status == 403
    started = time.process_time()
    assert client.get(long).json()["code"] == "ambiguous_path"
    assert allowed(2, time.process_time() - started)  # the n-th power of the length would be minutes at least


def test_a_long_path_that_can_be_split_in_one_way_only_is_matched(site: Any) -> None:
    client = site(routes=[Route("/x-{a}/{b}/{rest:path}", NOBODY)])
    assert client.get("/x-" + "-" * 20_000 + "/y/" + "z/" * 10_000 + "z").status == 403
