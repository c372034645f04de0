"""Explanations: who may ask, what is told, and that nobody else pays for it."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import warnings
from typing import Any

import pytest

from components.metrics.companions import Rewrite, Rewriter
from gatekeep import (
    ApiKey,
    Authorize,
    Cache,
    Gateway,
    Observe,
    Principal,
    Quota,
    Route,
    Throttle,
    UsagePlan,
    UsagePlans,
    Validate,
)
from gatekeep.component import Component, Hooks, Plan, Spec
from gatekeep.components import STANDARD
from gatekeep.components.metrics import Explain, Explainer
from gatekeep.effects import Io, either
from gatekeep.errors import ConfigurationError, Forbidden
from gatekeep.message import Response
from gatekeep.sources import header
from gatekeep.testing import FakeClock

OPERATOR = Principal("test", "https://id", "olga", roles=frozenset({"operator"}))
ASKS = {"x-gatekeep-explain": "1"}


class Gate(Spec):
    """Made for tests: does what a header says."""


class Gatekeeper(Component):
    spec = Gate

    def bind(self, plan: Plan) -> Hooks | None:
        def on_request(exchange: Any) -> Any:
            request = exchange.request
            who = request.header("x-who")
            if who == "olga":
                exchange.principal = OPERATOR
            elif who:
                exchange.principal = Principal("test", "https://id", who)
            how = request.header("x-how")
            request.header("authorization")
            if how == "refuse":
                raise Forbidden("", code="not_today")
            if how == "fail":
                raise RuntimeError("no")
            if how == "answer":
                return Response(418, body=b"tea")
            if how == "note":
                exchange.note("gatekeeper", "noted")
            if how == "wait":
                return self._wait(exchange)
            return None

        def on_response(exchange: Any) -> None:
            if exchange.request.header("x-how") == "restate":
                exchange.response.status = 202

        return (
            Hooks(on_request=on_request, on_response=on_response, report=self.services.mode == "report") if plan.specs else None
        )

    def _wait(self, exchange: Any) -> Any:
        yield Io(lambda: None, lambda: asyncio.sleep(0))
        assert exchange.request.header("x-later") is None
        exchange.note("gatekeeper", "waited")


ORDER = [Explainer, *STANDARD[1:], Gatekeeper]
GATE = Gate()


def told(answer: Any) -> Any:
    text = answer.headers.get("x-gatekeep-explain")
    return json.loads(text) if text is not None else None


def steps(answer: Any, component: str = "gatekeeper") -> list[Any]:
    return [step for step in told(answer)["steps"] if step["component"] == component]


@pytest.fixture
def client(site: Any) -> Any:
    return site(Explain(roles={"operator"}), GATE, order=ORDER, clock=FakeClock())


def ask(client: Any, who: str = "olga", how: str | None = None, **headers: str) -> Any:
    return client.get("/a", headers={**ASKS, "x-who": who, **({"x-how": how} if how else {}), **headers})


def test_each_component_its_inputs_its_decision_and_its_line(client: Any) -> None:
    answer = ask(client, how="note", authorization="Bearer s3cret-s3cret")
    record = told(answer)
    assert (record["method"], record["path"], record["route"], record["stage"]) == ("GET", "/a", None, None)
    assert record["request_id"] == answer.headers.get("x-request-id")
    request, response = steps(answer)
    assert (request["phase"], response["phase"]) == ("request", "response")
    assert request["decision"] == "noted, the caller is test 'olga'"
    assert request["inputs"] == {
        "header x-who": "olga",
        "header x-how": "note",
        "header authorization": "REDACTED (20 characters)",
    }
    assert request["specs"] == [f"{GATE.origin} (gateway)"]
    assert request["specs"][0].startswith(f"{__file__}:")
    assert request["microseconds"] > 0
    assert response["decision"] == "passed"
    [app] = [step for step in record["steps"] if step["phase"] == "app"]
    assert app["decision"] == "answered: 200"
    assert app["microseconds"] > 0
    assert "s3cret" not in json.dumps(record)
    assert answer.headers.get("cache-control") == "no-store"


@pytest.mark.parametrize(
    ("how", "decision"),
    [
        (None, "passed"),
        ("refuse", "refused: not_today (403)"),
        ("fail", "failed: RuntimeError"),
        ("answer", "answered: 418"),
        ("wait", "waited"),
    ],
)
def test_decisions(client: Any, how: str | None, decision: str) -> None:
    answer = ask(client, how=how)
    assert steps(answer)[0]["decision"] == f"{decision}, the caller is test 'olga'"
    if how == "wait":
        assert steps(answer)[0]["inputs"]["header x-later"] is None
    if how in ("refuse", "fail", "answer"):
        assert not [step for step in told(answer)["steps"] if step["phase"] == "app"]


def test_a_changed_status(client: Any) -> None:
    assert steps(ask(client, how="restate"))[1]["decision"] == "status 200 to 202"


def test_report_mode_says_so(site: Any) -> None:
    client = site(Explain(roles={"operator"}), Gate(), order=ORDER, mode="report")
    answer = ask(client, how="refuse")
    assert answer.status == 200
    assert steps(answer)[0]["decision"].startswith("refused: not_today (403), reported only")


@pytest.mark.parametrize("who", ["", "eve"])
def test_nobody_else_is_told(client: Any, who: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "gatekeep.explain"):
        answer = ask(client, who=who)
    assert answer.status == 200
    assert told(answer) is None
    assert answer.headers.get("cache-control") is None
    assert caplog.text == ""


def test_who_does_not_ask_is_not_told(client: Any) -> None:
    assert told(client.get("/a", headers={"x-who": "olga"})) is None


def test_off_by_default(site: Any) -> None:
    client = site(Gate(), order=ORDER)
    assert told(ask(client)) is None


def test_the_log_has_it_whole(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "gatekeep.explain"):
        answer = ask(client)
    [record] = [record for record in caplog.records if record.name == "gatekeep.explain"]
    assert json.loads(record.getMessage()) == told(answer)
    assert record.request_id == told(answer)["request_id"]  # type: ignore[attr-defined]


def test_a_long_one_is_cut_in_the_header(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ask(client, authorization="x" * 50).headers.get("x-gatekeep-explain")
    monkeypatch.setattr("gatekeep.components.metrics.explain._LONGEST", len(whole) - 30)
    assert all("inputs" not in step for step in told(ask(client, authorization="x" * 50))["steps"])
    monkeypatch.setattr("gatekeep.components.metrics.explain._LONGEST", 100)
    assert told(ask(client))["steps"] == "3 of them, in the log"


def test_long_and_many_inputs_are_cut(site: Any) -> None:
    class Curious(Gatekeeper):
        def bind(self, plan: Plan) -> Hooks | None:
            def on_request(exchange: Any) -> None:
                exchange.principal = OPERATOR
                exchange.request.header("x-long")
                assert exchange.request.header_lines("x-long") == ["y" * 1000]
                assert len(exchange.request.headers) > 1
                assert exchange.request.query == [("q", "1")]
                assert exchange.request.cookies == {}
                assert exchange.request.peer == "127.0.0.1"
                for number in range(100):
                    exchange.request.header(f"x-{number}")

            return Hooks(on_request=on_request, needs_request_body=True) if plan.specs else None

    client = site(Explain(allow=lambda principal: True), Gate(), order=[Explainer, Curious])
    answer = client.get("/a?q=1", headers={**ASKS, "x-long": "y" * 1000})
    inputs = steps(answer, "curious")[0]["inputs"]
    assert len(inputs) == 32
    assert inputs["header x-long"] == "y" * 200
    assert (inputs["query"], inputs["cookies"], inputs["peer"]) == ("1 parameters", "0 of them", "127.0.0.1")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "nobody is allowed"),
        ({"roles": "operator"}, "is a string"),
        ({"roles": {"a"}, "mode": "report"}, "no meaning"),
    ],
)
def test_mistakes(options: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Explain(**options)


def test_who_is_allowed() -> None:
    assert Explain(scopes={"explain"}).allows(Principal("jwt", scopes=frozenset({"explain"})))
    assert not Explain(scopes={"explain"}).allows(Principal("jwt", scopes=frozenset({"other"})))
    assert Explain(allow=lambda principal: principal.id == "ann").allows(Principal("jwt", id="ann"))
    assert not Explain(allow=lambda principal: True).allows(Principal("anonymous"))


def test_an_allow_that_fails_tells_nothing_and_fails_nothing(site: Any, caplog: pytest.LogCaptureFixture) -> None:
    def allow(principal: Principal) -> bool:
        raise KeyError(principal.id)

    answer = ask(site(Explain(allow=allow), Gate(), order=ORDER))
    assert (answer.status, told(answer)) == (200, None)
    assert "allow= of" in caplog.text


def test_a_rewritten_path_is_one_explanation(site: Any) -> None:
    routes = [Route("/old"), Route("/new", Gate())]
    client = site(
        Explain(roles={"operator"}), Rewrite(), routes=routes, order=[Explainer, Rewriter, Gatekeeper], clock=FakeClock()
    )
    answer = client.get("/old", headers={**ASKS, "x-who": "olga"})
    names = [(step["component"], step["phase"]) for step in told(answer)["steps"]]
    assert names[0] == ("rewriter", "request")
    assert ("gatekeeper", "request") in names
    assert ("gatekeeper", "response") in names


# Without a request of a client's.


def app_for(protocol: str, calls: list[Any]) -> Any:
    def wsgi(environ: Any, start_response: Any) -> Any:
        calls.append(environ)
        start_response("200 OK", [])
        return [b""]

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        calls.append(scope)

    return wsgi if protocol == "wsgi" else asgi


def test_a_dry_run_tells_the_same_and_calls_no_app(protocol: str) -> None:
    calls: list[Any] = []
    gateway = Gateway(
        Observe(),
        Authorize(ApiKey({"k" * 32: "ann"})),
        Throttle("1/minute"),
        Validate(body={"type": "object"}),
        routes=[Route("/orders/{id}", Cache(ttl=10))],
        clock=FakeClock(),
    )
    gateway.wrap(app_for(protocol, calls))
    headers = {"x-api-key": "k" * 32, "content-type": "application/json"}
    refused = gateway.explain("GET /orders/17?page=2")
    assert refused.refused_by is not None
    assert refused.refused_by.component == "authorizer"
    assert refused.refused_by.decision.startswith("refused: ")
    assert refused.refused_by.specs[0].startswith(f"{__file__}:")
    passed = gateway.explain("POST /orders/17", headers=headers, body=b"{}")
    assert passed.refused_by is None
    assert passed.route == "/orders/{id}"
    throttled = gateway.explain("POST /orders/17", headers=headers, body=b"{}")
    assert throttled.refused_by is not None
    assert (throttled.refused_by.component, throttled.refused_by.decision[:18]) == ("throttler", "refused: throttled")
    assert calls == []
    text = str(throttled)
    assert "POST /orders/17 → /orders/{id}" in text
    assert "throttler" in text
    assert "k" * 32 not in text
    assert f"by {__file__}:" in text


def test_a_dry_run_on_a_running_loop() -> None:
    gateway = Gateway(Gate(), order=ORDER)
    gateway.wrap(app_for("asgi", []))
    found = asyncio.run(gateway.aexplain("GET /a", headers=[("x-how", "wait"), ("host", "h")], client=None))
    assert [step.decision for step in found.steps] == ["waited"]


def test_a_dry_run_that_would_stop_a_running_loop() -> None:
    gateway = Gateway(Gate(), order=ORDER)
    gateway.wrap(app_for("asgi", []))

    async def on_loop() -> None:
        gateway.explain("GET /a")

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(RuntimeError, match=r"await gateway\.aexplain"):
            asyncio.run(on_loop())
        gc.collect()
    assert [str(warning.message) for warning in warned if "never awaited" in str(warning.message)] == []


REFUSING = ApiKey({"k" * 32: {"owner": "ann", "scopes": ["orders:read"], "roles": ["clerk"]}})
KEY = {"x-api-key": "k" * 32}


def refusal(protocol: str, *specs: Spec, line: str = "POST /orders/17", **options: Any) -> Any:
    gateway = Gateway(*specs, clock=FakeClock(), routes=[Route("/orders/{id}")])
    gateway.wrap(app_for(protocol, []))
    return gateway.explain(line, **options).refused_by


def test_a_refusal_says_what_its_answer_says(protocol: str) -> None:
    step = refusal(protocol, Authorize(REFUSING))
    assert step.decision == "refused: api_key_missing (401)"
    assert step.reasons == ["The request carries no API key."]


def test_a_refusal_says_which_limit(protocol: str) -> None:
    gateway = Gateway(Throttle("100/s", by="ip", name="many"), Throttle("1/minute", by="ip", name="few"), clock=FakeClock())
    gateway.wrap(app_for(protocol, []))
    assert gateway.explain("GET /").refused_by is None
    step = gateway.explain("GET /").refused_by
    assert step is not None
    assert step.reasons == ['The limit "few" is used up.']


def test_a_refusal_says_where_what_was_sent_does_not_fit_and_not_what_it_was(protocol: str) -> None:
    names = [f"part{number}" for number in range(7)]
    schema = {"type": "object", "properties": {name: {"type": "integer"} for name in names}, "required": names}
    body = json.dumps({name: f"secret-{name}" for name in names}).encode()
    step = refusal(protocol, Validate(body=schema), headers={"content-type": "application/json"}, body=body)
    assert step.decision == "refused: invalid_request (400)"
    assert step.reasons == [
        "The request does not fit what this route takes.",
        *(f"body /{name}: type" for name in names[:5]),
        "and 2 more",
    ]
    step = refusal(protocol, Validate(query={"page": {"type": "integer"}}), line="GET /orders/17?page=s3cret")
    assert step.reasons[1:] == ["query /page: type"]
    step = refusal(protocol, Validate(body=schema), headers={"content-type": "application/json"})
    assert step.reasons[1:] == ["body: required"]


def test_names_that_a_client_made_up_stay_on_their_line(protocol: str) -> None:
    gateway = Gateway(Validate(body={"additionalProperties": {"type": "integer"}}), clock=FakeClock())
    gateway.wrap(app_for(protocol, []))
    body = json.dumps({"a\n\x1b[2Jb": "x"}).encode()
    text = str(gateway.explain("POST /", headers={"content-type": "application/json"}, body=body))
    assert "because: body /a\\n\\x1b[2Jb: type\n" in text


def test_a_refusal_says_what_the_caller_lacks(protocol: str) -> None:
    lacking = Authorize(scopes={"orders:write", "orders:read", "admin"}, roles={"clerk"})
    step = refusal(protocol, Authorize(REFUSING), lacking, headers=KEY)
    assert step.decision.startswith("refused: insufficient_scope (403)")
    assert step.reasons == [
        "The caller lacks a scope that this needs.",
        "the caller lacks the scope admin",
        "the caller lacks the scope orders:write",
    ]
    step = refusal(protocol, Authorize(REFUSING), Authorize(any_scope={"b", "a"}), headers=KEY)
    assert step.reasons[1:] == ["the caller lacks any scope of a, b"]
    step = refusal(protocol, Authorize(REFUSING), Authorize(roles={"boss"}), headers=KEY)
    assert step.reasons == ["The caller lacks a role that this needs.", "the caller lacks the role boss"]
    step = refusal(protocol, Authorize(REFUSING), Authorize(any_role={"boss", "clerk"}, any_scope={"x"}), headers=KEY)
    assert step.reasons[1:] == ["the caller lacks any scope of x"]


def test_what_is_only_reported_is_no_reason(protocol: str) -> None:
    reported = Authorize(scopes={"later"}, mode="report")
    step = refusal(protocol, Authorize(REFUSING), reported, Authorize(scopes={"now"}), headers=KEY)
    assert step.reasons[1:] == ["the caller lacks the scope now"]


def test_reasons_are_in_the_json_and_the_text(protocol: str) -> None:
    gateway = Gateway(Authorize(REFUSING), clock=FakeClock())
    gateway.wrap(app_for(protocol, []))
    found = gateway.explain("GET /")
    [reasons] = [step["reasons"] for step in found.as_dict()["steps"] if step["component"] == "authorizer"]
    assert reasons == ["The request carries no API key."]
    assert "because: The request carries no API key.\n" in str(found)
    assert all(step.reasons == [] for step in gateway.explain("GET /", headers=KEY).steps)


def test_a_credential_in_a_reason_is_not_told(protocol: str) -> None:
    class Talker(Component):
        spec = Gate

        def bind(self, plan: Plan) -> Hooks | None:
            def on_request(exchange: Any) -> Any:
                raise Forbidden("Bearer abc.def is not welcome")

            return Hooks(on_request=on_request)

    gateway = Gateway(Gate(), order=[Talker])
    gateway.wrap(app_for(protocol, []))
    step = gateway.explain("GET /").refused_by
    assert step is not None
    assert step.reasons == ["Bearer REDACTED is not welcome"]


def test_each_throttler_lists_the_limits_of_its_own_phase(protocol: str) -> None:
    early, late, plans = Throttle("9/s", by="ip"), Throttle("9/s"), Quota("9/day")
    gateway = Gateway(early, Authorize(REFUSING), late, plans, clock=FakeClock())
    gateway.wrap(app_for(protocol, []))
    steps = gateway.explain("GET /", headers=KEY).steps
    specs = {step.component: list(step.specs) for step in steps if "throttler" in step.component and step.phase == "request"}
    assert specs == {
        "early_throttler": [f"{early.origin} (gateway)"],
        "throttler": [f"{late.origin} (gateway)", f"{plans.origin} (gateway)"],
    }


def test_usage_plans_are_the_later_throttlers(protocol: str) -> None:
    plans = UsagePlans([UsagePlan("free", throttle="9/s")], default="free")
    gateway = Gateway(Throttle("9/s", by="ip"), Authorize(REFUSING), plans, clock=FakeClock())
    gateway.wrap(app_for(protocol, []))
    steps = gateway.explain("GET /", headers=KEY).steps
    specs = {step.component: list(step.specs) for step in steps if step.phase == "request"}
    assert specs["throttler"] == [f"{plans.origin} (gateway)"]
    assert len(specs["early_throttler"]) == 1


@pytest.mark.parametrize(
    ("request_", "options", "words"),
    [
        (5, {}, "int is no request"),
        (None, {}, "NoneType is no request"),
        (b"GET /", {}, "bytes is no request"),
        ("POST /a", {"body": "text"}, r'body= is bytes, not str: write body="…"\.encode\(\)'),
        ("POST /a", {"body": {"a": 1}}, r"body= is bytes, not dict: write body=json\.dumps\(…\)\.encode\(\)"),
        ("POST /a", {"body": None}, "body= is bytes, not NoneType"),
        ("GET /a", {"headers": "x-a: b"}, "headers= is a mapping or a list of pairs"),
        ("GET /a", {"headers": {"x-a": 5}}, "both of str"),
        ("GET /a", {"headers": ["x-a"]}, "both of str"),
        ("GET /a", {"headers": None}, "headers= is"),
        ("GET /a", {"client": 5}, "client= is an address"),
    ],
)
def test_a_dry_run_of_other_types(protocol: str, request_: Any, options: Any, words: str) -> None:
    gateway = Gateway(Validate(body={}), clock=FakeClock())
    gateway.wrap(app_for(protocol, []))
    with pytest.raises(TypeError, match=words):
        gateway.explain(request_, **options)


@pytest.mark.parametrize(
    ("line", "words"), [("get /x", 'as in "GET /x"'), ("Post /x?a=b", r'as in "POST /x\?a=b"'), ("GET: /x", 'as in "GET /x"')]
)
def test_a_dry_run_of_a_method_that_is_misspelt(protocol: str, line: str, words: str) -> None:
    gateway = Gateway(Gate(), order=ORDER)
    gateway.wrap(app_for(protocol, []))
    with pytest.raises(ValueError, match=words):
        gateway.explain(line)
    assert gateway.explain("X-CUSTOM /x").method == "X-CUSTOM"


@pytest.mark.parametrize("line", ["GET", "/o/7", "", "GET o/7", "GET ?a=/", " /o/7"])
def test_a_dry_run_of_what_is_no_request(protocol: str, line: str) -> None:
    gateway = Gateway(Gate(), order=ORDER)
    gateway.wrap(app_for(protocol, []))
    with pytest.raises(ValueError, match=r'as in "GET /path"'):
        gateway.explain(line)


def test_a_dry_run_of_a_request_that_is_there(protocol: str) -> None:
    from gatekeep.dry_run import request_of

    gateway = Gateway(Gate(), order=ORDER)
    gateway.wrap(app_for(protocol, []))
    request = request_of(protocol, "GET /a", {"x-how": "answer"}, b"", None)  # type: ignore[arg-type]
    assert [step.decision for step in gateway.explain(request).steps] == ["answered: 418"]


@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
def test_a_dry_run_sees_every_line_of_a_field(protocol: str) -> None:
    from gatekeep.dry_run import request_of

    lines = [("X-Forwarded-For", "10.0.0.1"), ("Cookie", "a=1"), ("x-forwarded-for", "10.0.0.2"), ("Content-Type", "text/plain")]
    request = request_of(protocol, "POST /a", lines, b"body", None)  # type: ignore[arg-type]
    assert ",".join(request.header_lines("x-forwarded-for")) == "10.0.0.1,10.0.0.2"
    assert [request.header(name) for name in ("host", "cookie", "content-type", "content-length")] == [
        "localhost", "a=1", "text/plain", "4",
    ]  # fmt: skip


def test_a_dry_run_needs_to_know_the_app() -> None:
    with pytest.raises(ConfigurationError, match="in front of 0 apps"):
        Gateway().explain("GET /")


@pytest.mark.parametrize("waits", [False, True])
def test_a_credential_in_a_field_of_any_name_is_not_told(site: Any, caplog: Any, waits: bool) -> None:
    caplog.set_level(logging.INFO, "gatekeep.explain")
    keys = ApiKey({"0f3b1c9d7e5a4c2b8d6e": "ann"}, sources=[header("x-partner")])

    def is_known(request: Any, principal: Principal) -> bool:
        return True

    async def is_known_later(request: Any, principal: Principal) -> bool:
        await asyncio.sleep(0)
        return True

    condition = either(sync=is_known, asynchronous=is_known_later) if waits else is_known
    client = site(
        Explain(allow=lambda caller: caller.id == "ann"),
        Throttle("100/s", by=lambda request: request.header("x-partner")),  # reads it before anybody knows what it is
        Authorize(keys, when=condition),
        Cache(headers=["x-partner"]),
        clock=FakeClock(),
    )
    answer = client.get("/", headers={**ASKS, "x-partner": "0f3b1c9d7e5a4c2b8d6e"})
    read = [step["inputs"]["header x-partner"] for step in told(answer)["steps"] if "header x-partner" in step["inputs"]]
    assert len(read) >= 3
    assert set(read) == {"REDACTED (20 characters)"}
    assert "0f3b1c9d7e5a4c2b8d6e" not in caplog.text
