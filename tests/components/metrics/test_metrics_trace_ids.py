"""TraceIds: every record of any logger says which request and which trace it belongs to."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import sampling

from gatekeep import Observe, TraceIds
from gatekeep.components.metrics.outbox import Outbox
from gatekeep.components.metrics.replay import LightProvider, readable

CALLER = f"00-{'a' * 32}-{'b' * 16}-01"
shop = logging.getLogger("shop.of.tests")


@pytest.fixture
def lines() -> Iterator[list[str]]:
    written: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(self.format(record))

    handler = Keep()
    handler.addFilter(TraceIds())
    handler.setFormatter(logging.Formatter("%(trace_id)s %(span_id)s %(request_id)s %(message)s"))
    shop.addHandler(handler)
    yield written
    shop.removeHandler(handler)


@pytest.fixture(params=["sdk", "light", "unsampled"])
def provider(request: pytest.FixtureRequest, telemetry: Any) -> Iterator[Any]:
    box: Outbox[Any] = Outbox("test", lambda _: True, capacity=10, batch=10, seconds=3600.0, finish=readable)
    made = LightProvider(Resource({}), sampling.ALWAYS_OFF if request.param == "unsampled" else None, box)
    yield telemetry.tracer_provider if request.param == "sdk" else made
    box.close()


def test_those_of_the_request(site: Any, provider: Any, lines: list[str]) -> None:
    spans: list[Any] = []

    def view(request: Any) -> Any:
        spans.append(trace.get_current_span().get_span_context())
        shop.error("at work")
        return 200, [], b"ok"

    client = site(Observe(tracer_provider=provider), view=view)
    answer = client.get("/a", headers={"traceparent": CALLER})
    [line] = lines
    assert line == f"{'a' * 32} {spans[0].span_id:016x} {answer.headers.get('x-request-id')} at work"


def test_none_outside(lines: list[str]) -> None:
    shop.error("at rest")
    assert lines == ["- - - at rest"]


def test_without_a_gateways_span(site: Any, lines: list[str]) -> None:
    def view(request: Any) -> Any:
        shop.error("plain")
        return 200, [], b"ok"

    site(view=view).get("/a")
    assert re.fullmatch("- - [0-9a-f]{32} plain", lines[0])


def test_what_a_record_has_stays(lines: list[str]) -> None:
    shop.error("mine", extra={"trace_id": "t", "span_id": "s", "request_id": "r"})
    assert lines == ["t s r mine"]
