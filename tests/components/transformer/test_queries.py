"""JMESPath and JSONPath in expressions: what they find, what they may read, what they may cost."""

from __future__ import annotations

import gzip
import json
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeep import Route, Validate
from gatekeep.components.transformer import Transform, add_header, map_body, parameter_mapping, rewrite_path, set_header
from gatekeep.components.transformer.expression import Facts
from gatekeep.components.transformer.queries import MISSING, BadExpression, jmespath_source
from gatekeep.components.transformer.templates import json_template, pieces
from gatekeep.errors import ConfigurationError
from pace import allowed

JSON = {"content-type": "application/json"}
ORDER = {
    "items": [{"sku": "pen", "qty": 3, "price": 2.5}, {"sku": "ink", "qty": 1, "price": 7}],
    "note": None,
    "a b": 1,
    "k}": {"x": 2},
}


@pytest.fixture
def mapped(site):
    """What the app gets of a body by a template, or the refusal."""

    def mapped(template, body=ORDER, headers=JSON, target="/o/7?q=1&q=2", spec=None):
        got = []

        def view(request):
            got.append(json.loads(request.body))
            return 200, [], b"ok"

        client = site(routes=[Route("/o/{id}", spec or Transform(request=[map_body(template)]))], view=view)
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = client.post(target, headers=headers, body=sent)
        return got[0] if got else answer

    return mapped


@pytest.mark.parametrize(
    ("template", "result"),
    [
        ("${body.items[0].sku}", "pen"),
        ("${body.items[-1].sku}", "ink"),
        ("${body.items[9].sku}", None),
        ("${body.items[*].sku}", ["pen", "ink"]),
        ("${body.items[?qty > `1`].sku | [0]}", "pen"),
        ("${length(body.items)}", 2),
        ("${sum(body.items[].qty)}", 4),
        ("${join(', ', body.items[].sku)}", "pen, ink"),
        ("${sort_by(body.items, &price)[-1].sku}", "ink"),
        ("${max_by(body.items, &price).price}", 7),
        ("${body.items[].{name: sku, cost: price}}", [{"name": "pen", "cost": 2.5}, {"name": "ink", "cost": 7}]),
        ("${body.items[0].[sku, qty]}", ["pen", 3]),
        ('${body."a b"}', 1),
        ('${body."k}".x}', 2),
        ("${body.note || 'none'}", "none"),
        ("${body.items[0:1][].sku}", ["pen"]),
        ('${not_null(body.note, request.header."x-absent", path.id)}', "7"),
        ('${request.header."content-type"}', "application/json"),
        (
            "${{by: path.id, all: request.queries.q, one: request.query.q, type: request.method}}",
            {"by": "7", "all": "1,2", "one": "2", "type": "POST"},
        ),
        ("${!(body.note) && `true`}", True),
        ("${request.body.items[1].qty}", 1),
        ("${[body][0].items[0].sku}", "pen"),
        ("${to_string(body.items[0].qty)}", "3"),
        ("${keys(body.items[0])}", ["sku", "qty", "price"]),
        ("n: ${length(body.items)}, ${body.items[0].sku}", "n: 2, pen"),
        # JSONPath.
        ("${$.items[0].sku}", "pen"),
        ("${$.items[*].sku}", ["pen", "ink"]),
        ("${$..price}", [2.5, 7]),
        ("${$.items[?(@.qty > 1)].sku}", ["pen"]),
        ("${body$.items[0].sku}", "pen"),
        ("${request.body$.items.length()}", 2),
        ("${$['k}'].x}", 2),
        ("${$.note}", None),
        ("${$}", ORDER),
        # Names, as before.
        ("${body.items.0.sku}", "pen"),
        ("$${length(body.items)} is ${length(body.items)}", "${length(body.items)} is 2"),
        ("$$${body.items.0.qty}", "$${body.items.0.qty}"),
    ],
)
def test_leaves(mapped, template, result):
    assert mapped({"it": template}) == ({} if result is None and template != "${$.note}" else {"it": result})


@pytest.mark.parametrize(
    ("template", "result"),
    [
        ("${request.body[0].a}", 1),
        ("${request.body[1:][].a}", [2, 3]),
        ("${request.body[?a > `1`].a}", [2, 3]),
        ("${request.body[*].a}", [1, 2, 3]),
        ("${request.body[].a | [-1]}", 3),
        ("${body[0].a}", 1),
        ("${body[-2:].a}", [2, 3]),
        ("${length(request.body)}", 3),
    ],
)
def test_a_list_at_the_root(mapped, template, result):
    assert mapped({"it": template}, [{"a": 1}, {"a": 2}, {"a": 3}]) == {"it": result}


def test_a_claim_may_have_any_name(site):
    spec = Transform(request=[set_header("x-a", "${principal.claims.https://example.com/roles}")])
    assert spec.reads_principal
    assert site(spec).get("/").status == 200


def test_null_and_missing_are_one_to_jmespath_and_two_to_jsonpath(mapped):
    assert mapped({"a": "${$.note}", "b": "${body.items[0].none}", "c": "${$.none}", "d": "${body.note || body.note}"}) == {
        "a": None
    }


def test_headers_by_queries(site):
    spec = Transform(
        request=[set_header("x-count", "${length(request.body.items)}"), add_header("x-first", "${request.body$.items[0].sku}")],
        response=[set_header("x-total", "${sum(response.body.items[].qty)}")],
    )
    got = []

    def view(request):
        got.append(request.headers)
        return 200, list(JSON.items()), json.dumps(ORDER).encode()

    answer = site(spec, view=view).post("/", headers=JSON, body=json.dumps(ORDER).encode())
    assert (got[0].get("x-count"), got[0].get("x-first"), answer.headers.get("x-total")) == ("2", "pen", "4")


def test_a_body_that_is_no_json_is_missing_to_a_query(site):
    got = []

    def view(request):
        got.append(request.headers.get("x-a"))
        return 200, [], b"ok"

    client = site(Transform(request=[set_header("x-a", "${request.body$.x}")]), view=view)
    assert client.post("/", headers={"content-type": "text/plain", "x-a": "forged"}, body=b'{"x": 1}').status == 200
    assert got == [None]


def test_what_a_query_reads_is_known():
    facts = Facts("response")
    jmespath = '${{a: request.header."x-tenant" || request.cookie.c, b: request.host}}'
    facts.body = True
    json_template(jmespath, facts)
    assert facts.headers == {"x-tenant", "cookie", "host"}
    assert not facts.personal
    json_template("${not_null(body.x, principal.claims.org.id)}", facts)
    assert facts.personal
    json_template("${length(response.body.items)}", facts)
    assert facts.reads_bodies == {"response"}
    assert not facts.single_use
    json_template("${join('-', [request_id, client])}", facts)
    assert facts.single_use


def test_answers_vary_by_what_a_query_reads(site):
    spec = Transform(response=[set_header("x-a", "${request.header.\"x-tenant\" || 'none'}")])
    answer = site(spec).get("/")
    assert (answer.headers.get("x-a"), answer.headers.get("vary")) == ("none", "x-tenant")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("${items[0]}", "items is nothing that there is"),
        ("${body.items[0] || princpal.id}", "princpal.id is nothing"),
        ("${length(principal)}", "principal is nothing"),
        ("${request.header[0]}", "request.header is nothing"),
        ("${@}", "does not begin with"),
        ("${[0]}", "does not begin with"),
        ("${*}", "does not begin with"),
        ("${length(@)}", "does not begin with"),
        ("${@.body.x}", "does not begin with"),
        ("${body[}", "no JMESPath"),
        ("${body.items[?}", "no JMESPath"),
        ("${response.body.x[0]}", "no response yet"),
        ("${$.}", "not a JSONPath"),
        ("${$.a[?(@.b =~ /x/)]}", "not a JSONPath"),
        ("${response.body$.x}", "no response yet"),
        ("${other$.x}", "no expression"),
        ("${" + "!" * 2000 + "body.x}", "nested too deeply"),
        ("${" + "!" * 150 + "body.x}", "nested too deeply"),
        ("${body." + "a" * 5000 + "[0]}", "at most 4096"),
        ("${body.x['}", "does not close"),
    ],
)
def test_mistakes(text, reason):
    with pytest.raises(ConfigurationError, match=reason):
        Transform(request=[map_body(text)])


def test_without_jmespath_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "jmespath", None)
    with pytest.raises(ConfigurationError, match=r'pip install "gatekeep\[formats\]"'):
        Transform(request=[map_body("${length(body)}")])
    Transform(request=[map_body("${body.a.0}")])


@pytest.mark.parametrize(
    ("template", "body"),
    [
        ("${length(body.n)}", {"n": 5}),
        ("${ceil(to_number(body.n))}", {"n": "inf"}),
        ("${to_number(body.n)}", {"n": "nan"}),
        ("${to_number(body.n)}", {"n": "1" * 5000}),
        ("${contains(body.n, `1`)}", {"n": "text"}),
        ("${sum(body.n)}", {"n": [1, "x"]}),
        ("${sum(body.n)}", {"n": [1e308, 1e308]}),
        ("${sort(body.n)}", {"n": [1, "x"]}),
        ("${$..*..*..*}", {"n": [[[[1] * 20] * 20] * 20]}),
    ],
)
def test_a_value_that_does_not_fit_is_the_clients_mistake(mapped, template, body):
    answer = mapped(template, body)
    assert (answer.status, answer.json()["code"]) == (400, "invalid_request")


def test_an_answer_that_does_not_fit_is_not(site):
    body = b'{"n": 5}'
    for operation in (map_body("${length(body.n)}"), set_header("x-a", "${length(response.body.n)}")):
        answer = site(Transform(response=[operation]), view=lambda request: (200, list(JSON.items()), body)).get("/")
        assert (answer.status, answer.json()["code"]) == (500, "internal_error")


@pytest.mark.parametrize(
    ("template", "body"),
    [
        ("${body." + "[@,@][]|" * 40 + "[0]}", {"x": 1}),
        ("${body[]." + "[@,@][] | " * 30 + "length(@)}", [1] * 1000),
        ("${$..*..*..*}", [[[[1] * 50] * 50]]),
        ("${body" + "[*]" * 2 + ".[@,@,@,@,@,@,@,@]}", [["x" * 1000] * 300] * 300),
        ("${$..*}", json.loads("[" * 60 + '"' + "x" * 900_000 + '"' + "]" * 60)),
        ("${body[?contains(to_string(@), 'y')]}", [1] * 99_000),
        ("${sort_by(body, &to_string(@))[0]}", ["z"] * 99_000),
    ],
)
def test_what_a_query_costs_is_bounded(template, body):
    facts = Facts("request", body=True)
    read = json_template(template, facts)
    began = time.process_time()
    try:
        read(None, body)
    except BadExpression:
        pass
    limit = 1 if sys.gettrace() is None else 4  # what measures coverage takes its own share
    assert allowed(limit, time.process_time() - began)


def test_a_query_reaches_nothing_of_python():
    read = jmespath_source('body.__class__ || body.keys || body."__init__"', lambda _: (1, lambda _exchange, body: body))
    assert read(None, {"a": 1}) is MISSING
    assert read(None, {"__class__": "mine"}) == "mine"


@given(st.text(alphabet="${}'\"`\\ab.", max_size=20))
def test_a_text_is_split_and_nothing_is_lost(text):
    try:
        found = list(pieces(text))
    except ValueError:
        return
    rebuilt = "".join(f"${{{piece}}}" if is_expression else piece for is_expression, piece in found)
    assert rebuilt.replace(" ", "") == text.replace("$${", "${").replace(" ", "")


def test_a_query_can_stand_in_a_path_and_adds_no_segment(site):
    seen = []

    def view(request):
        seen.append(request.path)
        return 200, [], b"ok"

    client = site(routes=[Route("/a", Transform(request=[rewrite_path("/b/${request.query.to || 'none'}")]))], view=view)
    assert client.get("/a").status == 200
    assert client.get("/a?to=x").status == 200
    assert client.get("/a?to=x/y").status == 400
    assert seen == ["/b/none", "/b/x"]


def test_a_path_parameter_in_a_query_adds_no_segment(site):
    spec = Transform(request=[rewrite_path("/b/${path.rest || 'none'}")])
    client = site(routes=[Route("/a/{rest:path}", spec)], view=lambda request: (200, [], b"ok"))
    assert (client.get("/a/x").status, client.get("/a/x/y").status) == (200, 400)


def test_the_body_that_the_validator_has_decoded(mapped):
    body = gzip.compress(json.dumps({"n": 1}).encode())
    headers = {**JSON, "content-encoding": "gzip"}
    spec = Transform(request=[map_body({"m": "${body.n}"}), set_header("x-n", "${request.body.n}")])
    assert mapped("", body, headers, spec=spec).status == 415


def test_the_body_that_the_validator_has_decoded_is_mapped(site):
    got = []

    def view(request):
        got.append(request)
        return 200, [], b"ok"

    spec = Transform(request=[map_body({"m": "${body.n}"}), set_header("x-n", "${request.body.n}")])
    client = site(Validate(body={"type": "object"}), spec, view=view)
    body = gzip.compress(json.dumps({"n": 1}).encode())
    assert client.post("/", headers={**JSON, "content-encoding": "gzip"}, body=body).status == 200
    request = got[0]
    assert json.loads(request.body) == {"m": 1}
    assert request.headers.get("content-encoding") is None
    assert request.headers.get("content-length") == str(len(request.body))
    assert request.headers.get("x-n") == "1"


def test_rest_parameter_mapping_takes_json_paths():
    for path in ("items[*].sku", ".sku", "items[?(@.qty > 1)].sku", "items[-1]"):
        operations = parameter_mapping({"integration.request.header.x-a": f"method.request.body.{path}"})
        assert operations == (set_header("x-a", f"${{request.body$.{path}}}"),)
        assert Transform(request=operations)
    with pytest.raises(ConfigurationError, match="not a JSONPath"):
        Transform(request=parameter_mapping({"integration.request.header.x-a": "method.request.body.a[?("}))


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("nofn(body)", r"there is no function nofn\(\)"),
        ("body.items[?nofn(@)]", r"there is no function nofn\(\)"),
        ("length(body, body)", r"length\(\) takes 1 arguments, not 2"),
        ("body.items[*].contains(@)", r"contains\(\) takes 2 arguments, not 1"),
        ("not_null()", r"not_null\(\) takes at least 1 arguments, not 0"),
    ],
)
def test_a_function_call_that_can_never_work_is_a_mistake(expression, reason):
    with pytest.raises(ConfigurationError, match=reason):
        Transform(request=[map_body({"a": f"${{{expression}}}"})])


def test_function_calls_that_can_work_are_taken():
    for expression in ("merge(body, body, body)", "not_null(body.a)", "sort_by(body.items, &length(sku))", "body.items[?`{}`]"):
        Transform(request=[map_body({"a": f"${{{expression}}}"})])
