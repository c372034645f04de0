"""Who is told of an alarm: functions, a signed webhook, an SNS topic; what fails or hangs hurts nothing and is counted."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import httpx2
import pytest
from moto.server import ThreadedMotoServer
from test_alarms import keeper_of, tick

from gatekeep import Alarm, ConfigurationError, Gateway, blocking, either
from gatekeep.alarms import SNS, AlarmChange, Webhook
from gatekeep.components.metrics.alarms.courier import TIMEOUT, Courier
from gatekeep.testing import FakeClock
from opaque import wsgi_app
from patience import PATIENCE, until, until_on
from servers import free_port, serving

CHANGE = AlarmChange(
    name="checkout",
    level="gateway",
    state="ALARM",
    previous="OK",
    when="5xx rate > 5% for 60 s",
    metric="5xx rate",
    value=0.5,
    threshold=0.05,
    unit="share",
    reason="5xx rate is 50%; > 5% for 60 s",
    at=1_700_000_000.25,
    period=10.0,
    host="shop-1",
    process=42,
)


def raise_alarm(site: Any, notify: Any, clock: FakeClock | None = None) -> Any:
    """A gateway whose alarm has just been raised."""
    clock = clock if clock is not None else FakeClock()
    client = site(Alarm("request count > 0 for 10 s", name="busy", notify=notify), clock=clock)
    tick(client)
    client.get("/a")
    clock.advance(10)
    tick(client)
    assert client.gateway.alarms[0].state == "ALARM"
    return client


def counts(client: Any) -> dict[str, int]:
    """What became of the changes, once nothing is under way."""
    keeper = keeper_of(client)
    until_on(client, lambda: not any(courier._busy for courier in keeper._couriers.values()))
    keeper._finish()
    found: dict[str, int] = {}
    for (_, outcome), count in keeper.notifications().items():
        found[outcome] = found.get(outcome, 0) + count
    return {outcome: count for outcome, count in found.items() if count}


# Functions.


def test_a_function_is_called_off_the_requests_way(site: Any) -> None:
    told: list[Any] = []
    client = raise_alarm(site, lambda change: told.append((change, threading.current_thread().name)))
    assert counts(client) == {"delivered": 1}
    [(change, thread)] = told
    assert thread == "gatekeep-alarms"
    assert str(change) == "ALARM: busy: request count is 1; > 0 for 10 s"


def test_blocking_and_either(site: Any) -> None:
    told: list[str] = []

    async def later(change: Any) -> None:
        await asyncio.sleep(0)
        told.append("async")

    both = either(sync=lambda change: told.append("sync"), asynchronous=later)
    client = raise_alarm(site, [blocking(lambda change: told.append("blocking")), both])
    assert counts(client) == {"delivered": 2}
    assert sorted(told) == sorted(["blocking", "sync" if client.protocol == "wsgi" else "async"])


def test_an_async_function_needs_a_twin_under_wsgi() -> None:
    async def page(change: Any) -> None: ...

    with pytest.raises(ConfigurationError, match=r"test_alarm_notify\.py:\d+: .*page is async, and this app is served over WSGI"):
        Gateway(Alarm("5xx rate > 5% for 60 s", notify=page)).wrap(wsgi_app(lambda request: (200, [], b"")))


@pytest.mark.parametrize("protocol", ["asgi"])
def test_an_async_function_runs_on_the_loop(site: Any) -> None:
    told: list[Any] = []

    async def page(change: Any) -> None:
        await asyncio.sleep(0)
        told.append(asyncio.get_running_loop())

    client = raise_alarm(site, page)
    assert counts(client) == {"delivered": 1}

    async def loop() -> Any:
        return asyncio.get_running_loop()

    assert told == [client.run(loop())]
    # By hand, outside of any loop, it gets one of its own.
    courier = Courier(page, FakeClock(), lambda job: False)
    courier.put(CHANGE)
    courier.close(PATIENCE)
    assert courier.counts["delivered"] == 1


@pytest.mark.parametrize("protocol", ["asgi"])
def test_an_async_function_that_fails_hangs_or_is_cancelled(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatekeep.components.metrics.alarms.courier.TIMEOUT", 0.02)

    async def fail(change: Any) -> None:
        raise LookupError("nobody there")

    async def hang(change: Any) -> None:
        await asyncio.Event().wait()

    client = raise_alarm(site, [fail, hang])
    assert counts(client) == {"failed": 2}

    monkeypatch.setattr("gatekeep.components.metrics.alarms.courier.TIMEOUT", 60)
    other = raise_alarm(site, hang)
    other.run(other.gateway.runner.aclose(0.01))
    assert counts(other)["dropped"] == 1


def test_a_closed_runner_takes_nothing_more() -> None:
    async def page(change: Any) -> None: ...

    async def main() -> Courier:
        courier = Courier(page, FakeClock(), lambda job: False)
        courier.put(CHANGE)
        return courier

    courier = asyncio.run(main())
    assert courier.counts == {"delivered": 0, "failed": 0, "dropped": 1}


def test_a_function_that_raises(site: Any, caplog: pytest.LogCaptureFixture) -> None:
    def page(change: Any) -> None:
        raise LookupError("nobody there")

    client = raise_alarm(site, page)
    assert counts(client) == {"failed": 1}
    assert "page was not told of ALARM: busy: request count is 1; > 0 for 10 s: LookupError: nobody there" in caplog.text
    assert client.get("/a").status == 200


def test_a_function_that_hangs(site: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Requests go on, other notifiers are told, the gateway closes; it is counted once, and not again when it returns."""
    release, entered, told = threading.Event(), threading.Event(), []

    def hang(change: Any) -> None:
        entered.set()
        release.wait(60)

    clock = FakeClock()
    client = raise_alarm(site, [hang, told.append], clock)
    assert entered.wait(60)
    assert client.get("/a").status == 200
    clock.advance(TIMEOUT)
    tick(client)
    courier = next(courier for courier in keeper_of(client)._couriers.values() if "hang" in courier.name)
    assert courier.counts == {"delivered": 0, "failed": 1, "dropped": 0}
    assert "hang has not returned for 60 s" in caplog.text
    tick(client)
    courier.close(0)  # it is not waited for
    assert len(courier._queue) == 1  # that it is over waits, too
    for _ in range(104):
        courier.put(CHANGE)
    assert courier.counts["dropped"] == 5
    release.set()
    courier.close(PATIENCE)
    assert courier.counts == {"delivered": 100, "failed": 1, "dropped": 5}
    until(lambda: len(told) >= 1)
    courier.after_fork()
    assert courier.counts["delivered"] == 0


def test_an_interpreter_that_ends_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: Any) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    courier = Courier(print, FakeClock(), lambda job: False)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    courier.put(CHANGE)
    assert courier.counts["dropped"] == 1


# A webhook.


class Receiver(ThreadingHTTPServer):
    """Answers with each status in turn, the last again and again."""

    daemon_threads = True

    def __init__(self, *statuses: int, retry_after: str | None = None) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.statuses = list(statuses)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                status = receiver.statuses.pop(0) if len(receiver.statuses) > 1 else receiver.statuses[0]
                self.send_response(status)
                if retry_after is not None:
                    self.send_header("retry-after", retry_after)
                if status in (301, 307):
                    self.send_header("location", "/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Quiet."""

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hook"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def receivers() -> Iterator[Any]:
    made: list[Receiver] = []

    def make(*statuses: int, **options: Any) -> Receiver:
        made.append(Receiver(*statuses, **options))
        return made[-1]

    yield make
    for receiver in made:
        receiver.shutdown()
        receiver.server_close()


SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def test_a_webhook_is_signed_as_standard_webhooks_say(site: Any, receivers: Any) -> None:
    receiver = receivers(204)
    client = raise_alarm(site, Webhook(receiver.url, secret=SECRET, headers={"authorization": "Bearer ops"}))
    assert counts(client) == {"delivered": 1}
    [(fields, body)] = receiver.got
    message = json.loads(body)
    assert message["type"] == "gatekeep.alarm"
    assert message["timestamp"] == "2001-09-09T01:46:50.000Z"
    assert (message["data"]["name"], message["data"]["state"], message["data"]["value"]) == ("busy", "ALARM", 1.0)
    assert (fields["content-type"], fields["authorization"]) == ("application/json", "Bearer ops")
    signed = f"{fields['webhook-id']}.{fields['webhook-timestamp']}.".encode() + body
    assert fields["webhook-signature"] == "v1," + base64.b64encode(hmac.digest(b"k" * 32, signed, hashlib.sha256)).decode()
    assert int(fields["webhook-timestamp"]) > 1_700_000_000  # real time, which receivers compare with theirs


def test_a_known_signature() -> None:
    """The example of the specification."""
    webhook = Webhook("https://ops.example", secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    digest = hmac.digest(webhook.key or b"", b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330." + body, hashlib.sha256)
    assert base64.b64encode(digest).decode() == "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_webhook_is_tried_again_with_the_same_id(receivers: Any) -> None:
    receiver = receivers(503, 429, 200, retry_after="0")
    Webhook(receiver.url, secret=b"k" * 24, pauses=(0, 0, 0)).send(CHANGE, threading.Event())
    assert len(receiver.got) == 3
    assert len({fields["webhook-id"] for fields, _ in receiver.got}) == 1


@pytest.mark.parametrize("status", [200, 500])
def test_the_url_of_a_webhook_is_in_no_log(receivers: Any, caplog: pytest.LogCaptureFixture, status: int) -> None:
    caplog.set_level(logging.DEBUG)
    receiver = receivers(status)
    courier = Courier(Webhook(receiver.url, pauses=()), FakeClock(), lambda job: False)
    courier.put(CHANGE)
    courier.close(PATIENCE)
    assert receiver.got
    assert "/hook" not in caplog.text
    httpx2.post(receiver.url, content=b"{}", trust_env=False)  # of the app's own
    assert f"POST {receiver.url}" in caplog.text


def test_a_webhook_gives_up(receivers: Any) -> None:
    receiver = receivers(500)
    with pytest.raises(Exception, match=r"webhook 127\.0\.0\.1: answered 500"):
        Webhook(receiver.url, pauses=(0, 0)).send(CHANGE, threading.Event())
    assert len(receiver.got) == 3
    assert "webhook-signature" not in receiver.got[0][0]


@pytest.mark.parametrize("status", [400, 401, 307, 410])
def test_a_refusal_and_a_redirect_are_final(receivers: Any, status: int) -> None:
    receiver = receivers(status)
    with pytest.raises(Exception, match=f"answered {status}"):
        Webhook(receiver.url, pauses=(0, 0)).send(CHANGE, threading.Event())
    assert len(receiver.got) == 1


def test_nobody_there_and_a_gateway_that_closes(receivers: Any) -> None:
    receiver = receivers(503, retry_after="9999")
    stop = threading.Event()
    stop.set()
    with pytest.raises(Exception, match="answered 503"):
        Webhook(receiver.url).send(CHANGE, stop)  # does not wait a minute
    assert len(receiver.got) == 1
    receiver.shutdown()
    receiver.server_close()
    with pytest.raises(Exception, match="ConnectError"):
        Webhook(receiver.url, pauses=(0,)).send(CHANGE, threading.Event())


def test_a_retry_after_is_waited_for_up_to_a_minute(receivers: Any) -> None:
    receiver = receivers(503, 200, retry_after="9999")
    pauses: list[float] = []

    class Clock(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0.0)
            return False

    Webhook(receiver.url).send(CHANGE, Clock())
    assert pauses == [60.0]


SHOP = """
from gatekeep import Alarm, Gateway
from gatekeep.alarms import Webhook

def app(environ, start_response):
    start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
    return [b"out of order"]

gateway = Gateway(Alarm("5xx rate > 50% for 1 s", name="shop", notify=Webhook("{url}")))
app = gateway.wrap(app)
"""


def test_each_worker_of_a_real_server_tells_for_itself(receivers: Any, tmp_path: Path) -> None:
    """Loaded before the fork: the runner, the periods and the couriers are each worker's own."""
    receiver = receivers(204)
    (tmp_path / "shop.py").write_text(SHOP.replace("{url}", receiver.url))
    port = free_port()
    command = ("gunicorn", "--preload", "-w", "2", "--threads", "1", "-b", f"127.0.0.1:{port}", "shop:app")
    with serving(*command, port=port, cwd=tmp_path):
        deadline = time.monotonic() + 60
        while len({json.loads(body)["data"]["process"] for _, body in receiver.got}) < 2:
            with pytest.raises(urllib.error.HTTPError) as failed:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/")
            failed.value.close()
            assert time.monotonic() < deadline, receiver.got
            time.sleep(0.02)
    told = [json.loads(body)["data"] for _, body in receiver.got]
    assert {(each["name"], each["state"], each["value"]) for each in told if each["state"] == "ALARM"} == {("shop", "ALARM", 1.0)}
    assert all(each["process"] != os.getpid() for each in told)


# An SNS topic.


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def topic(aws: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make a topic; gives its ARN, and what reads the messages that a queue got from it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    sns, sqs = (boto3.client(name, region_name="eu-west-1", endpoint_url=aws) for name in ("sns", "sqs"))

    def make(name: str) -> tuple[str, Any]:
        attributes = {"FifoTopic": "true", "ContentBasedDeduplication": "false"} if name.endswith(".fifo") else {}
        arn = sns.create_topic(Name=name, Attributes=attributes)["TopicArn"]
        fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        queue = sqs.create_queue(QueueName=name, Attributes=fifo)["QueueUrl"]
        queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn)

        def read() -> list[dict[str, Any]]:
            found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
            return [json.loads(message["Body"]) for message in found]

        return arn, read

    yield make
    for client in (sns, sqs):
        client.close()


def test_a_topic_gets_what_cloudwatch_would_say(site: Any, aws: str, topic: Any) -> None:
    arn, read = topic(f"alarms-{id(site)}")
    client = raise_alarm(site, SNS(arn, endpoint_url=aws))
    assert counts(client) == {"delivered": 1}
    [envelope] = read()
    assert envelope["Subject"] == 'ALARM: "busy" in eu-west-1'
    message = json.loads(envelope["Message"])
    assert (message["AlarmName"], message["NewStateValue"], message["OldStateValue"]) == ("busy", "ALARM", "INSUFFICIENT_DATA")
    assert message["StateChangeTime"] == "2001-09-09T01:46:50.000+0000"
    assert message["Region"] == "eu-west-1"
    assert message["Trigger"]["Threshold"] == 0


def test_a_fifo_topic_and_a_name_that_is_no_ascii(aws: str, topic: Any) -> None:
    arn, read = topic("ordered.fifo")
    sns = SNS(arn, endpoint_url=aws)
    from dataclasses import replace

    sns.send(replace(CHANGE, name="Bestellungen für Ähren\n" + "x" * 200))
    [envelope] = read()
    assert envelope["Subject"].startswith('ALARM: "Bestellungen f?r ?hren?xxx')
    assert len(envelope["Subject"]) == 100
    sns.after_fork()
    assert sns._client is None


def test_a_client_of_ones_own(aws: str, topic: Any) -> None:
    arn, read = topic("own")
    client = boto3.client("sns", region_name="eu-west-1", endpoint_url=aws)
    SNS(arn, client=client).send(CHANGE)
    assert len(read()) == 1
    client.close()


def test_a_topic_that_is_not_there(site: Any, aws: str, topic: Any, caplog: pytest.LogCaptureFixture) -> None:
    client = raise_alarm(site, SNS("arn:aws:sns:eu-west-1:123456789012:gone", endpoint_url=aws))
    assert counts(client) == {"failed": 1}
    assert "topic gone was not told" in caplog.text


def test_sns_needs_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ConfigurationError, match=r"gatekeep\[aws\]"):
        SNS("arn:aws:sns:eu-west-1:123456789012:alarms")


def test_a_gateway_that_closes_waits_for_no_thread_that_is_just_being_started(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[AlarmChange] = []
    courier, start = Courier(told.append, FakeClock(), lambda job: False), threading.Thread.start

    def closing(thread: threading.Thread) -> None:
        courier.close(0.0)  # as another thread
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", closing)
    courier.put(CHANGE)
    courier.close(PATIENCE)
    assert told == [CHANGE]


def test_an_alarm_that_comes_late_disturbs_neither_a_tick_nor_the_end(site: Any) -> None:
    keeper = keeper_of(raise_alarm(site, print))

    class Late:
        def look(self) -> None:
            keeper._couriers[len(keeper._couriers)] = Late()  # as another thread that compiles a route
            keeper._providers[len(keeper._providers)] = self

        def close(self, grace: float) -> None:
            self.look()

        def instruments(self) -> None:
            self.look()

    keeper._couriers, keeper._providers = {0: Late()}, {}
    keeper.tick()
    keeper.tick()
    keeper._finish()
    assert len(keeper._couriers) > 4
    keeper._couriers = {}
