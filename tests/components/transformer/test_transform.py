"""Transform on a route: what the app sees of a request, and the client of an answer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frameworks.asgi_kit import call, scope_for
from gatekeep.clock import SYSTEM_CLOCK
from gatekeep.component import Placed, Plan, Services
from gatekeep.components.ip_rules import IPRules
from gatekeep.components.stages import Stage
from gatekeep.components.transformer import (
    Transform,
    Transformer,
    add_header,
    add_query,
    map_body,
    remove_header,
    remove_query,
    rename_header,
    rename_query,
    rewrite_path,
    set_header,
    set_query,
)
from gatekeep.components.transformer.edits import compile_edit
from gatekeep.components.transformer.expression import Facts
from gatekeep.components.transformer.queries import BadValue
from gatekeep.components.transformer.targets import compile_own_query
from gatekeep.effects import Io, blocking, either
from gatekeep.errors import ConfigurationError, Denied
from gatekeep.exchange import current
from gatekeep.gateway import Gateway
from gatekeep.routing import Route

JSON = {"content-type": "application/json"}


@pytest.fixture
def seen(site):
    """Send a request past a Transform and give what the app saw of it, or the refusal."""

    def seen(spec, target="/", method="GET", path="/{rest:path}", **options):
        requests = []

        def view(request):
            requests.append(request)
            return 200, [("content-type", "text/plain")], b"ok"

        answer = site(routes=[Route(path, spec)], view=view).request(method, target, **options)
        if requests:
            assert answer.status == 200
            return requests[0]
        return answer

    return seen


@pytest.fixture
def answered(site):
    """Let an app answer past a Transform and give what the client gets."""

    def answered(spec, status=200, headers=(), body=b"ok", method="GET", sent=None, target="/"):
        client = site(spec, view=lambda request: (status, list(headers), body))
        return client.request(method, target, headers=sent or {})

    return answered


# Headers of requests.


@pytest.mark.parametrize(("size", "status"), [(8192, 200), (8193, 400)])
def test_what_an_expression_puts_into_a_header_is_bounded(seen, size, status):
    spec = Transform(request=[set_header("x-name", "${request.body.name}")])
    got = seen(spec, method="POST", headers=JSON, body=json.dumps({"name": "x" * size}).encode())
    assert (len(got.headers.get("x-name")) if status == 200 else got.status) == (size if status == 200 else 400)


def test_headers_of_a_request(seen):
    spec = Transform(
        request=[
            set_header("X-Set", "new"),
            add_header("x-added", "2"),
            remove_header("X-REMOVED"),
            rename_header("x-old", "X-New"),
            rename_header("x-absent", "x-kept"),
        ]
    )
    headers = {"x-set": "old", "x-added": "1", "x-removed": "r", "x-old": "o", "x-new": "n", "x-kept": "k", "x-other": "other"}
    got = seen(spec, headers=headers).headers
    assert got.get_all("x-set") == ["new"]
    assert ", ".join(got.get_all("x-added")) == "1, 2"
    assert "x-removed" not in got
    assert "x-old" not in got
    assert got.get_all("x-new") == ["o"]
    assert got.get("x-kept") == "k"
    assert got.get("x-other") == "other"


def test_no_other_spelling_of_a_header_gets_past(seen):
    """What reads an ASGI request by the rules of WSGI, say a WSGI app mounted in it, can't tell `x_user_id` from `x-user-id`."""
    spec = Transform(
        request=[
            set_header("x-user-id", "1"),
            set_header("x-whom-else", "${request.query.whom}"),
            remove_header("x-is-admin"),
            rename_header("x-old-name", "x-new-name"),
        ]
    )
    forged = {"x_user_id": "0", "x-user_id": "0", "X_Is_Admin": "yes", "x_new-name": "0", "x-old-name": "1", "x-whom_else": "0"}
    got = seen(spec, headers=forged, target="/").headers
    assert sorted((name, value) for name, value in got if name.startswith("x")) == [("x-new-name", "1"), ("x-user-id", "1")]


def test_operations_are_carried_out_in_order_and_read_the_request_as_it_came(seen):
    spec = Transform(
        request=[
            set_header("x-a", "changed"),
            set_header("x-b", "${request.header.x-a}"),
            rename_header("x-a", "x-c"),
            rewrite_path("/new"),
            set_header("x-path", "${request.path}"),
        ]
    )
    got = seen(spec, "/old", headers={"x-a": "sent"}).headers
    assert (got.get("x-a"), got.get("x-b"), got.get("x-c"), got.get("x-path")) == (None, "sent", "changed", "/old")


def test_a_header_is_added_beside_what_the_client_sent(seen):
    spec = Transform(request=[add_header("x-seen", "${request.path}"), add_header("x-seen", "constant")])
    got = seen(spec, "/a", headers={"x-seen": "sent"}).headers
    assert ", ".join(got.get_all("x-seen")) == "sent, /a, constant"


def test_nothing_to_say_removes_what_the_client_sent(seen):
    spec = Transform(
        request=[
            set_header("x-user", "${principal.id}"),
            set_header("x-mixed", "user ${principal.claims.name}"),
            add_header("x-more", "${request.header.x-absent}"),
            set_query("user", "${principal.id}"),
            add_query("more", "${request.query.absent}"),
        ]
    )
    got = seen(spec, "/?user=admin&b=1", headers={"x-user": "admin", "x-mixed": "user admin"})
    assert "x-user" not in got.headers
    assert "x-mixed" not in got.headers
    assert "x-more" not in got.headers
    assert got.query_string == "b=1"


@pytest.mark.parametrize("value", ["a%0d%0ax-admin:%201", "a%0ab", "a%00", "%1b[31m", "%e4%b8%ad", "%7f"])
def test_a_value_that_can_not_stand_in_a_header_is_refused(seen, value):
    for operation in (set_header, add_header):
        answer = seen(Transform(request=[operation("x-a", "v-${request.query.q}")]), f"/?q={value}")
        assert (answer.status, answer.json()["code"]) == (400, "invalid_request")


def test_refusals_of_the_transformer_hold_in_report_mode(site):
    client = site(Transform(request=[set_header("x-a", "${request.query.q}"), map_body("$body")]), mode="report")
    assert client.get("/?q=%0a").status == 400
    assert client.post("/", headers=JSON, body=b"{").status == 400
    assert client.post("/", headers={"content-type": "text/plain"}, body=b"{}").status == 415


def test_latin_1_stands_in_a_header(seen):
    got = seen(Transform(request=[set_header("x-a", "${request.query.q}")]), "/?q=Jos%C3%A9")
    assert got.headers.get("x-a") == "José"


# The query.


@pytest.mark.parametrize(
    ("operation", "query", "expected"),
    [
        (set_query("a", "x y&z"), "a=1&b=%20&a=2", "b=%20&a=x+y%26z"),
        (set_query("a", "1"), "", "a=1"),
        (set_query("a b", "1"), "a%20b=2&a+b=3", "a+b=1"),
        (add_query("a", "2"), "a=1", "a=1&a=2"),
        (remove_query("a"), "a=1&%61=2&b&c=", "b&c="),
        (remove_query("a"), "b=%C3%A9+%2B", "b=%C3%A9+%2B"),
        (rename_query("a", "é"), "x=1&a=%41&a&%C3%A9=8", "x=1&%C3%A9=%41&%C3%A9"),
        (rename_query("none", "b"), "a=1&b=2", "a=1&b=2"),
    ],
)
def test_the_query(seen, operation, query, expected):
    assert seen(Transform(request=[operation]), f"/?{query}").query_string == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), max_size=4), st.text(max_size=4))
def test_parameters_that_no_operation_names_keep_their_bytes(pairs, value):
    from urllib.parse import parse_qsl, urlencode

    pairs = [pair for pair in pairs if not any("\ud800" <= c <= "\udfff" for text in pair for c in text)]
    query = urlencode([("a", "1"), *pairs])
    target = _Target(query)
    edit = compile_edit(set_query("a", "${request.query.v}"), Facts("request"))
    edit(_exchange_with_query([("v", value)]), target)
    kept = [(name, text) for name, text in parse_qsl(query, keep_blank_values=True) if name != "a"]
    assert parse_qsl(target.query_string, keep_blank_values=True) == [*kept, ("a", value)]


class _Target:
    def __init__(self, query_string):
        self.query_string = query_string


def _exchange_with_query(pairs):
    class Request:
        query = pairs

    class Exchange:
        request = Request()

    return Exchange()


@pytest.mark.parametrize(
    ("compile_it", "operation"),
    [(compile_edit, set_query("a", "${request.query.v}")), (compile_own_query, rewrite_path("/?a=${request.query.v}"))],
)
def test_a_lone_surrogate_is_no_query(compile_it, operation):
    edit = compile_it(operation, Facts("request"))
    with pytest.raises(BadValue):
        edit(_exchange_with_query([("v", "\ud800")]), _Target(""))


# The path.


def test_rewriting_the_path(seen):
    spec = Transform(request=[rewrite_path("/v2/{rest}")])
    got = seen(spec, "/v1/orders/a%20b?x=1", path="/v1/{rest:path}")
    assert (got.path, got.query_string) == ("/v2/orders/a b", "x=1")


def test_rewriting_with_expressions(seen):
    spec = Transform(request=[rewrite_path("/${request.header.x-tenant}/${path.id}")])
    assert seen(spec, "/orders/5", path="/orders/{id:int}", headers={"x-tenant": "acme"}).path == "/acme/5"


@pytest.mark.parametrize("tenant", ["../admin", "a/b", "..", ".", "a\\b", None])
def test_values_can_not_lead_astray(seen, tenant):
    spec = Transform(request=[rewrite_path("/tenants/${request.header.x-tenant}/orders")])
    answer = seen(spec, "/orders", path="/orders", headers={"x-tenant": tenant} if tenant is not None else {})
    assert (answer.status, answer.json()["code"]) == (400, "invalid_request")


def test_the_policy_of_the_new_path_holds(site):
    called = []

    def view(request):
        called.append(request.path)
        return 200, [], b"ok"

    client = site(
        view=view,
        routes=[
            Route("/open/{rest:path}", Transform(request=[rewrite_path("/{rest}")])),
            Route("/admin/{rest:path}", IPRules(deny=["127.0.0.1"])),
        ],
    )
    assert client.get("/open/admin/x").status == 403
    assert client.get("/open/other").status == 200
    assert called == ["/other"]


def test_a_default_that_rewrites_does_not_rewrite_its_own_target(site):
    def view(request):
        return 200, [], f"{request.path} {request.headers.get_all('x-via')}".encode()

    client = site(
        Transform(
            request=[rewrite_path("/v2${request.path}"), add_header("x-via", "gatekeep")],
            response=[add_header("x-out", "1")],
        ),
        view=view,
    )
    answer = client.get("/orders")
    assert answer.body == b"/v2/orders ['gatekeep']"
    assert answer.headers.get_all("x-out") == ["1"]


def test_the_answer_of_another_path_is_mapped(site):
    client = site(
        view=lambda request: (200, list(JSON.items()), json.dumps(request.path).encode()),
        routes=[
            Route("/a", Transform(request=[rewrite_path("/b")], response=[map_body({"a": "$body"})])),
            Route("/b", Transform(response=[map_body({"b": "$body"})])),
        ],
    )
    assert client.get("/a").json() == {"a": {"b": "/b"}}
    assert client.get("/b").json() == {"b": "/b"}


def test_a_rewriting_transform_without_a_response_side(seen):
    assert seen(Transform(request=[rewrite_path("/b")]), "/a", path="/a").path == "/b"


# Bodies of requests.


def test_mapping_a_request_by_template(seen):
    spec = Transform(
        request=[
            map_body(
                {
                    "order": "${body.order.id}",
                    "lines": "${body.lines}",
                    "first": "${body.lines.0.sku}",
                    "label": "Order ${body.order.id} of ${path.customer}",
                    "absent": "${body.nothing}",
                    "absent too": "x ${body.lines.9.sku}",
                    "list": ["${body.nothing}", "${body.flag}", 1, None, True, 1.5],
                    "null": "${body.null}",
                    "all": "$body",
                    "dollar": "$5 $${body} ${ body.flag }",
                    "constant": "kept",
                }
            )
        ]
    )
    body = {"order": {"id": 7}, "lines": [{"sku": "a"}], "flag": False, "null": None}
    got = seen(
        spec, "/customers/Ann/orders", "POST", "/customers/{customer}/orders", headers=JSON, body=json.dumps(body).encode()
    )
    assert json.loads(got.body) == {
        "order": 7,
        "lines": [{"sku": "a"}],
        "first": "a",
        "label": "Order 7 of Ann",
        "list": [None, False, 1, None, True, 1.5],
        "null": None,
        "all": body,
        "dollar": "$5 ${body} false",
        "constant": "kept",
    }
    assert got.headers.get("content-length") == str(len(got.body))
    assert got.headers.get("content-type") == "application/json"


def test_mapping_a_request_by_function(seen):
    def double(value, exchange):
        assert exchange.request.method == "POST"
        return {"twice": value["n"] * 2}

    got = seen(Transform(request=[map_body(double)]), method="POST", headers=JSON, body=b'{"n":21}')
    assert got.body == b'{"twice":42}'


def test_maps_are_carried_out_one_after_the_other(seen):
    spec = Transform(request=[map_body(lambda value, exchange: [*value, "é"]), map_body({"items": "$body"})])
    got = seen(spec, method="POST", headers={"content-type": "application/vnd.x+json"}, body=[b"[1", b"]"])
    assert got.body == '{"items":[1,"é"]}'.encode()
    assert "transfer-encoding" not in got.headers


def test_a_template_that_says_nothing_says_null(seen):
    assert seen(Transform(request=[map_body("${body.x}")]), method="POST", headers=JSON, body=b"{}").body == b"null"


def test_either_and_blocking_and_io(seen):
    async def later(value, exchange):
        return [*value, "async"]

    def now(value, exchange):
        return [*value, "sync"]

    async def arun():
        return "io"

    for mapping in (either(sync=now, asynchronous=later), blocking(now)):
        got = seen(Transform(request=[map_body(mapping)]), method="POST", headers=JSON, body=b"[1]")
        assert json.loads(got.body) in ([1, "async"], [1, "sync"])
    spec = Transform(request=[map_body(lambda value, exchange: Io(lambda: "io", arun))])
    assert seen(spec, method="POST", headers=JSON, body=b"[1]").body == b'"io"'


def test_an_async_function_needs_a_twin_under_wsgi(seen, protocol):
    async def later(value, exchange):
        return value

    spec = Transform(request=[map_body(later)])
    if protocol == "asgi":
        assert seen(spec, method="POST", headers=JSON, body=b"[1]").body == b"[1]"
    else:
        with pytest.raises(ConfigurationError, match=r"test_transform.py:.*is async"):
            seen(spec, method="POST", headers=JSON, body=b"[1]")


@pytest.mark.parametrize("body", [b"{", b'{"a":1,"a":2}', b"[" * 100, b"NaN", b"\xff", b'"\\ud800"'])
def test_a_body_that_is_no_json_is_refused(seen, body):
    answer = seen(Transform(request=[map_body("$body")]), method="POST", headers=JSON, body=body)
    assert (answer.status, answer.json()["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "headers",
    [{}, {"content-type": "text/plain"}, {"content-type": "text/json"}, {**JSON, "content-encoding": "gzip"}],
)
def test_a_body_that_can_not_be_mapped_does_not_pass_unmapped(seen, headers):
    answer = seen(Transform(request=[map_body("$body")]), method="POST", headers=headers, body=b"{}")
    assert (answer.status, answer.json()["code"]) == (415, "unsupported_media_type")


def test_no_body_is_not_mapped(seen):
    got = seen(Transform(request=[map_body({"a": 1}), set_header("x-a", "1")]))
    assert (got.body, got.headers.get("x-a")) == (b"", "1")


def test_what_described_the_old_bytes_goes(seen):
    headers = {**JSON, "content-md5": "x", "digest": "x", "content-digest": "x", "repr-digest": "x"}
    got = seen(Transform(request=[map_body([1])]), method="POST", headers=headers, body=b"{}")
    assert not [name for name, _ in got.headers if "digest" in name or "md5" in name]


@pytest.mark.parametrize("result", [object(), float("nan"), {"a": {1, 2}}, "\ud800"])
def test_what_a_function_can_not_mean(seen, result, caplog):
    answer = seen(Transform(request=[map_body(lambda value, exchange: result)]), method="POST", headers=JSON, body=b"{}")
    assert (answer.status, answer.json()["code"]) == (500, "internal_error")
    assert "transformer failed" in caplog.text


def test_a_function_that_fails_fails_closed(seen, caplog):
    def broken(value, exchange):
        return value["nothing"]

    answer = seen(Transform(request=[map_body(broken)]), method="POST", headers=JSON, body=b"{}")
    assert (answer.status, answer.json()["code"]) == (500, "internal_error")
    assert "KeyError" in caplog.text
    assert b"nothing" not in answer.body


def test_a_function_may_refuse(seen):
    def refuse(value, exchange):
        raise Denied("Not this.", code="not_this")

    answer = seen(Transform(request=[map_body(refuse)]), method="POST", headers=JSON, body=b"{}")
    assert (answer.status, answer.json()["code"]) == (403, "not_this")


# Answers.


def test_headers_of_an_answer(answered):
    spec = Transform(
        response=[
            set_header("X-Frame-Options", "DENY"),
            add_header("x-added", "2"),
            remove_header("Server"),
            rename_header("X-Old", "x-new"),
            set_header("x-status", "${response.status}"),
            set_header("x-was", "${response.header.x-was}!"),
            set_header("x-gone", "${response.header.x-absent}"),
        ]
    )
    headers = [
        ("Server", "app"),
        ("x-added", "1"),
        ("x-old", "a"),
        ("X-OLD", "b"),
        ("x-new", "n"),
        ("x-was", "w"),
        ("x-gone", "g"),
    ]
    got = answered(spec, 404, headers).headers
    assert got.get("x-frame-options") == "DENY"
    assert got.get_all("x-added") == ["1", "2"]
    assert "server" not in got
    assert "x-old" not in got
    assert got.get_all("x-new") == ["a", "b"]
    assert got.get("x-status") == "404"
    assert got.get("x-was") == "w!"
    assert "x-gone" not in got


def test_two_cookies_stay_two(answered):
    spec = Transform(response=[add_header("set-cookie", "c=3")])
    got = answered(spec, headers=[("set-cookie", "a=1"), ("set-cookie", "b=2")])
    assert got.headers.get_all("set-cookie") == ["a=1", "b=2", "c=3"]


def test_a_value_of_the_client_can_not_split_the_answer(answered):
    answer = answered(Transform(response=[set_header("x-a", "${request.query.q}")]), target="/?q=a%0d%0aset-cookie:x=1")
    assert (answer.status, answer.json()["code"]) == (400, "invalid_request")
    assert "set-cookie" not in answer.headers


def test_mapping_an_answer(answered):
    spec = Transform(
        response=[
            map_body({"data": "$body", "path": "${request.path}", "status": "${response.status}"}),
            set_header("x-count", "${response.header.content-length}"),
        ]
    )
    headers = [
        *[("content-type", "application/json; charset=utf-8"), ("content-length", "9"), ("etag", '"x"'), ("digest", "x")],
        *[("accept-ranges", "bytes"), ("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT"), ("content-md5", "x")],
    ]
    answer = answered(spec, 201, headers, [b'{"a":', b" 1}"])
    assert answer.json() == {"data": {"a": 1}, "path": "/", "status": 201}
    assert answer.headers.get_all("content-length") == [str(len(answer.body))]
    assert answer.headers.get("x-count") == str(len(answer.body))
    assert answer.headers.get("content-type") == "application/json; charset=utf-8"
    assert "last-modified" in answer.headers
    assert not {"etag", "digest", "accept-ranges", "content-md5"} & {name.lower() for name, _ in answer.headers}


def test_mapping_an_answer_by_function(answered):
    def redact(value, exchange):
        value.pop("secret")
        return value

    spec = Transform(response=[map_body(redact)])
    assert answered(spec, headers=JSON.items(), body=b'{"a":1,"secret":2}').body == b'{"a":1}'


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (404, JSON, b'{"detail":"none"}'),
        (200, {"content-type": "text/html"}, b"<html>"),
        (200, {"content-type": "text/event-stream"}, b"data: {}\n\n"),
        (200, {"content-type": "application/x-ndjson"}, b"{}\n{}\n"),
        (200, {}, b"{}"),
        (204, JSON, []),
        (304, JSON, []),
        (200, JSON, []),
    ],
)
def test_answers_that_are_left_alone(answered, status, headers, body):
    answer = answered(Transform(response=[map_body({"x": 1})]), status, [*headers.items(), ("etag", '"x"')], body)
    assert (answer.status, answer.body) == (status, body or b"")
    assert answer.headers.get("etag") == '"x"'


def test_errors_are_mapped_where_that_is_said(answered):
    spec = Transform(response=[map_body({"error": "${body.detail}"}, errors=True)])
    assert answered(spec, 404, JSON.items(), b'{"detail":"none"}').body == b'{"error":"none"}'


def test_a_stream_is_not_held_back(site):
    """An answer that is not to be mapped goes through chunk by chunk."""
    client = site(
        Transform(response=[map_body("$body")]),
        view=lambda request: (200, [("content-type", "text/event-stream")], iter([b"a", b"b"])),
    )
    assert client.get("/").chunks == [b"a", b"b"]


def test_head_has_no_length_of_another_body(answered):
    headers = [*JSON.items(), ("content-length", "9"), ("etag", '"x"')]
    answer = answered(Transform(response=[map_body({"a": 1}), set_header("x-a", "1")]), headers=headers, body=[], method="HEAD")
    assert answer.status == 200
    assert answer.headers.get("content-length") is None
    assert answer.headers.get("etag") is None
    assert answer.headers.get("x-a") == "1"


def test_the_app_is_not_asked_for_a_part_or_a_compressed_answer(site):
    def view(request):
        asked = {name: request.headers.get(name) for name in ("accept-encoding", "range", "accept")}
        headers = [*JSON.items(), ("vary", "Accept-Encoding, Origin")]
        return 200, headers, json.dumps(asked).encode()

    client = site(Transform(response=[map_body("$body")]), view=view)
    answer = client.get("/", headers={"accept-encoding": "gzip", "range": "bytes=0-1", "accept": "*/*"})
    assert answer.json() == {"accept-encoding": None, "range": None, "accept": "*/*"}
    assert answer.headers.get_all("vary") == ["origin"]


def test_only_the_encoding_varied(answered):
    answer = answered(Transform(response=[map_body("$body")]), headers=[*JSON.items(), ("vary", "accept-encoding")], body=b"1")
    assert "vary" not in answer.headers


@pytest.mark.parametrize(("status", "extra"), [(200, ("content-encoding", "gzip")), (206, ("content-range", "bytes 0-1/9"))])
def test_what_can_not_be_mapped_does_not_leave_unmapped(answered, status, extra, caplog):
    answer = answered(Transform(response=[map_body({})]), status, [*JSON.items(), extra], b'{"secret":1}')
    assert (answer.status, answer.json()["code"]) == (500, "internal_error")
    assert b"secret" not in answer.body
    assert "can't be mapped" in caplog.text


@pytest.mark.parametrize("body", [b"{", b'{"secret":1,"secret":2}', b"NaN"])
def test_an_answer_that_is_no_json_does_not_leave(answered, body):
    answer = answered(Transform(response=[map_body("$body")]), headers=JSON.items(), body=body)
    assert (answer.status, answer.json()["code"]) == (500, "internal_error")
    assert b"secret" not in answer.body


def test_a_function_on_answers_that_fails_fails_closed(answered):
    spec = Transform(response=[map_body(lambda value, exchange: value["x"])])
    answer = answered(spec, headers=JSON.items(), body=b'{"secret":1}')
    assert (answer.status, answer.json()["code"]) == (500, "internal_error")
    assert b"secret" not in answer.body


def test_large_answers_are_mapped(answered):
    body = json.dumps(list(range(150_000))).encode()
    assert len(answered(Transform(response=[map_body("$body")]), headers=JSON.items(), body=body).json()) == 150_000


# What varies.


def test_what_depends_on_a_request_header_says_so(answered):
    spec = Transform(
        request=[set_header("x-b", "${request.header.X-A}"), rename_header("x-lang", "accept-language")],
        response=[set_header("x-session", "${request.cookie.session}"), set_header("x-q", "${request.query.q}")],
    )
    assert answered(spec).headers.get_all("vary") == ["cookie, x-a, x-lang"]
    assert answered(spec, headers=[("vary", "Cookie, Origin")]).headers.get_all("vary") == ["Cookie, Origin", "x-a, x-lang"]
    assert answered(spec, headers=[("vary", "*")]).headers.get_all("vary") == ["*"]
    assert answered(Transform(request=[rename_header("x-lang", "x-b")])).headers.get_all("vary") == ["x-lang"]


@pytest.mark.parametrize("expression", ["${client}", "${request_id}"])
def test_what_is_for_one_request_is_not_for_another(answered, expression):
    assert answered(Transform(response=[set_header("x-a", expression)])).headers.get_all("vary") == ["*"]
    assert answered(Transform(request=[set_header("x-a", expression)])).headers.get_all("vary") == []


@pytest.mark.parametrize(
    ("spec", "personal"),
    [
        (Transform(request=[set_header("a", "b"), set_query("a", "${request.query.b}")]), False),
        (Transform(request=[set_header("a", "${principal.id}")]), True),
        (Transform(response=[set_header("a", "${principal.claims.tier}")]), True),
        (Transform(response=[map_body({"a": ["x ${principal.kind}"]})]), True),
        (Transform(response=[map_body({"a": "${body.a}"})]), False),
        (Transform(request=[map_body(lambda value, exchange: value)]), True),
        (Transform(response=[map_body(blocking(len))]), True),
    ],
)
def test_what_reads_the_principal(spec, personal):
    assert spec.reads_principal is personal


# Expressions.


def test_expressions(site):
    texts = {
        "method": "${request.method}",
        "path": "${request.path}",
        "header": "${request.header.X-One}",
        "query": "${request.query.q}",
        "cookie": "${request.cookie.c}",
        "param": "${path.id}",
        "route": "${route}",
        "stage": "${stage.name}",
        "variable": "${stage.variables.backend}",
        "client": "${client}",
        "kind": "${principal.kind}",
        "mixed": "<${path.id}|${request.query.q}>",
        "literal": "$${path.id} $ 5$ {x}",
    }

    def view(request):
        got = {name: request.headers.get(f"x-out-{name}") for name in [*texts, "id"]}
        return 200, [("content-type", "application/json"), ("x-id", current().request_id)], json.dumps(got).encode()

    operations = [set_header(f"x-out-{name}", text) for name, text in texts.items()]
    client = site(
        stages=[Stage("prod", variables={"backend": "b1"})],
        routes=[Route("/orders/{id:int}", Transform(request=[*operations, set_header("x-out-id", "${request_id}")]))],
        view=view,
    )
    answer = client.get("/orders/7?q=1&q=%C3%A9", headers={"x-one": "1", "cookie": "c=3"})
    got = answer.json()
    assert got.pop("id") == answer.headers.get("x-id")
    assert got == {
        "method": "GET",
        "path": "/orders/7",
        "header": "1",
        "query": "é",
        "cookie": "3",
        "param": "7",
        "route": "/orders/{id:int}",
        "stage": "prod",
        "variable": "b1",
        "client": "127.0.0.1",
        "kind": "anonymous",
        "mixed": "<7|é>",
        "literal": "${path.id} $ 5$ {x}",
    }


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("${principal.kind}", "jwt"),
        ("${principal.id}", "ann"),
        ("${principal.issuer}", "https://id.example"),
        ("${principal.client_id}", "web"),
        ("${principal.scopes}", "a b"),
        ("${principal.roles}", "x y"),
        ("${principal.claims.tenant}", "acme"),
        ("${principal.claims.https://example.com/tier}", "gold"),
        ("${principal.claims.address.city}", "Rome"),
        ("${principal.claims.groups.1}", "g2"),
        ("${principal.claims.groups}", ["g1", "g2"]),
        ("${principal.claims.groups.2}", None),
        ("${principal.claims.admin}", True),
        ("text ${principal.claims.admin} ${principal.claims.age} ${principal.claims.groups}", 'text true 41 ["g1","g2"]'),
        ("${principal.claims.none}", None),
        ("text ${principal.claims.none}", None),
    ],
)
def test_expressions_over_the_principal(expression, value):
    from gatekeep.components.transformer.queries import MISSING
    from gatekeep.components.transformer.templates import json_template
    from gatekeep.exchange import Principal

    class Exchange:
        principal = Principal(
            "jwt",
            "https://id.example",
            "ann",
            "web",
            frozenset({"b", "a"}),
            frozenset({"y", "x"}),
            {
                "tenant": "acme",
                "https://example.com/tier": "gold",
                "address": {"city": "Rome"},
                "groups": ["g1", "g2"],
                "admin": True,
                "age": 41,
                "none": None,
            },
        )

    got = json_template(expression, Facts("request"))(Exchange(), None)
    assert (None if got is MISSING else got) == value


def test_what_is_not_there_yet_is_missing():
    from gatekeep.components.transformer.queries import MISSING
    from gatekeep.components.transformer.templates import json_template

    class Exchange:
        def __init__(self):
            self.response = None
            self.path_params = {"id": object}

    assert json_template("${response.status}", Facts("response"))(Exchange(), None) is MISSING
    assert json_template("${response.header.x}", Facts("response"))(Exchange(), None) is MISSING
    assert json_template("${path.id}", Facts("response"))(Exchange(), None) == str(object)


@pytest.mark.parametrize(
    "expression",
    [
        *["", "principal", "principal.", "principal.key", "principal.__class__", "principal.claims", "principal.claims."],
        *["request.header", "request.header.", "response.body", "request.native", "request.query", "path", "path."],
        *["stage", "stage.variables", "exchange", "response.status", "response.header.x", "body", "body.a", "self", "1+1"],
    ],
)
def test_what_is_no_expression(expression):
    with pytest.raises(ConfigurationError, match=r"test_transform.py:.*request: set_header"):
        Transform(request=[set_header("x-a", f"${{{expression}}}")])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "does nothing"),
        ({"request": set_header("a", "b")}, "not a list of operations"),
        ({"request": ["set_header"]}, "not a list of operations"),
        ({"request": [set_header("a", "b")], "mode": "report"}, "can't only be reported"),
        ({"request": [set_header("a b", "c")]}, "not a header name"),
        ({"request": [set_header("", "c")]}, "not a header name"),
        ({"request": [set_header(5, "c")]}, "not a header name"),
        ({"request": [set_header("a", 5)]}, "5 is not text"),
        ({"request": [set_header("a", "b\r\nc: d")]}, "can't stand in a header"),
        ({"request": [set_header("a", "中")]}, "can't stand in a header"),
        ({"request": [set_header("a", "${client")]}, "does not close"),
        ({"request": [set_header("a", "${cl${ient}}")]}, "is no JMESPath"),
        ({"request": [set_header("a", "${request.header.中}")]}, "not a header name"),
        ({"response": [set_header("a", "${response.header.a b}")]}, "is no JMESPath"),
        ({"request": [set_header("Host", "x")]}, "Host can't be changed"),
        ({"request": [remove_header("content-length")]}, "can't be changed"),
        ({"request": [add_header("Transfer-Encoding", "chunked")]}, "can't be changed"),
        ({"request": [rename_header("x", "Connection")]}, "can't be changed"),
        ({"request": [rename_header("Upgrade", "x")]}, "can't be changed"),
        ({"response": [set_header("Content-Length", "1")]}, "can't be changed"),
        ({"response": [set_header("content-encoding", "gzip")]}, "can't be changed"),
        ({"response": [set_query("a", "b")]}, "no operation on a response"),
        ({"response": [rewrite_path("/x")]}, "no operation on a response"),
        ({"request": [set_query("", "b")]}, "not the name of a query parameter"),
        ({"request": [rename_query("a", None)]}, "not the name of a query parameter"),
        ({"request": [rewrite_path("x")]}, "does not start with a slash"),
        ({"request": [rewrite_path(5)]}, "does not start with a slash"),
        ({"request": [rewrite_path("/a/../b")]}, "not a plain path"),
        ({"request": [rewrite_path("/a//b")]}, "not a plain path"),
        ({"request": [rewrite_path("/a#b=1")]}, "not a plain path"),
        ({"request": [rewrite_path("/a/{b:int}")]}, "not a plain path"),
        ({"request": [rewrite_path("/a/${nothing}")]}, "no expression"),
        ({"request": [map_body({"${a}": 1})]}, "taken as it is written"),
        ({"request": [map_body({1: 1})]}, "not the name of a member"),
        ({"request": [map_body({"a": {1, 2}})]}, "not JSON"),
        ({"request": [map_body(float("nan"))]}, "not JSON"),
        ({"request": [map_body("$body", errors=True)]}, "says nothing about a request"),
        ({"response": [map_body({"a": "${body.a} ${x}"})]}, "no expression"),
        ({"response": [map_body("$body"), set_header("x-a", "${body.a}")]}, "map_body only"),
    ],
)
def test_mistakes(fields, reason):
    with pytest.raises(ConfigurationError, match=reason) as caught:
        Transform(**fields)
    assert "test_transform.py:" in str(caught.value)


def test_a_variable_that_the_stage_does_not_have(site, seen):
    spec = Transform(request=[set_header("a", "${stage.variables.none}")])
    with pytest.raises(ConfigurationError, match=r"test_transform.py:.*no such variable"):
        site(spec, stages=[Stage("prod")])
    assert "a" not in seen(spec, headers={"a": "sent"}).headers  # where there is no stage, it has nothing to say


# How it stands among the others.


def test_the_strongest_replaces_the_weaker(site):
    client = site(
        Transform(response=[set_header("x-a", "gateway"), set_header("x-b", "gateway")]),
        routes=[Route("/b", Transform(response=[set_header("x-a", "route")])), Route("/c", Transform.off())],
    )
    got = [(answer.headers.get("x-a"), answer.headers.get("x-b")) for answer in map(client.get, ("/", "/b", "/c"))]
    assert got == [("gateway", "gateway"), ("route", None), (None, None)]


def bind(spec, *, handshake=False):
    services = Services(clock=SYSTEM_CLOCK, store=None, runner=None, max_body=1000)
    specs = [Placed(spec, "gateway")] if spec is not None else []
    return Transformer(services).bind(Plan("GET /", "/", None, "asgi", handshake, specs, False, False, None, {}))


def test_what_a_route_asks_for():
    assert bind(None) is None
    only_in = bind(Transform(request=[set_header("a", "b")]))
    assert only_in.on_response is None
    assert (only_in.needs_request_body, only_in.needs_response_body) == (False, None)
    only_out = bind(Transform(response=[set_header("a", "b")]))
    assert only_out.on_request is None
    assert bind(Transform(request=[map_body("$body")])).needs_request_body
    assert bind(Transform(response=[map_body("$body")])).needs_response_body is not None


def test_a_handshake_passes_as_it_is():
    async def app(scope, receive, send):
        assert b"x-a" not in dict(scope["headers"])
        await receive()
        await send({"type": "websocket.accept"})

    wrapped = Gateway(Transform(request=[set_header("x-a", "b")])).asgi(app)
    assert call(wrapped, scope_for("/", kind="websocket")).types == ["websocket.accept"]
