"""The access log: one line a request, whatever a client sends, with nothing secret in it."""

from __future__ import annotations

import json
import logging
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.trace import get_current_span

from gatekeep import ApiKey, Authorize, CustomAuthorizer, blocking, header
from gatekeep.component import Component, Hooks, Plan, Spec
from gatekeep.components.metrics import IntegrationTimer, MetricsEmitter, Observe
from gatekeep.components.metrics.access_log_forms import VARIABLES
from gatekeep.components.metrics.access_log_queue import LOGGER, QUEUE, Queue
from gatekeep.components.stages import Stage
from gatekeep.errors import ConfigurationError, Forbidden
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


ORDER = [MetricsEmitter, Knower, IntegrationTimer]


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []
        self.records: list[logging.LogRecord] = []

    @property
    def lines(self) -> list[str]:
        QUEUE.flush()
        return self.written

    def emit(self, record: logging.LogRecord) -> None:
        assert record.levelno == logging.INFO
        self.written.append(self.format(record))
        self.records.append(record)

    @property
    def line(self) -> str:
        [line] = self.lines
        return line

    @property
    def record(self) -> dict[str, Any]:
        return json.loads(self.line)  # type: ignore[no-any-return]


@pytest.fixture
def log() -> Iterator[Lines]:
    QUEUE.flush()
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
        "head_ms": 12.5,
        "app_ms": 12.5,
        "waits_ms": {},
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


# Forms.


def test_combined_log_format(site: Any, log: Lines) -> None:
    client = site(Observe(access_log="combined"), Know(), clock=FakeClock(wall=1_700_000_000.0), order=ORDER)
    client.get("/a", headers={"x-user": "ann", "user-agent": "curl/8", "referer": "https://shop.example/a?q=1&token=s3cret#top"})
    client.get("/a")
    first, second = log.lines
    assert first == (
        '127.0.0.1 - ann [14/Nov/2023:22:13:20 +0000] "GET /a HTTP/1.1" 200 2 "https://shop.example/a?q=1&token=REDACTED" '
        '"curl/8"'
    )
    assert second.endswith(' 200 2 "-" "-"')


def test_template_of_context_variables(site: Any, log: Lines) -> None:
    names = sorted(VARIABLES)
    template = " ".join(f"$context.{name}" for name in names)
    client = site(
        Observe(access_log=template, trace=False),
        Know(),
        clock=FakeClock(wall=1_700_000_000.0),
        order=ORDER,
        routes=[Route("/orders/{id}")],
    )
    answer = client.get("/orders/1", headers={"x-user": "ann", "user-agent": "curl", "host": "api.example:8443"})
    request_id = answer.headers.get("x-request-id")
    values = dict(
        zip(names, log.line.replace("14/Nov/2023:22:13:20 +0000", "DATE").replace("GET /o", "GET_/o").split(" "), strict=True)
    )
    assert values == {
        "authorizer.integrationLatency": "-",
        "authorizer.latency": "-",
        "authorizer.principalId": "ann",
        "decisions": "knower:known",
        "domainName": "api.example",
        "error.responseType": "-",
        "extendedRequestId": request_id,
        "httpMethod": "GET",
        "identity.apiKeyId": "-",
        "identity.caller": "ann",
        "identity.sourceIp": "127.0.0.1",
        "identity.user": "ann",
        "identity.userAgent": "curl",
        "integration.latency": "0",
        "integrationLatency": "0",
        "outcome": "completed",
        "path": "/orders/1",
        "protocol": "HTTP/1.1",
        "requestId": request_id,
        "requestTime": "DATE",
        "requestTimeEpoch": "1700000000000",
        "resourcePath": "/orders/{id}",
        "responseLatency": "0",
        "responseLength": "2",
        "routeKey": "GET_/orders/{id}",
        "spanId": "-",
        "stage": "-",
        "status": "200",
        "traceId": "-",
        "xrayTraceId": "-",
    }


def test_latencies(site: Any, log: Lines) -> None:
    """Of the app, and of an authorizer that waits; none of an app that was not called."""
    clock = FakeClock()

    def ask(request: Any) -> Principal | None:
        clock.advance(0.25)
        token = request.header("x-token")
        return Principal("custom", "https://id", token) if token == "ann" else None

    def view(request: Any) -> Any:
        clock.advance(0.5)
        return 200, [], b"ok"

    template = "$context.requestId $context.integrationLatency $context.authorizer.latency $context.responseLatency"
    custom = CustomAuthorizer(blocking(ask), identity=[header("x-token")], ttl=0)
    for form in (template, "json"):
        client = site(Observe(access_log=form), Authorize(custom), view=view, clock=clock)
        client.get("/a", headers={"x-token": "ann"})
        client.get("/a", headers={"x-token": "eve"})
    passed, refused, first, second = log.lines
    assert passed.split(" ")[1:] == ["500", "250", "750"]
    assert refused.split(" ")[1:] == ["-", "250", "250"]
    assert (json.loads(first)["app_ms"], json.loads(first)["waits_ms"]) == (500.0, {"authorizer": 250.0})
    assert (json.loads(second)["app_ms"], json.loads(second)["waits_ms"]) == (None, {"authorizer": 250.0})


def test_a_template_of_json_stays_json(site: Any, log: Lines, telemetry: Any) -> None:
    template = (
        '{"id":"$context.requestId","agent":"$context.identity.userAgent","path":"$context.path","trace":"$context.traceId",'
        '"xray":"$context.xrayTraceId","span":"$context.spanId"}'
    )
    site(Observe(access_log=template, **telemetry.options)).get("/a%22%0a%e2%80%a8", headers={"user-agent": '","id":"forged'})
    record = log.record
    assert set(record) == {"id", "agent", "path", "trace", "xray", "span"}
    assert record["agent"] == '","id":"forged'
    assert record["path"] == '/a"\n\u2028'
    assert record["trace"] == f"{telemetry.span.context.trace_id:032x}"
    assert record["xray"] == f"1-{record['trace'][:8]}-{record['trace'][8:]}"
    assert record["span"] == f"{telemetry.span.context.span_id:016x}"


def test_values_of_their_own_in_a_template_of_json(site: Any, log: Lines) -> None:
    """What no quotes stand about is a number, a string or null."""
    bare = ["status", "integrationLatency", "authorizer.latency", "stage", "requestId", "identity.userAgent", "decisions"]
    values = ",".join(f'"{name}":$context.{name}' for name in bare)
    template = f'{{"a \\"quoted\\" name":"$context.stage","\\\\":"[$context.stage]",{values},"last":"$context.status"}}'
    client = site(Observe(access_log=template), Know(), order=[MetricsEmitter, Knower])
    client.get("/a", headers={"x-user": "early", "user-agent": '1,"status":"\nforged'})
    record = log.record
    assert record == {
        'a "quoted" name': "-",
        "\\": "[-]",
        "status": 200,
        "integrationLatency": None,
        "authorizer.latency": None,
        "stage": None,
        "requestId": record["requestId"],
        "identity.userAgent": '1,"status":"\nforged',
        "decisions": "knower:known",
        "last": "200",
    }


def test_nothing_in_a_template_of_json_is_null(site: Any, log: Lines) -> None:
    site(Observe(access_log='{"id":$context.requestId,"d":$context.decisions,"e":"$context.decisions"}')).get("/a")
    assert (log.record["d"], log.record["e"]) == (None, "-")


def test_a_template_of_xml_stays_xml(site: Any, log: Lines) -> None:
    template = '<request id="$context.requestId" path="$context.path" route="$context.routeKey"/>'
    site(Observe(access_log=template)).get("/%3Cx%3E%22&amp;")
    element = ET.fromstring(log.line)
    assert element.get("path") == '/<x>"&amp;'
    assert element.get("route") == "$default"


@pytest.mark.parametrize("quote", ["'", '"'])
def test_nobody_writes_attributes_of_his_own(site: Any, log: Lines, quote: str) -> None:
    template = "<r id=Q$context.requestIdQ path=Q$context.pathQ ua=Q$context.identity.userAgentQ/>".replace("Q", quote)
    agent = f"x{quote} admin={quote}1]]><!--\\&lt;"
    site(Observe(access_log=template)).get("/%0d%0a%09%00%1b%e2%80%a8%f0%9f%98%80", headers={"user-agent": agent})
    element = ET.fromstring(log.line)
    assert set(element.attrib) == {"id", "path", "ua"}
    assert element.get("ua") == agent
    assert (element.get("path") or "").startswith("/\r\n\t\ufffd\ufffd\u2028\U0001f600")
    assert log.line.isascii()
    assert log.line.isprintable()


def test_the_id_of_an_api_key_is_not_its_owner(site: Any, log: Lines) -> None:
    key = "0123456789abcdef0123456789abcdef"
    template = "$context.requestId $context.identity.apiKeyId $context.authorizer.claims.key_id $context.identity.user"
    client = site(Observe(access_log=template), Authorize(ApiKey({key: "ann"})))
    client.get("/a", headers={"x-api-key": key})
    _, found, known, owner = log.line.split(" ")
    assert (found, owner) == (known, "ann")
    assert found not in ("-", "ann")


def test_claims_in_a_template(site: Any, log: Lines) -> None:
    class Claims(Component):
        spec = Know

        def bind(self, plan: Plan) -> Hooks:
            def on_request(exchange: Any) -> None:
                exchange.principal = Principal("jwt", "i", "ann", claims={"plan": "gold", "groups": ["a b"], "token": "s3cret"})

            return Hooks(on_request=on_request)

    template = (
        " ".join(f"$context.authorizer.claims.{name}" for name in ("plan", "groups", "token", "none")) + " $context.requestId"
    )
    site(Observe(access_log=template), Know(), order=[MetricsEmitter, Claims]).get("/")
    assert log.line.startswith("gold [\\x22a b\\x22] REDACTED - ")


def test_claims_in_a_template_of_json(site: Any, log: Lines) -> None:
    class Claims(Component):
        spec = Know

        def bind(self, plan: Plan) -> Hooks:
            def on_request(exchange: Any) -> None:
                claims = {"plan": "gold", "groups": ["a b", f"Bearer {JWT}"], "level": 3, "token": "s3cret"}
                exchange.principal = Principal("jwt", "i", "ann", claims=claims)

            return Hooks(on_request=on_request)

    names = ("plan", "groups", "level", "token", "none")
    values = ",".join(
        f'"{name}":$context.authorizer.claims.{name},"{name}s":"$context.authorizer.claims.{name}"' for name in names
    )
    site(Observe(access_log=f'{{{values},"id":"$context.requestId"}}'), Know(), order=[MetricsEmitter, Claims]).get("/")
    record = log.record
    assert [record[name] for name in names] == ["gold", ["a b", "Bearer REDACTED"], 3, "REDACTED", None]
    assert [record[f"{name}s"] for name in names] == ["gold", '["a b","Bearer REDACTED"]', "3", "REDACTED", "-"]


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("clf", "neither"),
        ("$context.path", "requestId"),
        ("$context.requestId $context.nothing", "no $context.nothing"),
        ("$context.requestId\n", "one line"),
        (7, "neither"),
    ],
)
def test_what_is_no_form(form: Any, says: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Observe(access_log=form)
    assert says in str(raised.value)


# Secrets.

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2VjcmV0c2lnbmF0dXJl"


@pytest.mark.parametrize("form", ["json", "common", "combined", "$context.requestId $context.path $context.identity.userAgent"])
def test_no_secret_is_written(site: Any, log: Lines, form: str) -> None:
    client = site(Observe(access_log=form), routes=[Route("/reset/{token}/for/{user}"), Route("/gifts/{voucher}")])
    client.get(
        f"/reset/s3cret/for/ann?access_token={JWT}",
        headers={
            "authorization": "Bearer s3cret",
            "cookie": "session=s3cret",
            "x-api-key": "s3cret",
            "user-agent": f"bot (Bearer s3cret, {JWT})",
            "referer": f"https://shop.example/?token=s3cret&next={JWT}",
        },
    )
    client.get(f"/files/{JWT}/x")
    for line in log.lines:
        assert "s3cret" not in line
        assert "eyJ" not in line
        assert "REDACTED" in line
    assert "/reset/REDACTED/for/ann" in log.lines[0]


def test_further_secrets(site: Any, log: Lines) -> None:
    client = site(Observe(access_log="json", redact=["Voucher"]), routes=[Route("/gifts/{voucher}")])
    client.get("/gifts/12345")
    assert log.record["path"] == "/gifts/REDACTED"


# The queue.


def test_a_request_writes_nothing_itself(site: Any, log: Lines) -> None:
    client = site(Observe(access_log="json"))
    client.get("/a")
    assert log.written == []
    written = threading.Event()
    log.addFilter(lambda record: written.set() or True)
    client.gateway.runner.run_due()
    assert written.wait(60)
    assert len(log.lines) == 1


def test_closing_writes_what_waits(site: Any, log: Lines) -> None:
    client = site(Observe(access_log="json"))
    client.get("/a")
    if client.protocol == "asgi":
        client.run(client.gateway.aclose())
    else:
        client.gateway.close()
    assert len(log.written) == 1


def test_a_full_queue_drops_and_counts(log: Lines, caplog: pytest.LogCaptureFixture) -> None:
    queue = Queue(limit=2)
    with queue._writing:  # whoever hurries to write them waits
        for _ in range(5):
            queue.put(lambda entry: "line", SimpleNamespace(span=None, request_id="1"))
    assert queue.dropped == 3
    queue.flush()
    assert log.written == ["line", "line"]
    assert "3 records of the access log were dropped" in caplog.text
    queue.flush()
    assert caplog.text.count("were dropped") == 1
    with queue._writing:
        queue.put(lambda entry: "line", SimpleNamespace(span=None, request_id="1"))
        queue.after_fork()
    queue.tick()
    queue.flush()
    assert (queue.dropped, len(log.written)) == (0, 2)


def test_what_can_not_be_written_stops_nothing(log: Lines, caplog: pytest.LogCaptureFixture) -> None:
    queue = Queue()

    def broken(entry: Any) -> str:
        raise ValueError

    for form in (broken, lambda entry: "line"):
        queue.put(form, SimpleNamespace(span=None, request_id="1"))
    queue.flush()
    assert log.written == ["line"]
    assert "could not be written" in caplog.text


def test_a_record_is_part_of_its_trace(site: Any, log: Lines, telemetry: Any) -> None:
    seen: list[int] = []
    log.addFilter(lambda record: seen.append(get_current_span().get_span_context().trace_id) or True)
    answer = site(Observe(access_log="json", **telemetry.options)).get("/a")
    assert log.record["trace_id"] == log.records[0].trace_id == f"{seen[0]:032x}"  # type: ignore[attr-defined]
    assert log.records[0].request_id == answer.headers.get("x-request-id")  # type: ignore[attr-defined]
    assert get_current_span().get_span_context().trace_id == 0


def test_a_burst_is_not_kept_for_the_next_tick(log: Lines) -> None:
    queue = Queue(limit=8)
    written = threading.Semaphore(0)
    log.addFilter(lambda record: written.release() or True)
    for _ in range(4):
        assert log.written == []
        queue.put(lambda entry: "line", SimpleNamespace(span=None, request_id="1"))
    assert all(written.acquire(timeout=60) for _ in range(4))  # all of them: the next test has lines of its own
    queue.flush()


def test_a_tick_while_the_interpreter_ends(log: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(function: Any) -> None:
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    monkeypatch.setattr("gatekeep.components.metrics.access_log_queue.in_thread", ended)
    queue = Queue()
    queue.put(lambda entry: "line", SimpleNamespace(span=None, request_id="1"))
    queue.tick()
    assert log.written == ["line"]
