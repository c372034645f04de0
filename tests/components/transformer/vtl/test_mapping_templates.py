"""map_body(vtl(...)) on a route, against what is known of AWS.

The letter in a test's id says how it is known: S recorded from AWS, D from its documentation, E from an emulator's code.
"""

from __future__ import annotations

import json
import logging

import pytest

from gatekeep import (
    ConfigurationError,
    CustomAuthorizer,
    Gateway,
    Principal,
    Route,
    Stage,
    Transform,
    by_status,
    header,
    map_body,
    parameter_mapping,
    redact,
    rewrite_path,
    set_header,
    vtl,
)
from gatekeep.clock import SYSTEM_CLOCK
from gatekeep.component import Placed, Plan, Services
from gatekeep.components.authorizer import Authorize
from gatekeep.components.cache import Cache
from gatekeep.components.transformer import Transformer, by_field
from gatekeep.testing import FakeClock

JSON = {"content-type": "application/json"}


@pytest.fixture
def app_sees(site):
    """Send a request past templates on the request, and give what the app saw of it, or the refusal."""

    def app_sees(templates, body=b"", target="/orders/5", path="/orders/{id}", method="POST", headers=JSON, others=(), **options):
        seen = []

        def view(request):
            seen.append(request)
            return 200, [("content-type", "text/plain")], b"ok"

        value = templates if not isinstance(templates, (str, dict)) else vtl(templates)
        client = site(routes=[Route(path, Transform(request=[map_body(value), *others]))], view=view, **options)
        answer = client.request(method, target, body=body, headers=headers)
        return seen[0] if seen else answer

    return app_sees


@pytest.fixture
def client_gets(site):
    """Let the app answer past operations on the answer, and give what the client gets."""

    def client_gets(
        *response, status=200, body=b'{"a": 1}', kind="application/json", headers=None, method="GET", request=(), fields=()
    ):
        spec = Transform(request=list(request), response=list(response))
        client = site(
            routes=[Route("/orders/{id}", spec)],
            view=lambda _: (status, [*([("content-type", kind)] if kind else []), *fields], body),
        )
        return client.request(method, "/orders/5?q=a+b", headers=headers or {})

    return client_gets


# Which template is for a request, and what becomes of one that none is for.

TEMPLATES = {"application/json": "json", "text/xml": "xml"}
SELECTION = [
    ("D-matches", TEMPLATES, {"content-type": "text/xml"}, ("xml", "xml", "xml")),
    ("D-parameters-dropped", TEMPLATES, {"content-type": "Text/XML; charset=utf-8"}, ("xml", "xml", "xml")),
    ("D-no-type-is-json", TEMPLATES, {}, ("json", "json", "json")),
    ("D-no-match", TEMPLATES, {"content-type": "text/csv"}, ("raw", 415, 415)),
    ("D-no-templates", {}, {"content-type": "text/csv"}, ("raw", "raw", 415)),
    ("E-default", {**TEMPLATES, "$default": "any"}, {"content-type": "text/csv"}, ("any", "any", "any")),
    ("D-empty-template", {"application/json": ""}, JSON, ("raw", "raw", "raw")),
]


@pytest.mark.parametrize("behaviour", [0, 1, 2], ids=["WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"])
@pytest.mark.parametrize(("templates", "headers", "wanted"), [pytest.param(*row[1:], id=row[0]) for row in SELECTION])
def test_selection_of_a_request(app_sees, templates, headers, wanted, behaviour):
    name = ("WHEN_NO_MATCH", "when_no_templates", "NEVER")[behaviour]
    got = app_sees(vtl(templates, passthrough=name), b"raw", headers=headers)
    if wanted[behaviour] == 415:
        assert got.status == 415
        assert got.json()["detail"] == "Unsupported Media Type"
    else:
        assert got.body.decode() == wanted[behaviour]


def test_a_refusal_in_the_words_of_aws__D(app_sees):
    got = app_sees(vtl({}, passthrough="never"), b"raw", errors="aws")
    assert (got.status, got.json()) == (415, {"message": "Unsupported Media Type"})


# The objects.

BODY = (
    b'{"name": "a b", "to": {"foo": "bar", "list": [{"nested": "bar"}]}, "null": null, "n": 1.50, "q": "it\'s \\"x\\"/\\u00e9"}'
)
OBJECTS = [
    ("S-body_of_nothing", "$input.body", b"", "{}"),
    ("S-body", "$input.body", b'{"a": 1}', '{"a": 1}'),
    ("S-body_has_no_attributes", "[$input.body.name]", BODY, "[]"),
    (
        "D-json",
        "$input.json('$.to') $input.json('$.name') $input.json('$')",
        b'{"to": [1, {"a": true}], "name": "x"}',
        '[1,{"a":true}] "x" {"to":[1,{"a":true}],"name":"x"}',
    ),
    ("E-json_missing", "$input.json('$.missing')", BODY, '""'),
    ("S-path_missing_prints_empty", "[$input.path('$.missing')][$input.path('$.null')]", BODY, "[][]"),
    ("S-path_missing_equals_null", "#if($input.path('$.missing') == $null)y#end", BODY, "y"),
    ("S-path_missing_equals_empty", "#if($input.path('$.missing') == '')y#end", BODY, "y"),
    ("S-path_of_nothing", "[$input.path('$.x')]", b"", "[]"),
    ("S-path_prints_a_map_as_java", "$input.path('$.a')", b'{"a": {"foo": "bar", "to": "test"}}', "{foo=bar, to=test}"),
    ("S-path_prints_a_list_as_json", "$input.path('$.a')", b'{"a": [{"foo": "bar"}]}', '[{"foo":"bar"}]'),
    ("S-path_prints_a_list_in_a_map_as_json", "$input.path('$.to')", BODY, '{foo=bar, list=[{"nested":"bar"}]}'),
    (
        "S-path_to_string",
        "$input.path('$.to').toString() $input.path('$.to.list').toString()",
        BODY,
        '{foo=bar, list=[{"nested":"bar"}]} [{"nested":"bar"}]',
    ),
    (
        "D-path_is_live",
        "#set($b = $input.path('$'))#set($b.name = 'new')$input.path('$.name') $b.to.list[0].nested",
        BODY,
        "new bar",
    ),
    (
        "D-path_of_jayway",
        "$input.path('$..nested') $input.path('$.to.list[?(@.nested == \"bar\")].nested')",
        BODY,
        '["bar"] ["bar"]',
    ),
    ("D-path_size", "$input.path('$.to.list').size() $input.path('$.to').keySet()", BODY, "1 [foo, list]"),
    ("D-foreach", "#foreach($e in $input.path('$.to.list'))$e.nested#if($foreach.hasNext),#end#end", BODY, "bar"),
    ("D-params", "$input.params('id') $input.params('q') $input.params('X-Head') [$input.params('none')]", BODY, "5 c d head []"),
    ("D-params_path_first", "$input.params('id')", BODY, "5"),
    ("S-params_plus_is_a_space", "$input.params().querystring.q", BODY, "c d"),
    ("S-params_last_value", "$input.params().querystring.get('q')", BODY, "c d"),
    (
        "D-params_map",
        "$input.params().keySet() $input.params().path.id $input.params().header.get('X-Head') $input.params().header.x-head",
        BODY,
        "[path, querystring, header] 5 head head",
    ),
    (
        "D-stage_variables",
        "$stageVariables.color $stageVariables['color'] ${stageVariables['color']} [$stageVariables.none]",
        BODY,
        "red red red []",
    ),
    ("D-escape", "$util.escapeJavaScript($input.path('$.q'))", BODY, 'it\\\'s \\"x\\"\\/\\u00E9'),
    (
        "D-escape_put_right",
        "$util.escapeJavaScript($input.path('$.q')).replaceAll(\"\\\\'\",\"'\")",
        BODY,
        'it\'s \\"x\\"\\/\\u00E9',
    ),
    (
        "D-escape_controls",
        "$util.escapeJavaScript($input.path('$'))",
        b'"\\n\\t\\r\\b\\f\\u0001\xf0\x9f\x98\x80"',
        "\\n\\t\\r\\b\\f\\u0001\\uD83D\\uDE00",
    ),
    ("D-parse_json", "$util.parseJson('{\"a\": [1]}').a[0]", BODY, "1"),
    (
        "D-url",
        "$util.urlEncode($input.path('$.name')) $util.urlEncode('~*é/') $util.urlDecode('a+b%2F')",
        BODY,
        "a+b %7E*%C3%A9%2F a b/",
    ),
    ("S-url_of_null", "[$util.urlEncode($none)][$util.urlDecode($none)]", BODY, "[][]"),
    ("D-base64", "$util.base64Encode('é') $util.base64Decode('w6k=') [$util.base64Encode($none)]", BODY, "w6k= é []"),
    (
        "D-context",
        "$context.httpMethod $context.resourcePath $context.stage $context.path $context.protocol $context.domainPrefix",
        BODY,
        "POST /orders/{id} prod /prod/orders/5 HTTP/1.1 api",
    ),
    ("D-context_time", "$context.requestTime $context.requestTimeEpoch", BODY, "09/Sep/2001:01:46:40 +0000 1000000000000"),
    (
        "D-context_identity",
        "$context.identity.sourceIp $context.identity.userAgent [$context.identity.user]",
        BODY,
        "127.0.0.1 agent []",
    ),
    ("S-context_no_canary", "[$context.isCanaryRequest]", BODY, "[]"),
    (
        "S-context_unset_maps_print_empty",
        "[$context.authorizer][$context.authorizer.claims.sub][$context.requestOverride][$context.responseOverride.header][$context.no.x]",
        BODY,
        "[][][][][]",
    ),
    (
        "S-dynamodb",
        '{"TableName":"t","Item":{"id":{"S":"$input.path(\'$.name\')"}}}',
        BODY,
        '{"TableName":"t","Item":{"id":{"S":"a b"}}}',
    ),
    ("S-kinesis", '{"Data":"$util.base64Encode($input.json(\'$.to.foo\'))"}', BODY, '{"Data":"ImJhciI="}'),
    (
        "S-step_functions",
        '{"input":"$util.escapeJavaScript($input.json(\'$.to\'))"}',
        b'{"to": {"a": 1}}',
        '{"input":"{\\"a\\":1}"}',
    ),
    ("S-sqs", "Action=SendMessage&MessageBody=$input.body", b"plain", "Action=SendMessage&MessageBody=plain"),
    ("S-bytes_that_are_no_text", "$input.body", b"a\xffb", "a\ufffdb"),
]


@pytest.mark.parametrize(("template", "body", "wanted"), [pytest.param(*row[1:], id=row[0]) for row in OBJECTS])
def test_objects(app_sees, template, body, wanted):
    got = app_sees(
        template,
        body,
        target="/prod/orders/5?q=a&q=c+d&id=other",
        headers={**JSON, "x-head": "head", "id": "third", "user-agent": "agent", "host": "API.example.com"},
        clock=FakeClock(wall=1_000_000_000.0),
        stages=[Stage("prod", variables={"color": "red"}, path="/prod")],
    )
    assert got.body.decode() == wanted


WHOLE_REQUEST = """
## everything there is of a request, as the console's own template makes it
#set($all = $input.params())
{
  "body": $input.json('$'),
  "params": {
  #foreach($place in $all.keySet())
    #set($params = $all.get($place))
    "$place": {
      #foreach($name in $params.keySet())
      "$name": "$util.escapeJavaScript($params.get($name)).replaceAll("\\\\'", "'")"#if($foreach.hasNext),#end
      #end
    }#if($foreach.hasNext),#end
  #end
  },
  "variables": {
    #foreach($name in $stageVariables.keySet())"$name": "$stageVariables.get($name)"#if($foreach.hasNext),#end#end
  },
  "context": {"account": "$context.identity.accountId", "stage": "$context.stage", "agent": "$context.identity.userAgent"}
}"""


def test_everything_of_a_request__D(app_sees):
    got = app_sees(
        WHOLE_REQUEST,
        b'{"a": [1, 2.5, null]}',
        target="/v1/orders/it's?q=a%22b&empty=",
        stages=[Stage("prod", path="/v1", variables={"color": "red"})],
        headers={**JSON, "x-a": "\\ '"},
    )
    event = json.loads(got.body)
    assert event["body"] == {"a": [1, 2.5, None]}
    assert event["params"]["path"] == {"id": "it's"}
    assert event["params"]["querystring"] == {"q": 'a"b', "empty": ""}
    assert event["params"]["header"]["x-a"] == "\\ '"
    assert (event["variables"], event["context"]) == ({"color": "red"}, {"account": "", "stage": "prod", "agent": ""})


IDENTITIES = [
    (
        Principal("api_key", id="ann", client_id="key-7", claims={"team": "red"}),
        "$context.authorizer.principalId $context.authorizer.team $context.identity.apiKeyId",
        "ann red key-7",
    ),
    (
        Principal("sigv4", id="ann", client_id="AKIA"),
        "$context.identity.user $context.identity.caller $context.identity.accessKey [$context.identity.apiKeyId]",
        "ann ann AKIA []",
    ),
    (
        Principal("mtls", id="ann", claims={"subject": "CN=ann", "issuer": "CN=ca", "serial": "1f"}),
        "$context.identity.clientCert.subjectDN $context.identity.clientCert.issuerDN $context.identity.clientCert.serialNumber",
        "CN=ann CN=ca 1f",
    ),
    (
        Principal("jwt", id="ann", claims={"sub": "ann", "level": 3, "groups": ["a", "b"]}),
        "$context.authorizer.claims.sub $context.authorizer.claims.level $context.authorizer.groups [$context.identity.user]",
        'ann 3 ["a","b"] []',
    ),
]


@pytest.mark.parametrize(("who", "text", "wanted"), IDENTITIES, ids=[f"D-{row[0].kind}" for row in IDENTITIES])
def test_the_caller(site, who, text, wanted):
    authorizer = CustomAuthorizer(lambda request: who, identity=[header("authorization")])
    client = site(
        Authorize(authorizer),
        Transform(request=[map_body(vtl(text))]),
        view=lambda request: (200, [("content-type", "text/plain")], request.body),
    )
    assert client.get("/", headers={"authorization": "x"}).body.decode() == wanted


def test_what_a_template_changes_of_the_claims_is_its_own(site):
    who = Principal("mine", id="ann", claims={"tags": ["a"]})
    seen = []
    text = "#set($x = $context.authorizer.claims.tags.add('b'))#set($context.authorizer.claims.new = 1)$context.authorizer.claims"

    def view(request):
        seen.append(request.body)
        return 200, [], b""

    authorizer = CustomAuthorizer(lambda request: who, identity=[header("authorization")])
    client = site(Authorize(authorizer), Transform(request=[map_body(vtl(text))]), view=view)
    for _ in range(2):
        assert client.get("/", headers={"authorization": "x"}).status == 200
    assert seen == [b'{tags=["a","b"], new=1}'] * 2
    assert who.claims == {"tags": ["a"]}


def test_a_request_without_a_body_is_rendered__D(app_sees):
    got = app_sees('{"id": "$input.params(\'id\')"}', method="GET", headers={})
    assert json.loads(got.body) == {"id": "5"}
    assert got.headers.get("content-type") == "application/json"
    assert got.headers.get("content-length") == "11"


@pytest.mark.parametrize(
    "text", ["$input.path('$.a')", "$input.json('$')", "$util.parseJson($input.body)", "$util.base64Decode('?')"]
)
def test_a_body_that_can_not_be_read(app_sees, text):
    got = app_sees(text, b"{no json")
    assert (got.status, got.json()["code"]) == (400, "invalid_request")
    assert "no json" not in got.json()["detail"]


def test_half_of_a_surrogate_pair_is_refused(app_sees):
    assert app_sees("$util.urlEncode($util.parseJson($input.body))", b'"\\ud800"').status == 400


def test_an_encoded_body_is_not_taken(app_sees):
    assert app_sees("$input.body", b"x", headers={**JSON, "content-encoding": "gzip"}).status == 415


@pytest.mark.parametrize(
    "text",
    [
        "#foreach($i in $input.path('$'))x#end",
        "$input.path('$[')",
        "$input.body.charAt(9999999)",
        "$input.path('$..*..*..*..*').size()",
    ],
)
def test_a_template_that_fails_is_a_500_without_details(app_sees, text, caplog):
    with caplog.at_level(logging.ERROR, "gatekeep"):
        got = app_sees(text, json.dumps([[[1]] * 20] * 1_001).encode())
    assert got.status == 500
    assert got.json()["detail"] == "The gateway could not process this request."
    assert "a mapping template failed" in caplog.text


# Overrides of the request.


def test_overrides_of_a_request__D(app_sees):
    got = app_sees(
        '#set($context.requestOverride.header.X-New = "n $context.httpMethod")'
        "#set($context.requestOverride.querystring.page = 'a&b')"
        "#set($x = $context.requestOverride.header.put('x-old', 'other'))"
        "#set($context.requestOverride.path.id = 'é 7')"
        "#set($context.requestOverride.header.x-none = $missing)done",
        target="/orders/5?page=1&rest=2",
        headers={**JSON, "x-old": "old", "x-none": "sent"},
        others=[set_header("x-new", "weaker"), set_header("x-kept", "kept")],
    )
    assert (got.body, got.path, got.query_string) == (b"done", "/orders/é 7", "rest=2&page=a%26b")
    assert [got.headers.get(name) for name in ("x-new", "x-old", "x-kept", "x-none")] == ["n POST", "other", "kept", None]


def test_an_override_by_an_index_in_a_variable__S(app_sees):
    got = app_sees("#set($name = 'x-new')#set($context.requestOverride.header[$name] = 'v')", b"{}")
    assert got.headers.get("x-new") == "v"


def test_overrides_win_over_parameter_mapping__D(app_sees):
    mapping = parameter_mapping({"integration.request.header.x-a": "'mapped'", "integration.request.header.x-b": "'mapped'"})
    got = app_sees("#set($context.requestOverride.header.x-a = 'set')", others=mapping)
    assert (got.headers.get("x-a"), got.headers.get("x-b")) == ("set", "mapped")


def test_an_override_fills_the_path_that_requests_are_sent_to__D(site):
    seen = []

    def view(request):
        seen.append(request.path)
        return 200, [], b""

    text = "#set($context.requestOverride.path.id = $input.params('id').toUpperCase())"
    spec = Transform(request=[map_body(vtl(text)), rewrite_path("/${stage.variables.to}/${request.method}/{id}/{rest}")])
    routes = [Route("/v1/{id}/{rest:path}", spec), Route("/v2/{rest:path}")]
    client = site(routes=routes, stages=[Stage("prod", variables={"to": "v2"})], view=view)
    assert client.get("/v1/ann/a/b").status == 200
    # What the client sends is no template.
    assert client.get("/v1/$/$%7Bprincipal.kind%7D/%7Bid%7D").status == 400
    assert client.get("/v1/ann/$%7Bprincipal.kind%7D/%7Bid%7D").status == 200
    assert seen == ["/v2/GET/ANN/a/b", "/v2/GET/ANN/${principal.kind}/{id}"]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("#set($context.requestOverride.header.x = '1')#set($context.requestOverride.header.X = '2')", 500),
        ("#set($context.requestOverride.header = {})", 500),
        ("#set($context.requestOverride.header.host = 'evil')", 500),
        ("#set($context.requestOverride.header['a b'] = 'evil')", 500),
        ("#set($context.requestOverride.header.x = $input.body)", 400),
        ("#set($context.requestOverride.path.id = 'a/b')", 400),
        ("#set($context.requestOverride.path.id = '..')", 400),
        ("#set($context.requestOverride.path.id = '{id}')", 400),
        ("#set($context.requestOverride.path.id = '?a')", 400),
    ],
)
def test_overrides_that_can_not_be(app_sees, text, status):
    assert app_sees(text, b"a\nb").status == status


def test_a_path_without_its_parameter(app_sees):
    others = [rewrite_path("/v2/{rest}")]
    with pytest.raises(ConfigurationError, match="no such path parameter; there is: id"):
        app_sees("#set($context.requestOverride.path.id = '6')", others=others)


def test_where_there_is_no_template_of_a_path_none_can_be_overridden(site):
    client = site(Transform(request=[map_body(vtl("#set($context.requestOverride.path.id = '6')"))]))
    assert client.get("/orders/5").status == 500


# Answers.


def test_an_answer__D(client_gets):
    answer = client_gets(map_body(vtl('{"id": "$input.params(\'id\')", "q": "$input.params(\'q\')", "was": $input.json(\'$\')}')))
    assert answer.json() == {"id": "5", "q": "a b", "was": {"a": 1}}
    assert answer.headers.get("content-type") == "application/json"
    assert int(answer.headers.get("content-length")) == len(answer.body)


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        pytest.param("text/xml, application/json", ("xml", "text/xml; charset=utf-8"), id="D-first-media-type"),
        pytest.param("text/xml;q=0.1", ("xml", "text/xml; charset=utf-8"), id="D-parameters-dropped"),
        pytest.param(None, ("json", "application/json"), id="D-no-accept-is-json"),
        pytest.param("text/csv", ("json", "application/json"), id="S-no-match-is-json"),
        pytest.param("*/*", ("json", "application/json"), id="S-any-is-json"),
    ],
)
def test_selection_of_an_answer(client_gets, accept, wanted):
    answer = client_gets(
        map_body(vtl({"text/xml": "xml", "application/json": "json"})), headers={"accept": accept} if accept else {}
    )
    assert (answer.body.decode(), answer.headers.get("content-type")) == wanted
    assert "accept" in answer.headers.get("vary")


def test_without_one_for_json_the_first_is_taken__D(client_gets):
    assert client_gets(map_body(vtl({"text/xml": "xml", "text/csv": "csv"})), headers={"accept": "text/html"}).body == b"xml"


@pytest.mark.parametrize("templates", [{}, {"application/json": ""}], ids=["D-none", "D-empty"])
def test_without_a_template_an_answer_passes_as_it_is(client_gets, templates):
    answer = client_gets(map_body(vtl(templates)), body=b"\xff", kind="image/png")
    assert (answer.body, answer.headers.get("content-type")) == (b"\xff", "image/png")


def test_an_answer_of_another_type_is_mapped_too(client_gets):
    assert client_gets(map_body(vtl("<$input.body>")), body=b"text", kind="text/plain").body == b"<text>"
    assert client_gets(map_body(vtl("<$input.body>")), body=b"text", kind="").body == b"<text>"
    assert client_gets(map_body(vtl("<$input.body>")), body=b"").body == b"<{}>"


def test_by_status__D(client_gets):
    styles = by_status({"4..": [map_body(vtl('{"m": $input.json("$.e")}'))], "default": [map_body(vtl("fine"))]})
    assert client_gets(*styles, status=404, body=b'{"e": "x"}').json() == {"m": "x"}
    assert client_gets(*styles, status=500, body=b"{}").body == b"fine"
    assert client_gets(map_body(vtl("fine")), status=404).json() == {"a": 1}
    assert client_gets(map_body(vtl("fine"), errors=True), status=404).body == b"fine"


def test_by_a_field__D(client_gets):
    style = by_field(
        "errorMessage",
        {
            "NOT_FOUND.*": [map_body(vtl("#set($context.responseOverride.status = 404)gone"))],
            "OTHER": [map_body({"plain": "${body.errorMessage}"})],
            "default": [],
        },
    )
    gone = client_gets(style, body=b'{"errorMessage": "NOT_FOUND: x"}')
    assert (gone.status, gone.body) == (404, b"gone")
    assert client_gets(style, body=b'{"errorMessage": "OTHER"}').json() == {"plain": "OTHER"}
    assert client_gets(style, body=b'{"a": 1}').json() == {"a": 1}
    nested = by_field("a", {"1": [by_field("b", {"2": [map_body(vtl("both"))]})]})
    assert client_gets(nested, body=b'{"a": 1, "b": 2}').body == b"both"
    assert client_gets(nested, body=b'{"a": 1, "b": 3}').json() == {"a": 1, "b": 3}


def test_mapped_headers_read_the_answer_of_the_app(client_gets):
    mapping = parameter_mapping({"method.response.header.x-a": "integration.response.body.a"})
    answer = client_gets(map_body(vtl("no json")), *mapping)
    assert (answer.body, answer.headers.get("x-a")) == (b"no json", "1")


def test_overrides_of_an_answer__D(client_gets):
    answer = client_gets(
        map_body(vtl("#set($context.responseOverride.header.X-A = 'a')#set($context.responseOverride.status = 418)x")),
        set_header("x-a", "weaker"),
    )
    assert (answer.status, answer.headers.get("x-a"), answer.body) == (418, "a", b"x")


def test_an_override_of_the_status_in_the_template_of_a_request__S(client_gets):
    answer = client_gets(request=[map_body(vtl("#set($context.responseOverride.status = 444)"))])
    assert (answer.status, answer.json()) == (444, {"a": 1})


def test_overrides_of_a_request_are_seen_in_the_template_of_its_answer__S(client_gets):
    answer = client_gets(
        map_body(vtl("$context.requestOverride.header.x-a $context.requestOverride.path.id $context.responseOverride.status")),
        request=[
            map_body(
                vtl(
                    "#set($context.requestOverride.header.x-a = 'a')#set($context.requestOverride.path.id = '6')"
                    "#set($context.responseOverride.status = 201)"
                )
            )
        ],
    )
    assert (answer.status, answer.body) == (201, b"a 6 201")


def test_an_override_beside_a_json_map_of_the_answer(client_gets):
    answer = client_gets(
        map_body({"mapped": "${body.a}"}), request=[map_body(vtl("#set($context.responseOverride.header.x-a = 'a')"))]
    )
    assert (answer.json(), answer.headers.get("x-a")) == ({"mapped": 1}, "a")


def test_an_override_that_can_not_be_beside_a_json_map(client_gets):
    text = "#set($context.responseOverride.header.content-length = 1)"
    assert client_gets(map_body({"mapped": "${body.a}"}), request=[map_body(vtl(text))]).status == 500


def test_a_field_that_takes_too_long_to_be_matched(client_gets, monkeypatch):
    monkeypatch.setattr("gatekeep.components.transformer.selection._STEPS", 10)
    style = by_field("m", {"(a|aa)+[bcd]{9}": [map_body(vtl("x"))]})
    assert client_gets(style, body=json.dumps({"m": "a" * 500}).encode()).status == 500


@pytest.mark.parametrize("status", ["99", "600", "'abc'", "'2000'", "[1]", "100"])
def test_a_status_that_is_none_is_passed_over__E(client_gets, status):
    assert client_gets(map_body(vtl(f"#set($context.responseOverride.status = {status})x"))).status == 200


def test_a_status_without_a_body(client_gets):
    answer = client_gets(map_body(vtl("#set($context.responseOverride.status = 204)x")))
    assert (answer.status, answer.body, answer.headers.get("content-type")) == (204, b"", None)


@pytest.mark.parametrize(
    "text",
    [
        "#set($context.responseOverride.status = 201)#set($context.responseOverride.status = 202)",
        "#set($context.responseOverride.header.x = 1)#set($context.responseOverride.header.X = 2)",
        "#set($context.responseOverride.header.content-length = 1)",
        "$input.path('$.x')",
    ],
    ids=["D-status-twice", "D-header-twice", "reserved", "no-json"],
)
def test_templates_of_answers_that_fail(client_gets, text):
    assert client_gets(map_body(vtl(text)), body=b"{no json").status == 500


@pytest.mark.parametrize("fields", [[("content-encoding", "gzip")], [("content-type", "text/event-stream")]])
def test_an_answer_that_can_not_be_mapped_does_not_leave(client_gets, fields):
    kind = "" if fields[0][0] == "content-type" else "application/json"
    answer = client_gets(map_body(vtl("x")), kind=kind, fields=fields, body=b"secret")
    assert answer.status == 500
    assert b"secret" not in answer.body


def test_a_head_request(client_gets):
    answer = client_gets(map_body(vtl({"text/xml": "<x/>"})), method="HEAD", body=b"", fields=[("etag", '"1"')])
    assert (answer.status, answer.headers.get("content-type")) == (200, "text/xml; charset=utf-8")
    assert "etag" not in answer.headers
    assert "content-length" not in answer.headers


def test_an_answer_without_a_body_is_left_alone(client_gets):
    assert client_gets(map_body(vtl("x"), errors=True), status=204, body=b"", kind="").body == b""


# What caches are told.


@pytest.mark.parametrize(
    ("side", "text", "vary"),
    [
        ("response", "plain", None),
        ("response", "$input.json('$') $context.stage $context.httpMethod", None),
        ("response", "$input.params('id') $input.params().path.x $input.params().querystring", None),
        ("response", "$input.params('X-Tenant')", "x-tenant"),
        ("response", "$input.params().header.X-Tenant", "x-tenant"),
        ("response", "$input.params().header.get('X-Tenant')", "x-tenant"),
        ("response", "$input.params().header['X-Tenant']", "x-tenant"),
        ("response", "$input.params($name)", "*"),
        ("response", "$input.params().header", "*"),
        ("response", "$input.params()", "*"),
        ("response", "#set($i = $input)", "*"),
        ("request", "#set($p = $input.params())", "*"),
        ("response", "$context.identity.userAgent", "user-agent"),
        ("response", "$context.domainName", "host"),
        ("response", "$context.identity.sourceIp", "*"),
        ("response", "$context.requestId", "*"),
        ("response", "#set($c = $context)", "*"),
        ("request", "$context.identity.userAgent", "content-type, user-agent"),
    ],
)
def test_what_an_answer_varies_with(client_gets, side, text, vary):
    answer = client_gets(**{side: [map_body(vtl(text))]}) if side == "request" else client_gets(map_body(vtl(text)))
    assert answer.headers.get("vary") == vary


@pytest.mark.parametrize(
    ("text", "personal"),
    [
        ("$context.authorizer.sub", True),
        ("$context.identity.user", True),
        ("$context.identity", True),
        ("$context['authorizer']", True),
        ("#foreach($x in [$context])#end", True),
        ("$context.stage $context.identity.sourceIp", False),
    ],
)
def test_templates_that_read_the_principal_are_known(text, personal):
    assert Transform(response=[map_body(vtl(text))]).reads_principal is personal


def test_a_cached_answer_has_been_mapped_once(site):
    calls = []

    def view(request):
        calls.append(request)
        return 200, [("content-type", "application/json")], b'{"n": 1}'

    client = site(routes=[Route("/x", Cache(ttl=60), Transform(response=[map_body(vtl("<$input.path('$.n')>"))]))], view=view)
    assert [client.get("/x").body for _ in range(2)] == [b"<1>", b"<1>"]
    assert len(calls) == 1


# Mistakes in the set-up.


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: vtl("#if(true)"), r"vtl: application/json: line 1 of the template: #if has no #end"),
        (lambda: vtl(" "), "the template is empty"),
        (lambda: vtl({"json": "x"}), "'json' would match nothing"),
        (lambda: vtl({"application/json; charset=utf-8": "x"}), "would match nothing: .* without parameters"),
        (lambda: vtl({"*/*": "x"}), "would match nothing: .*default"),
        (lambda: vtl({"text/*": "x"}), "would match nothing"),
        (lambda: vtl(5), "templates are a text"),
        (lambda: vtl({"application/json": 5}), "templates are a text"),
        (lambda: vtl("x", passthrough="sometimes"), "passthrough='sometimes' is none of"),
        (lambda: vtl("x", handling="to_text"), "handling='to_text' is neither of"),
        (lambda: vtl("x", binary="image/png"), "no list of media types"),
        (lambda: vtl("x", binary=["png"]), "no list of media types"),
        (lambda: Transform(request=[map_body(vtl("x")), map_body(vtl("y"))]), "stands alone"),
        (lambda: Transform(request=[map_body(vtl("x")), map_body({"a": 1})]), "stands alone"),
        (lambda: Transform(response=[redact("a"), map_body(vtl("x"))]), "stands alone"),
        (lambda: Transform(response=[by_field("a", {"1": [map_body(vtl("x")), redact("b")]})]), "stands alone"),
        (lambda: Transform(request=[map_body(vtl("x"))], accepts=["json"]), "takes bodies as they come"),
        (lambda: Transform(response=[map_body(vtl("x"))], offers=["json"]), "takes bodies as they come"),
        (lambda: Transform(response=[map_body(vtl("x", passthrough="never"))]), "passthrough is about requests"),
        (lambda: Transform(request=[map_body(vtl("x"), errors=True)]), "errors=True says nothing about a request"),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        make()
    assert __file__ in str(caught.value)


def test_templates_of_different_statuses_stand_beside_each_other():
    Transform(response=[map_body(vtl("x")), *by_status({404: [map_body(vtl("y"))], 500: [redact("a")]})])


def test_a_regular_expression_needs_its_library(monkeypatch):
    from gatekeep.components.transformer.vtl import mapping

    monkeypatch.setattr(mapping.importlib.util, "find_spec", lambda name: None)
    vtl("$x.replaceAll('plain\\.', 'x')")
    for text in ("$x.replaceAll('a+', 'x')", "$x.matches($y)"):
        with pytest.raises(ConfigurationError, match=r"pip install \"gatekeep\[vtl\]\""):
            vtl(text)


def test_a_route_without_templates_pays_nothing():
    services = Services(SYSTEM_CLOCK, store=None, runner=None, max_body=1_000)
    plan = Plan(
        "GET /",
        "/",
        frozenset({"GET"}),
        "asgi",
        False,
        [Placed(Transform(response=[set_header("a", "b")]), "g")],
        False,
        False,
        None,
        {},
    )
    hooks = Transformer(services).bind(plan)
    assert hooks.on_request is None
    assert not hooks.needs_request_body
    assert hooks.needs_response_body is None


def test_a_gateway_takes_it_as_a_default(site):
    client = site(Transform(response=[map_body(vtl("<$context.resourcePath>"))]), view=lambda _: (200, [], b""))
    assert client.get("/any").body == b"<>"
    assert isinstance(client.gateway, Gateway)
