"""Hostile bodies in every format: each is a 4xx within a second of CPU and 64 MB of added memory, and the app is not called."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile_formats import CASES

from hostile_runner import judge, outcomes

FILE = str(Path(__file__).parent / "hostile_formats.py")


@pytest.fixture(scope="module")
def found():
    return outcomes(FILE, protocol="asgi")


def test_there_are_enough():
    assert len(CASES) >= 50


@pytest.mark.parametrize("name", CASES)
def test_hostile_body(found, name):
    judge(found[name])
