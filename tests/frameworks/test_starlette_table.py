"""The route table: it finds exactly the endpoint that Starlette runs."""

from __future__ import annotations

from typing import Any

from asgi_kit import Builder, Gate, agree, starlette_cases
from hypothesis import given, settings

from gatekeep.frameworks.starlette import StarletteAdapter


@settings(max_examples=200, deadline=None)
@given(starlette_cases)
def test_it_finds_what_starlette_runs(case: tuple[Any, list[dict[str, Any]]]) -> None:
    tree, scopes = case
    adapter, gate = StarletteAdapter(Builder().starlette(tree)), Gate()
    adapter.arm(gate)
    agree(adapter, gate, Builder().starlette(tree), scopes)
