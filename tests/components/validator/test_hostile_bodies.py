"""Hostile bodies: each is a 4xx within a second of CPU and 64 MB of added memory, and the app is not called."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile import CASES

from hostile_runner import judge, outcomes

FILE = str(Path(__file__).parent / "hostile.py")


@pytest.fixture(scope="module", params=["with the extra", "without the extra"])
def found(request):
    if request.param == "with the extra":
        return outcomes(FILE, protocol="wsgi")
    return outcomes(FILE, protocol="asgi", hidden=("jsonschema_rs", "orjson"))


def test_there_are_enough():
    assert len(CASES) >= 50


@pytest.mark.parametrize("name", CASES)
def test_hostile_body(found, name):
    judge(found[name])
