"""Strict JSON: what is refused, that both parsers give the same answers, and that hostile bodies cost little."""

from __future__ import annotations

import json
import re
import sys
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gatekeep import strict_json
from gatekeep.strict_json import Malformed, dumps, loads
from pace import allowed


@pytest.fixture(params=["orjson", "standard library"])
def parser(request, monkeypatch):
    if request.param != "orjson":
        monkeypatch.setattr(strict_json, "_orjson", lambda: None)


REFUSED = {
    b"": "JSON",
    b" ": "JSON",
    b"{": "JSON",
    b'{"a":1': "JSON",
    b'{"a":1,}': "JSON",
    b"[1,]": "JSON",
    b"{a:1}": "JSON",
    b"{'a':1}": "JSON",
    b"01": "JSON",
    b"+1": "JSON",
    b".5": "JSON",
    b"1.": "JSON",
    b"0x10": "JSON",
    b"1 2": "JSON",
    b"nul": "JSON",
    b"// c\n1": "JSON",
    b'"\x01"': "JSON",
    b'"a\nb"': "JSON",
    b'"\\x41"': "JSON",
    b'"\\u12"': "JSON",
    b'"abc': "JSON",
    b'"abc\\': "JSON",
    b"\xef\xbb\xbf{}": "JSON",
    b"\x0c1": "JSON",
    b"1\x00": "JSON",
    '{"a":1}'.encode("utf-16"): "UTF-8",
    b'"\xff"': "UTF-8",
    b'"\xc0\xaf"': "UTF-8",
    b'"\xed\xa0\x80"': "UTF-8",
    b'"\\ud800"': "surrogate",
    b'"\\udc00\\ud800"': "surrogate",
    b'{"\\uDFFF":1}': "surrogate",
    b'{"a":1,"a":1}': "twice",
    b'{"a":1,"\\u0061":2}': "twice",
    b'[{"b":{"a":[],"a":1}}]': "twice",
    b'{"a" :1, "a" :2}': "twice",
    b'{"":1,"":2}': "twice",
    b"NaN": "NaN",
    b"[Infinity]": "NaN",
    b'{"a":-Infinity}': "NaN",
    b"1e400": "too large",
    b"-1E999": "too large",
    b"9" * 101: "100 characters",
    b"0." + b"1" * 200: "100 characters",
    b"[" * 65 + b"]" * 65: "64 levels",
    b'{"a":' * 65 + b"1" + b"}" * 65: "64 levels",
    b"[" * 99_000: "64 levels",
    b'{"a":' * 99_000: "64 levels",
    b"[" + b"1," * 100_000 + b"1]": "100000 values",
    b"[" + b"[]," * 100_000 + b"[]]": "100000 values",
}


@pytest.mark.parametrize(("body", "reason"), REFUSED.items(), ids=[repr(body[:24]) for body in REFUSED])
def test_refused(parser, body, reason):
    with pytest.raises(Malformed, match=reason):
        loads(body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b" {}\r\n\t", {}),
        (b"-0", 0),
        (b"1e5", 1e5),
        (b"[1.5,true,false,null]", [1.5, True, False, None]),
        ('"\\ud83d\\ude00 \u2028 \x7f"'.encode(), "😀 \u2028 \x7f"),
        (b'"\\\\ud800"', "\\ud800"),
        (b'{"a":{"a":[{"a":1}]}}', {"a": {"a": [{"a": 1}]}}),
        (b'["a:b","\\"","[[[[","}}}}"]', ["a:b", '"', "[[[[", "}}}}"]),
        (b"9" * 100, int("9" * 100)),
        (b"18446744073709551616", 2**64),
        (b"0.12345678901234567890", 0.12345678901234567890),
        (b"[" * 64 + b"]" * 64, None),
        (b'["' + b"[" * 1000 + b'"]', ["[" * 1000]),
        (b'["' + b"," * 300_000 + b'"]', ["," * 300_000]),
    ],
)
def test_accepted(parser, body, value):
    read = loads(body).value
    if value is not None:
        assert read == value
        assert type(read) is type(value)


def test_bounds_are_the_callers(parser):
    with pytest.raises(Malformed, match="2 levels"):
        loads(b"[[[]]]", max_depth=2)
    with pytest.raises(Malformed, match="3 values"):
        loads(b'{"a":1,"b":2,"c":3}', max_values=3)
    assert loads(b'{"a":1,"b":2}', max_values=3, max_depth=1).value == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("body", "plain"),
    [(b"123456789012345", True), (b"1234567890123456", False), (b'{"a":1.25}', True), (b"9007199254740993", False)],
)
def test_plain_numbers_are_those_that_floats_hold(parser, body, plain):
    document = loads(body)
    assert document.plain is plain


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


_PIECES = [b"", b'"', b",", b"\\", b'"a":1,', b"[", b"}", b"\xff", b"0", b"e9", b" ", b'"a":1,"a":2,']


@st.composite
def _bodies(draw):
    text = json.dumps(
        draw(_values), ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])), separators=(",", ":")
    ).encode("utf-8", "surrogatepass")
    if draw(st.booleans()):  # break it
        at = draw(st.integers(0, len(text)))
        piece = draw(
            st.sampled_from([b"", b'"', b",", b"\\", b'"a":1,', b"[", b"}", b"\xff", b"0", b"e9", b" ", b'"a":1,"a":2,'])
        )
        text = text[:at] + piece + text[at + draw(st.integers(0, 2)) :]
    return text


@settings(max_examples=400, deadline=None)
@example(b'{"a":1,"a":2,"b":1e15}')
@example(b'{"a":1,"a":":"}')
@example(b'{"\\u0061":1,"a":2}')
@given(_bodies())
def test_both_parsers_give_the_same_answers(body):
    def outcome():
        try:
            document = loads(body)
        except Malformed as error:
            return str(error)
        return repr(document)

    with_orjson = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_json, "_orjson", lambda: None)
        assert outcome() == with_orjson


@settings(max_examples=100, deadline=None)
@given(_values)
def test_what_is_written_is_read_back(value):
    try:
        body = dumps(value)
    except UnicodeEncodeError:
        return  # a lone surrogate
    assert loads(body).value == value


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 5_000_000,
        b'"' + b'\\"' * 2_500_000,
        b'{"a":"' + b"\\" * 5_000_000,
        b"[" + b"[]," * 1_500_000,
        b'"",' * 1_500_000,
        b"1" * 5_000_000,
        b'[{"a":1}' + b',{"a":1}' * 600_000,
    ],
    ids=["deep", "escapes", "backslashes", "wide", "strings", "digits", "objects"],
)
def test_hostile_bodies_are_refused_quickly(parser, body):
    start = time.process_time()
    with pytest.raises(Malformed):
        loads(body)
    assert allowed(2.0, time.process_time() - start)


def test_the_stack_may_end_before_the_bound(parser):
    assert loads(b"[" * 300 + b"]" * 300, max_depth=300).plain
    with pytest.raises(Malformed, match="too deeply"):
        loads(b"[" * 50_000 + b"]" * 50_000, max_depth=50_000)


def test_the_fast_parser_is_an_extra(monkeypatch):
    assert strict_json._orjson() is not None
    monkeypatch.setitem(sys.modules, "orjson", None)
    assert strict_json._orjson.__wrapped__() is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}, "\ud800"])
def test_what_json_can_not_say_is_not_written(value):
    with pytest.raises((ValueError, TypeError)):
        dumps(value)


@pytest.mark.parametrize("offset", range(12))
@pytest.mark.parametrize("digits", [15, 16, 17, 40])
def test_a_long_number_is_told_wherever_it_stands(offset, digits):
    body = b'{"a":' + b" " * offset + b"1" * digits + b',"b":[2,3]}'
    assert loads(body).plain is (digits < 16)


@given(st.lists(st.text("0123456789 -.,:ex", max_size=30), max_size=4))
@example(["1234 5678 9012 3456 7890"])
@example(["123456789012345", "6"])
@example(["x1234567890123456x"])
def test_only_digits_in_a_row_are_a_long_number(texts):
    body = json.dumps(texts).encode()
    assert loads(body).plain is (re.search(rb"[0-9]{16}", body) is None)


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        (b'{"a":1,"b":2}', True),
        (b'{"a":1,"a":2}', False),
        (b'{"a":":","b":":"}', True),
        (b'{"a":":","a":1}', False),
        (b'{"a":1,"a":":"}', False),
        (b'{"a":{"b":1,"b":2}}', False),
        (b'{"a":{"b":1},"c":[{"d":1},{"d":2}]}', True),
        (b'{"a":[{"d":1,"d":2}],"c":":"}', False),
        (b'[{"a":1,"b":2},{"a":1,"a":2}]', False),
    ],
)
def test_a_name_that_is_there_twice_is_told(body, fits):
    for text in (body, body.replace(b",", b" , ").replace(b":", b" : ")):
        if fits:
            loads(text)
        else:
            with pytest.raises(Malformed, match="twice"):
                loads(text)
