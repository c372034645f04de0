"""The access log: one line a request, whatever a client sends, with nothing secret in it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from gatekeep.component import Component, Hooks, Plan, Spec
from gatekeep.components.metrics import MetricsEmitter, Observe
from gatekeep.components.metrics.access_log import LOGGER
from gatekeep.components.stages import Stage
from gatekeep.errors import Forbidden
from gatekeep.exchange import Principal
from gatekeep.message import Response
from gatekeep.routing import Route
from gatekeep.testing import FakeClock


class Know(Spec):
    """Knows the caller by the x-user field."""


class Knower(Component):
    spec = Know

    def bind(self, plan: Plan) -> Hooks:
        def on_request(exchange: Any) -> Response | None:
            user = exchange.request.header("x-user")
            if user == "evil":
                user = 'e\u2028v"il\n\ud800 user'
            if user is not None:
                exchange.principal = Principal("test", "issuer", user)
            exchange.note(self.name, "known" if user else "unknown")
            if user == "mallory":
                raise Forbidden("", code="not_you")
            return Response(200, [("content-length", "5")], b"early") if user == "early" else None

        return Hooks(on_request=on_request)


ORDER = [MetricsEmitter, Knower]


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        assert record.levelno == logging.INFO
        self.lines.append(self.format(record))

    @property
    def line(self) -> str:
        [line] = self.lines
        return line

    @property
    def record(self) -> dict[str, Any]:
        return json.loads(self.line)  # type: ignore[no-any-return]


@pytest.fixture
def log() -> Iterator[Lines]:
    handler = Lines()
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    yield handler
    LOGGER.removeHandler(handler)
    LOGGER.setLevel(logging.NOTSET)


def test_json(site: Any, log: Lines, telemetry: Any) -> None:
    clock = FakeClock(wall=1_700_000_000.25)

    def view(request: Any) -> Any:
        clock.advance(0.0125)
        return 200, [("content-length", "2")], b"ok"

    spec = Observe(access_log="json", **telemetry.options)
    stages = [Stage("prod", path="/prod")]
    client = site(spec, Know(), stages=stages, routes=[Route("/orders/{id}")], view=view, clock=clock, order=ORDER)
    answer = client.get(
        "/prod/orders/7?token=s3cret", headers={"x-user": "ann", "user-agent": "curl", "authorization": "Bearer s3cret"}
    )
    assert log.record == {
        "time": "2023-11-14T22:13:20.250Z",
        "request_id": answer.headers.get("x-request-id"),
        "client": "127.0.0.1",
        "principal": "ann",
        "method": "GET",
        "host": "testserver",
        "path": "/prod/orders/7",
        "protocol": "HTTP/1.1",
        "stage": "prod",
        "route": "/orders/{id}",
        "status": 200,
        "bytes": 2,
        "duration_ms": 12.5,
        "outcome": "completed",
        "error": None,
        "decisions": ["knower:known"],
        "user_agent": "curl",
        "trace_id": f"{telemetry.span.context.trace_id:032x}",
        "span_id": f"{telemetry.span.context.span_id:016x}",
    }
    assert "s3cret" not in log.line


def test_common_log_format(site: Any, log: Lines) -> None:
    clock = FakeClock(wall=1_700_000_000.0)
    client = site(Observe(access_log="common"), Know(), clock=clock, order=ORDER)
    client.get("/a b?token=s3cret", headers={"x-user": "ann"})
    assert log.line == '127.0.0.1 - ann [14/Nov/2023:22:13:20 +0000] "GET /a b HTTP/1.1" 200 2'


def test_common_log_format_of_little_known(site: Any, log: Lines) -> None:
    def view(request: Any) -> Any:
        raise OSError

    client = site(Observe(access_log="common"), view=view, peer=None, clock=FakeClock(wall=0.0))
    with pytest.raises(OSError):
        client.get("/a")
    assert log.line == '- - - [01/Jan/1970:00:00:00 +0000] "GET /a HTTP/1.1" - 0'


@pytest.mark.parametrize("form", ["json", "common"])
def test_a_client_writes_no_line_of_its_own(site: Any, log: Lines, form: Any) -> None:
    client = site(Observe(access_log=form), Know(), order=ORDER)
    path = "/a%0d%0a127.0.0.1%20-%20root%20%22%1b[31m%00%e2%80%a8%5c"
    client.get(path, headers={"x-user": "evil", "user-agent": 'x" "\x1b[31m\xff', "host": "h\x7f"})
    assert log.line.isascii()
    assert log.line.isprintable()
    if form == "common":
        assert '"GET /a\\x0d\\x0a127.0.0.1 - root \\x22\\x1b[31m\\x00\\xe2\\x80\\xa8\\x5c HTTP/1.1"' in log.line
        assert "- e\\xe2\\x80\\xa8v\\x22il\\x0a\\xed\\xa0\\x80\\x20user [" in log.line
    else:
        assert log.record["path"] == '/a\r\n127.0.0.1 - root "\x1b[31m\0\u2028\\'


def test_a_percent_sign_is_just_one(site: Any, log: Lines) -> None:
    site(Observe(access_log="json")).get("/100%25s%25d")
    assert log.record["path"] == "/100%s%d"


def test_a_refusal(site: Any, log: Lines) -> None:
    client = site(Observe(access_log="json"), Know(), order=ORDER)
    answer = client.get("/a", headers={"x-user": "mallory"})
    record = log.record
    assert (record["status"], record["error"], record["outcome"]) == (403, "not_you", "completed")
    assert record["decisions"] == ["knower:known", "knower:not_you"]
    assert record["bytes"] == len(answer.body)
    assert record["principal"] == "mallory"


def test_an_exception_of_the_app(site: Any, log: Lines) -> None:
    def view(request: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        site(Observe(access_log="json"), view=view).get("/a")
    record = log.record
    assert (record["status"], record["error"], record["outcome"]) == (None, "ZeroDivisionError", "failed")
    assert record["bytes"] == 0
    assert record["principal"] is None


def test_bytes_of_a_streamed_body_are_counted(site: Any, log: Lines) -> None:
    view = lambda request: (200, [], [b"one", b"", b"three"])  # noqa: E731
    site(Observe(access_log="json"), view=view).get("/a")
    assert log.record["bytes"] == 8


def test_bytes_of_what_was_sent_before_it_broke(site: Any, log: Lines) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"one"
        raise OSError

    view = lambda request: (200, [("content-length", "100")], chunks())  # noqa: E731
    with pytest.raises(OSError):
        site(Observe(access_log="json"), view=view).get("/a")
    assert log.record["bytes"] == 3


def test_bytes_of_an_answer_of_the_gateways_own(site: Any, log: Lines) -> None:
    site(Observe(access_log="json"), Know(), order=ORDER).get("/a", headers={"x-user": "early"})
    assert log.record["bytes"] == 5


class LateKnower(Knower):
    """Turns the log on while the answer is on its way, so that nobody has counted it."""

    def bind(self, plan: Plan) -> Hooks:
        return Hooks(on_finish=lambda exchange: LOGGER.setLevel(logging.INFO))


def test_bytes_that_nobody_knows(site: Any, log: Lines) -> None:
    LOGGER.setLevel(logging.WARNING)
    view = lambda request: (200, [("content-length", "many")], [b"one"])  # noqa: E731
    site(Observe(access_log="json"), Know(), view=view, order=[MetricsEmitter, LateKnower]).get("/a")
    assert log.record["bytes"] is None


def test_a_declared_length_says_nothing_of_a_broken_answer(site: Any, log: Lines) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"one"
        raise OSError

    LOGGER.setLevel(logging.WARNING)
    view = lambda request: (200, [("content-length", "100")], chunks())  # noqa: E731
    with pytest.raises(OSError):
        site(Observe(access_log="json"), Know(), view=view, order=[MetricsEmitter, LateKnower]).get("/a")
    assert log.record["bytes"] is None


def test_head_has_no_body(site: Any, log: Lines) -> None:
    site(Observe(access_log="json")).request("HEAD", "/a")
    assert log.record["bytes"] == 0


def test_the_answer_is_the_apps_own(site: Any, log: Lines) -> None:
    view = lambda request: (200, [], [b"one", b"two"])  # noqa: E731
    assert site(Observe(access_log="json"), view=view).get("/a").chunks == [b"one", b"two"]


@pytest.mark.parametrize("level", [logging.WARNING, logging.CRITICAL])
def test_nothing_is_written_where_nobody_listens(site: Any, log: Lines, level: int) -> None:
    LOGGER.setLevel(level)
    assert site(Observe(access_log="json")).get("/a").status == 200
    assert log.lines == []


def test_no_log_unless_asked_for(site: Any, log: Lines) -> None:
    site(Observe()).get("/a")
    assert log.lines == []
