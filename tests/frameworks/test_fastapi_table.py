"""The route table of FastAPI: includes, frontends, root_path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asgi_kit import Builder, Gate, agree, fastapi_cases
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeep.frameworks.fastapi import FastAPIAdapter


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("frontend")
    (directory / "index.html").write_text("index")
    return directory


@settings(max_examples=200, deadline=None)
@given(fastapi_cases, st.sampled_from(["", "", "/a", "/root"]))
def test_it_finds_what_fastapi_runs(directory: Path, case: tuple[Any, list[dict[str, Any]]], root_path: str) -> None:
    tree, scopes = case

    def build() -> Any:
        return Builder(str(directory)).fastapi(tree, root_path)

    adapter, gate = FastAPIAdapter(build()), Gate()
    adapter.arm(gate)
    agree(adapter, gate, build(), scopes)
