"""Items: lists and streams of JSON lines, mapped and redacted one by one; bodies in the log."""

from __future__ import annotations

import json
import logging

import pytest

from gatekeep import Validate
from gatekeep.components.transformer import Transform, log_body, map_body, map_items, redact, set_header, vtl
from gatekeep.components.transformer.items import MappedLines
from gatekeep.components.transformer.way_out import _pass_through
from gatekeep.effects import blocking
from gatekeep.errors import ConfigurationError
from gatekeep.message import Response

JSON = [("content-type", "application/json")]
LINES = [("content-type", "application/x-ndjson; charset=utf-8"), ("etag", '"1"')]
ROWS = [{"id": 1, "card": 5, "in": {"card": 6}}, {"id": 2}, [{"card": 7}]]
STREAM = [b'{"id":1,"card":5,"in":{"car', b'd":6}}\n\n{"id":2}\n[{"card":7}]', b"\n"]


def lines_of(answer):
    return [json.loads(line) for line in answer.body.splitlines()]


def test_lines_are_redacted_one_by_one(site):
    answer = site(Transform(response=[redact("**.card", mask="*")]), view=lambda request: (200, LINES, iter(STREAM))).get("/")
    assert lines_of(answer) == [{"id": 1, "card": "*", "in": {"card": "*"}}, {"id": 2}, [{"card": "*"}]]
    assert answer.headers.get("etag") is None


def test_lines_and_lists_are_mapped_item_by_item(site):
    spec = Transform(
        response=[map_items({"n": "${body.id}"}), map_items(lambda item, exchange: {**item, "by": exchange.request.method})]
    )
    wanted = [{"n": 1, "by": "GET"}, {"n": 2, "by": "GET"}, {"by": "GET"}]
    assert lines_of(site(spec, view=lambda request: (200, LINES, iter(STREAM))).get("/")) == wanted
    body = json.dumps(ROWS).encode()
    assert site(spec, view=lambda request: (200, JSON, body)).get("/").json() == wanted
    assert site(spec, view=lambda request: (200, JSON, b'{"id": 3}')).get("/").json() == {"n": 3, "by": "GET"}


def test_items_of_a_request(site):
    got = []

    def view(request):
        got.append(request.body)
        return 200, [], b"ok"

    client = site(Transform(request=[map_items({"n": "${body.id}"})], accepts=["ndjson", "json"]), view=view)
    client.post("/", headers={"content-type": "application/x-ndjson"}, body=b"".join(STREAM))
    assert json.loads(got[0]) == [{"n": 1}, {"n": 2}, {}]


def test_lines_become_an_array_after_that(site):
    spec = Transform(response=[redact("**.card")], offers=["json", "ndjson"])
    answer = site(spec, view=lambda request: (200, LINES, iter(STREAM))).get("/", headers={"accept": "application/json"})
    assert answer.json() == [{"id": 1, "in": {}}, {"id": 2}, [{}]]


def test_map_body_leaves_lines_alone(site):
    answer = site(Transform(response=[map_body({"a": "$body"})]), view=lambda request: (200, LINES, iter(STREAM))).get("/")
    assert (answer.body, answer.headers.get("etag")) == (b"".join(STREAM), '"1"')


def test_lines_of_errors(site):
    spec = Transform(response=[redact("card"), map_items({"n": "${body.id}"})])
    assert lines_of(site(spec, view=lambda request: (500, LINES, b'{"id":1,"card":2}')).get("/")) == [{"id": 1}]


def test_compressed_lines_do_not_leave_unredacted(site):
    spec = Transform(response=[redact("card")])
    answer = site(spec, view=lambda request: (200, [*LINES, ("content-encoding", "gzip")], b"x")).get("/")
    assert answer.status == 500


def test_lines_that_somebody_has_asked_for_as_a_whole():
    response = Response(200, [("content-type", "application/x-ndjson"), ("etag", "x")], b'{"a":1}\n2\n')
    _pass_through(response, MappedLines(lambda value: [value]))
    assert response.body == b'[{"a":1}]\n[2]\n'
    assert (response.headers.get("content-length"), response.headers.get("etag")) == ("14", None)


def test_lines_beside_a_check_of_answers(site):
    spec = Transform(response=[redact("**.card")], offers=["json", "ndjson"])
    checked = Validate(response={"type": "object"}, answers="report")
    client = site(checked, spec, view=lambda request: (200, LINES, b'{"card":1,"id":2}\n'))
    assert client.get("/", headers={"accept": "application/x-ndjson"}).body == b'{"id":2}\n'
    assert client.get("/", headers={"accept": "application/json"}).json() == [{"id": 2}]


def test_nothing_waits_for_the_end():
    lines = MappedLines(lambda value: {"got": value})
    assert lines.feed(b"1\n2") == b'{"got":1}\n'
    assert lines.feed(b"3\n") == b'{"got":23}\n'
    assert lines.feed(b"4") == b""
    assert lines.end() == b'{"got":4}\n'


def test_a_line_is_bounded_whatever_its_chunks():
    lines = MappedLines(lambda value: value)
    for _ in range(10):
        assert lines.feed(b"1" * 100_000) == b""
    with pytest.raises(ValueError, match="longer than"):
        lines.feed(b"1")


async def waits(item, exchange):
    return item


@pytest.mark.parametrize("mapping", [blocking(lambda item, exchange: item), waits])
def test_items_can_not_wait(mapping):
    with pytest.raises(ConfigurationError, match="can't wait"):
        Transform(response=[map_items(mapping)])


# Bodies in the log.


def logged(caplog):
    return [record.getMessage().partition(" ")[2] for record in caplog.records if record.name == "gatekeep.bodies"]


def test_bodies_are_logged_redacted_and_passed_on_as_they_are(site, caplog):
    caplog.set_level(logging.INFO, "gatekeep.bodies")
    got = []

    def view(request):
        got.append(request.body)
        return 201, JSON, b'{ "token": "t", "name": "x" }'

    spec = Transform(request=[log_body("card.number", "**.password")], response=[log_body("token", mask=None)])
    sent = b'{"card": {"number": 1}, "a": [{"password": "p"}], "b": "x\xc2\x85\x7f\\u2028\\n"}'
    answer = site(spec, view=view).post("/", headers=dict(JSON), body=sent)
    assert (got, answer.body) == ([sent], b'{ "token": "t", "name": "x" }')
    assert logged(caplog) == [
        r'request: {"card":{"number":"REDACTED"},"a":[{"password":"REDACTED"}],"b":"x\u0085\u007f\u2028\n"}',
        'response: {"name":"x"}',
    ]


@pytest.mark.parametrize(("kind", "body"), [("text/plain", b"x"), ("application/json", b"{"), ("application/json", b"")])
def test_a_body_that_is_no_json_is_neither_logged_nor_refused(site, caplog, kind, body):
    caplog.set_level(logging.INFO, "gatekeep.bodies")
    assert site(Transform(request=[log_body()])).post("/", headers={"content-type": kind}, body=body).status == 200
    assert logged(caplog) == []


@pytest.mark.parametrize("others", [(), (set_header("x-a", "b"),), (map_body(vtl("$input.body")),)])
def test_an_answer_that_is_no_json_passes_and_the_log_says_so(site, caplog, others):
    caplog.set_level(logging.INFO, "gatekeep.bodies")
    spec = Transform(response=[log_body("card"), *others])
    answer = site(spec, view=lambda request: (200, JSON, b'{"card": 1')).get("/")
    assert (answer.status, answer.body) == (200, b'{"card": 1')
    [line] = logged(caplog)
    assert line.startswith("response: no JSON of 10 bytes, which ")
    assert "card" not in line


@pytest.mark.parametrize("others", [(), (map_body(vtl("$input.body")),)])
def test_what_an_expression_reads_must_be_json_logged_or_not(site, caplog, others):
    spec = Transform(response=[log_body(), set_header("x-a", "${response.body.a}"), *others])
    assert site(spec, view=lambda request: (200, JSON, b"{")).get("/").status == 500


def test_nothing_is_done_where_nobody_listens(site, caplog):
    caplog.set_level(logging.WARNING, "gatekeep.bodies")
    assert site(Transform(request=[log_body()])).post("/", headers=dict(JSON), body=b"{}").status == 200
    assert logged(caplog) == []


def test_a_long_body_is_cut(site, caplog):
    caplog.set_level(logging.INFO, "gatekeep.bodies")
    site(Transform(request=[log_body()])).post("/", headers=dict(JSON), body=json.dumps("x" * 50_000).encode())
    assert len(logged(caplog)[0]) < 10_100
    assert logged(caplog)[0].endswith("(50002 characters)")


def test_a_log_has_paths_that_are_paths():
    with pytest.raises(ConfigurationError, match=r"log_body: .*is not a path"):
        Transform(request=[log_body("a..b")])
