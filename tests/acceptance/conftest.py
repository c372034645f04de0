"""Fixtures of the acceptance tests: the shop, open at one place after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from acceptance.places import IN_PROCESS, SERVED, InProcess, Place, in_process, open_at


@pytest.fixture(scope="module", params=[*IN_PROCESS, *SERVED])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The shop in every framework, in this process and behind a real server; open for a whole module, as servers are."""
    with ExitStack() as stack:
        yield open_at(request.param, tmp_path_factory.mktemp(request.param), stack)


@pytest.fixture(params=[*IN_PROCESS])
def open_shop(request: pytest.FixtureRequest) -> Iterator[Callable[..., InProcess]]:
    """Opens a shop of the test's own in this process, in every framework; options are the gateway's."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(in_process(request.param, **options))
