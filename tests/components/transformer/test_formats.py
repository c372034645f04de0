"""Formats by content negotiation: what is taken, what is offered, round trips, and hostile bodies."""

from __future__ import annotations

import json
import time

import msgpack
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeep.components.cache import Cache
from gatekeep.components.transformer import Transform, map_body
from gatekeep.components.transformer.formats import FORMATS, Unreadable, Unwritable
from gatekeep.components.transformer.items import LinesToArray
from gatekeep.components.transformer.negotiation import chooser
from gatekeep.errors import ConfigurationError
from gatekeep.routing import Route
from pace import allowed

ALL = ("json", "xml", "csv", "yaml", "msgpack", "form", "ndjson")
JSON = [("content-type", "application/json")]
ORDER = {"id": 5, "lines": [{"sku": "a"}, {"sku": "b"}], "note": "Grüße", "paid": True, "none": None}


class Got:
    """An answer, and in `seen` what the app got."""

    def __init__(self, answer, seen):
        self._answer = answer
        self.seen = seen

    def __getattr__(self, name):
        return getattr(self._answer, name)


@pytest.fixture
def send(site):
    """Send a body past a Transform, and give what the app got, or the refusal."""

    def send(kind, body, spec=None, **headers):
        got = []

        def view(request):
            got.append(request)
            return 200, [("content-type", "text/plain")], b"ok"

        client = site(spec or Transform(accepts=ALL), view=view)
        answer = client.post("/", headers={"content-type": kind, **headers}, body=body)
        return got[0] if got else answer

    return send


@pytest.fixture
def get(site):
    def get(accept, value=ORDER, spec=None, *, status=200, fields=JSON, method="GET", body=None, **headers):
        got = []

        def view(request):
            got.append(request)
            return status, list(fields), json.dumps(value).encode() if body is None else body

        client = site(spec or Transform(offers=ALL), view=view)
        answer = client.request(method, "/", headers={**({"accept": accept} if accept is not None else {}), **headers})
        return Got(answer, got[0] if got else None)

    return get


# Requests.


@pytest.mark.parametrize(
    ("kind", "body", "value"),
    [
        ("application/x-www-form-urlencoded", b"a=1&b=x+y&a=2&c=", {"a": ["1", "2"], "b": "x y", "c": ""}),
        ("application/xml; charset=utf-8", b"<o a='1'><b>x</b><b/>t</o>", {"o": {"@a": "1", "b": ["x", None], "#text": "t"}}),
        ("text/xml", b"<o>&lt;&#65;</o>", {"o": "<A"}),
        ("text/csv", b'a,b\r\n1,"x, ""y"""\r\n\r\n2,\r\n', [{"a": "1", "b": 'x, "y"'}, {"a": "2", "b": ""}]),
        ("application/msgpack", msgpack.packb(ORDER), ORDER),
        ("application/yaml", b"a: no\nb: [1, 2.5, true, ~, 012, 1e3, 2020-01-01]\n", None),
        ("application/x-ndjson", b'{"a":1}\n\n[2]\n', [{"a": 1}, [2]]),
    ],
)
def test_an_app_gets_json(send, kind, body, value):
    if value is None:
        value = {"a": "no", "b": [1, 2.5, True, None, "012", 1000.0, "2020-01-01"]}
    got = send(kind, body, digest="x")
    assert json.loads(got.body) == value
    assert got.headers.get("content-type") == "application/json"
    assert got.headers.get("content-length") == str(len(got.body))
    assert "digest" not in got.headers


def test_json_keeps_its_bytes(send):
    got = send("application/merge-patch+json", b'{ "a" : 1 }', Transform(accepts=["xml", "json"]))
    assert (got.body, got.headers.get("content-type")) == (b'{ "a" : 1 }', "application/merge-patch+json")


def test_what_is_converted_can_be_mapped(send):
    spec = Transform(request=[map_body({"name": "${body.o.b}"})], accepts=["xml"])
    assert json.loads(send("application/xml", b"<o><b>x</b></o>", spec).body) == {"name": "x"}


@pytest.mark.parametrize(
    ("kind", "headers"),
    [
        ("application/json", {}),
        ("application/hal+json", {}),
        ("text/plain", {}),
        ("", {}),
        ("application/xml", {"content-encoding": "gzip"}),
    ],
)
def test_a_type_that_is_not_taken(send, kind, headers):
    answer = send(kind, b"<a/>", Transform(accepts=["xml"]), **headers)
    assert (answer.status, answer.json()["code"]) == (415, "unsupported_media_type")


_LAUGHS = b"<!DOCTYPE l [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]><l>&b;</l>"
HOSTILE = [
    *[
        ("json", b"{"),
        ("json", b'{"a":1,"a":2}'),
        ("ndjson", b'{"a":1}\n{'),
        ("form", b"a"),
        ("form", b"a=%ff"),
        ("form", b"\xff=1"),
    ],
    *[("xml", _LAUGHS), ("xml", b"<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a>&x;</a>"), ("xml", b"<a>&x;</a>"), ("xml", b"<a>")],
    *[
        ("xml", "<a/>".encode("utf-16")),
        ("xml", b"<a>" * 20_000 + b"</a>" * 20_000),
        ("xml", b"<a>" + b"<b/>" * 300_000 + b"</a>"),
    ],
    *[("xml", b"<a>\x00</a>"), ("xml", b""), ("xml", b"<a b='1' b='2'/>"), ("xml", b"<a>" * 500_000)],
    *[("csv", b"a,a\n1,2\n"), ("csv", b"a,b\n1\n"), ("csv", b'a\n"x'), ("csv", b"a\n\x00\n"), ("csv", b"\xff\n")],
    *[("csv", b"a\n" + b"x" * 200_000), ("csv", b"a\n" + b"1\n" * 200_000)],
    *[("msgpack", b"\xc1"), ("msgpack", b"\xdd\xff\xff\xff\xff"), ("msgpack", b"\x91" * 100_000), ("msgpack", b"\x81\x01\x01")],
    *[("msgpack", msgpack.packb(b"\x00")), ("msgpack", msgpack.packb(float("nan"))), ("msgpack", b"\x82\xa1a\x01\xa1a\x02")],
    *[
        ("msgpack", msgpack.packb(msgpack.Timestamp(0))),
        ("msgpack", b"\xa1\xff"),
        ("msgpack", b"\x01\x01"),
        ("msgpack", b"\x81\xc0\x01"),
    ],
    *[
        ("yaml", b"a: &x 1\nb: *x\n"),
        ("yaml", b"a: 1\na: 2\n"),
        ("yaml", b"1: 2\n"),
        ("yaml", b"? [a]\n: 1\n"),
        ("yaml", b"a: ["),
    ],
    *[("yaml", b"!!python/object/apply:os.system ['id']"), ("yaml", b"!!timestamp 2020-01-01"), ("yaml", b"!!binary aGk=")],
    *[("yaml", b"--- 1\n--- 2\n"), ("yaml", b"[" * 50_000), ("yaml", b"[" * 70 + b"]" * 70), ("yaml", b"a" * 100_001)],
    *[("yaml", b"a: !!float .inf"), ("yaml", b"!!set {a}"), ("yaml", b"\xff"), ("yaml", b"a: !!int x")],
]


@pytest.mark.parametrize(("name", "body"), HOSTILE, ids=[f"{name}-{number}" for number, (name, _) in enumerate(HOSTILE)])
def test_hostile_bodies(name, body):
    began = time.process_time()
    with pytest.raises(Unreadable):
        FORMATS[name].loads(body)
    assert allowed(1, time.process_time() - began)


def test_rows_with_names_of_their_own_can_not_make_a_table_of_any_size():
    with pytest.raises(Unwritable, match="too many cells"):
        FORMATS["csv"].dumps([{str(number): 1} for number in range(3_000)])


@pytest.mark.parametrize("name", ALL)
def test_what_is_deep_is_written_or_said_not_to_be(name):
    value = 1
    for _ in range(190):
        value = {"a": value}
    try:
        FORMATS[name].dumps(value)
    except Unwritable:
        pass


def test_a_hostile_body_is_a_refusal(send):
    answer = send("application/xml", _LAUGHS)
    assert (answer.status, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["detail"] == "The body has a document type, which is not taken."


# Answers.


@pytest.mark.parametrize(
    ("accept", "kind", "decode"),
    [
        ("application/yaml", "application/yaml", lambda body: yaml.safe_load(body)),
        ("application/vnd.msgpack", "application/vnd.msgpack", lambda body: msgpack.unpackb(body)),
        ("application/jsonl", "application/jsonl", lambda body: json.loads(body)),
        ("application/xml;q=0.9, text/html", "application/xml", FORMATS["xml"].loads),
    ],
)
def test_a_client_gets_what_it_takes(get, accept, kind, decode):
    answer = get(accept)
    assert (answer.status, answer.headers.get("content-type")) == (200, kind)
    assert answer.headers.get("content-length") == str(len(answer.body))
    assert answer.headers.get("vary") == "accept"
    expected = ORDER
    if kind == "application/xml":
        expected = {"response": {**ORDER, "id": "5", "paid": "true"}}
    assert decode(answer.body) == expected
    assert "json" in answer.seen.headers.get("accept")


def test_rows(get):
    rows = [{"a": 1, "b": None}, {"a": "x,y", "c": [1]}]
    answer = get("text/csv", rows)
    assert answer.headers.get("content-type") == "text/csv; charset=utf-8"
    assert answer.body == b'a,b,c\r\n1,,\r\n"x,y",,[1]\r\n'
    assert get("application/x-ndjson", rows).body == b'{"a":1,"b":null}\n{"a":"x,y","c":[1]}\n'
    assert get("application/x-www-form-urlencoded", {"a": [1, "é"], "b": {"c": 1}}).body == b"a=1&a=%C3%A9&b=%7B%22c%22%3A1%7D"


@pytest.mark.parametrize("accept", ["image/png", "text/html;q=1", "application/xml;q=0, text/plain", "*/*;q=0"])
def test_what_nobody_offers(get, accept):
    answer = get(accept)
    assert (answer.status, answer.json()["code"]) == (406, "not_acceptable")
    assert answer.seen is None  # the app was not asked


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("text/html, */*;q=0.1", "json"),
        ("application/*", "json"),
        ("text/*", "csv"),
        ("application/problem+json", "json"),
        ("APPLICATION/XML", "xml"),
        ("application/json;q=0.5, application/xml;q=0.9", "xml"),
        ("application/json;q=0, */*", "xml"),
        ("application/xml; charset=utf-8; q=0.4, application/yaml;q=0.3", "xml"),
        ("text/xml", "xml"),
        ("nonsense", "json"),
        ("image/*", None),
        ("application/json;q=0", None),
    ],
)
def test_what_an_accept_field_means(accept, name):
    offer = chooser(("json", "xml", "csv", "yaml"))(accept)
    assert (offer.name if offer is not None else None) == name


def test_a_client_is_answered_in_the_type_that_it_named(get):
    assert get("text/xml").headers.get("content-type") == "text/xml; charset=utf-8"
    assert get("application/x-msgpack").headers.get("content-type") == "application/x-msgpack"


def test_json_is_left_as_the_app_made_it(get):
    answer = get("application/json", body=b'{ "a": 1 }', fields=[*JSON, ("etag", '"x"')])
    assert (answer.body, answer.headers.get("etag"), answer.headers.get("vary")) == (b'{ "a": 1 }', '"x"', "accept")
    assert answer.seen.headers.get("accept") == "application/json"


def test_what_described_the_json_goes(get):
    answer = get("application/xml", fields=[*JSON, ("etag", '"x"'), ("content-md5", "y")], **{"accept-encoding": "gzip"})
    assert "etag" not in answer.headers
    assert "content-md5" not in answer.headers
    assert "accept-encoding" not in answer.seen.headers
    head = get("application/xml", method="HEAD", fields=[*JSON, ("content-length", "9")], body=b"")
    assert (head.headers.get("content-type"), head.headers.get("content-length")) == ("application/xml", None)


def test_errors_too_are_given_in_the_clients_format(get):
    answer = get("application/xml", {"error": "x"}, status=404, fields=[("content-type", "application/problem+json")])
    assert (answer.status, FORMATS["xml"].loads(answer.body)) == (404, {"error": "x"})


@pytest.mark.parametrize(
    ("status", "fields", "body"),
    [(200, [("content-type", "image/png")], b"png"), (204, JSON, b""), (200, [], b"x"), (304, JSON, b"")],
)
def test_what_is_no_json_is_left_alone(get, status, fields, body):
    answer = get("application/xml", status=status, fields=fields, body=body)
    assert (answer.status, answer.body) == (status, body)
    assert answer.headers.get("content-type") == (dict(fields).get("content-type"))


@pytest.mark.parametrize(
    ("accept", "value"),
    [
        ("text/csv", [1]),
        ("application/x-www-form-urlencoded", [1]),
        ("application/xml", {"a b": 1}),
        ("application/xml", {"a": "\x01"}),
        ("application/msgpack", 2**70),
    ],
)
def test_what_a_format_has_no_words_for(get, accept, value, caplog):
    answer = get(accept, value)
    assert (answer.status, answer.json()["code"]) == (406, "not_acceptable")
    assert "can't be given as" in caplog.text


def test_a_map_comes_before_the_format(get):
    spec = Transform(response=[map_body({"data": "${body.id}"})], offers=["json", "xml"])
    assert FORMATS["xml"].loads(get("application/xml", spec=spec).body) == {"data": "5"}


def test_a_cache_keeps_formats_apart(site):
    calls = []

    def view(request):
        calls.append(request)
        return 200, JSON, b'{"a": 1}'

    client = site(routes=[Route("/", Cache(ttl=60), Transform(offers=["json", "yaml"]), methods={"GET"})], view=view)
    for _ in range(2):
        assert client.get("/", headers={"accept": "application/yaml"}).body == b"a: 1\n"
        assert client.get("/", headers={"accept": "application/json"}).body == b'{"a": 1}'
    assert client.get("/", headers={"accept": "text/html"}).status == 406
    assert len(calls) == 2


# Streams.


def test_lines_become_an_array_item_by_item(get, protocol):
    lines = [b'{"a":1}\n{"a', b'":2}\n', b"\n", b"3"]
    fields = [("content-type", "application/x-ndjson"), ("content-length", "19")]
    answer = get("application/json", fields=fields, body=lines)
    assert (answer.json(), answer.headers.get("content-type")) == ([{"a": 1}, {"a": 2}, 3], "application/json")
    assert answer.headers.get("content-length") is None
    assert len([chunk for chunk in answer.chunks if chunk]) > 1
    assert get("application/x-ndjson", fields=fields, body=lines).body == b"".join(lines)
    assert get("application/json", fields=fields, body=[b""]).body == b"[]"


@given(
    st.lists(st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.lists(inner, max_size=3))), st.integers(1, 20)
)
@settings(deadline=None, max_examples=50)
def test_lines_in_any_pieces(items, size):
    text = b"".join(json.dumps(item).encode() + b"\n" for item in items)
    body_filter = LinesToArray()
    out = b"".join(body_filter.feed(text[at : at + size]) for at in range(0, len(text), size)) + body_filter.end()
    assert json.loads(out) == items


def test_a_line_that_is_no_json_breaks_off():
    with pytest.raises(ValueError, match="JSON"):
        LinesToArray().feed(b'{"a"\n')
    with pytest.raises(ValueError, match="longer than"):
        LinesToArray().feed(b"1" * 1_000_001)
    body_filter = LinesToArray()
    body_filter.feed(b'{"a"')
    body_filter.abort()
    assert body_filter.end() == b"[]"


# Round trips.

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_formats_that_say_all_that_json_does(value):
    for name in ("json", "msgpack", "yaml"):
        assert FORMATS[name].loads(FORMATS[name].dumps(value)) == value
    assert FORMATS["ndjson"].loads(FORMATS["ndjson"].dumps([value])) == [value]


_CELLS = TEXTS.filter(lambda text: "\0" not in text)


@settings(max_examples=150, deadline=None)
@given(st.lists(_CELLS, min_size=1, max_size=4, unique=True), st.data())
def test_rows_of_texts(names, data):
    rows = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(names, _CELLS)), min_size=1, max_size=4))
    assert FORMATS["csv"].loads(FORMATS["csv"].dumps(rows)) == rows


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(TEXTS, TEXTS | st.lists(TEXTS, min_size=2, max_size=3), max_size=4))
def test_forms_of_texts(value):
    assert FORMATS["form"].loads(FORMATS["form"].dumps(value)) == value


_NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
_WORDS = st.text(
    st.characters(codec="utf-8", min_codepoint=33, exclude_characters="\x7f\x85\xa0\ufffe\uffff"), min_size=1, max_size=9
)
_ELEMENTS = st.recursive(
    st.none() | _WORDS.filter(lambda text: text == text.strip()),
    lambda inner: st.dictionaries(_NAMES, inner | st.lists(inner, min_size=2, max_size=3), min_size=1, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(_NAMES, _ELEMENTS)
def test_elements(name, value):
    assert FORMATS["xml"].loads(FORMATS["xml"].dumps({name: value})) == {name: value}


def test_lists_in_xml():
    dumped = FORMATS["xml"].dumps([[1, 2], "x"])
    assert FORMATS["xml"].loads(dumped) == {"response": {"item": [{"item": ["1", "2"]}, "x"]}}
    with pytest.raises(Unwritable, match="name of an element"):
        FORMATS["xml"].dumps({"a": {"x><y": 1}})


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"accepts": "xml"}, "not a list of formats"),
        ({"offers": ["html"]}, "not a format"),
        ({"accepts": ["toml"]}, "not a format"),
    ],
)
def test_mistakes(options, reason):
    with pytest.raises(ConfigurationError, match=rf"test_formats.py:.*{reason}"):
        Transform(**options)


def test_a_format_that_is_not_installed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert Transform(offers=["json", "csv", "form", "ndjson"])
    with pytest.raises(ConfigurationError, match=r"xmltodict.*not installed.*gatekeep\[formats\]"):
        Transform(accepts=["xml"])


def test_refusals_say_what_is_taken_and_offered(site):
    client = site(Transform(accepts=["json", "form"], offers=["json", "csv"]), view=lambda request: (200, [], b""))
    answer = client.post("/", headers={"content-type": "image/png"}, body=b"x")
    assert (answer.status, answer.json()["detail"]) == (
        415,
        "This route takes application/json, application/x-www-form-urlencoded.",
    )
    answer = client.get("/", headers={"accept": "image/png"})
    assert (answer.status, answer.json()["detail"]) == (406, "This route answers in application/json, text/csv.")
