"""Headers in both forms, by one contract; Response and its body filters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeep.message import Field, Headers, Patch, RawHeaders, Response

names = st.sampled_from(["Accept", "accept", "X-One", "x-one", "Set-Cookie", "SET-COOKIE", "Vary"])
values = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=8)
pairs = st.lists(st.tuples(names, values), max_size=8)


@pytest.mark.parametrize("kind", [Headers, RawHeaders])
class TestHeadersContract:
    """What holds for text pairs (WSGI) and for bytes pairs (ASGI)."""

    def test_names_compare_without_case_and_repeats_stay(self, kind):
        headers = kind([("Set-Cookie", "a=1"), ("X-One", "1"), ("set-cookie", "b=2")])
        assert headers.get("SET-COOKIE") == "a=1"
        assert headers.get_all("set-cookie") == ["a=1", "b=2"]
        assert len(headers) == 3
        assert "x-ONE" in headers
        assert 7 not in headers
        assert headers.get("absent") is None
        assert headers.get("absent", "default") == "default"

    def test_set_replaces_every_field_of_the_name(self, kind):
        headers = kind([("Vary", "a"), ("X-One", "1"), ("vary", "b")])
        headers.set("VARY", "c")
        assert headers.get_all("vary") == ["c"]
        headers.stamp("vary", "d")
        assert headers.get_all("vary") == ["d"]
        headers.stamp("x-two", "2")
        assert headers.get_all("x-two") == ["2"]

    def test_setdefault_extend_remove_and_copy(self, kind):
        headers = kind([("X-One", "1")])
        headers.setdefault("x-one", "2")
        headers.setdefault("x-two", "2")
        copy = headers.copy()
        headers.extend([("x-three", "3")])
        assert headers.remove("X-TWO")
        assert not headers.remove("x-two")
        assert [name.lower() for name, _ in headers] == ["x-one", "x-three"]
        assert [name.lower() for name, _ in copy] == ["x-one", "x-two"]
        assert type(copy) is kind

    def test_what_an_app_handed_over_is_not_changed_under_its_hands(self, kind):
        raw = [(b"x-one", b"1")] if kind is RawHeaders else [("x-one", "1")]
        headers = kind.adopt(raw)
        headers.remove("x-one")
        assert len(raw) == 1

    @pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "a\0", "ä", "a\tb", "a(b)", 'a"', "€"])
    def test_a_name_that_is_no_token_is_refused(self, kind, name):
        headers = kind()
        with pytest.raises(ValueError):
            headers.add(name, "x")
        assert len(headers) == 0

    @pytest.mark.parametrize("value", ["a\r\nset-cookie: x", "a\nb", "a\rb", "a\0b", "€"])
    def test_a_value_that_would_split_the_head_is_refused_and_changes_nothing(self, kind, value):
        headers = kind([("x-one", "1")])
        for change in (headers.add, headers.set):
            with pytest.raises(ValueError):
                change("x-one", value)
        with pytest.raises(ValueError):
            headers.setdefault("x-two", value)
        assert headers.get_all("x-one") == ["1"]

    def test_equal_when_the_fields_are(self, kind):
        headers = kind([("X-One", "1")])
        assert headers == Headers([("x-one", "1")])
        assert headers == RawHeaders([("x-one", "1")])
        assert headers != kind([("X-One", "2")])
        assert headers != [("X-One", "1")]
        assert "1" in repr(headers)
        with pytest.raises(TypeError):
            hash(headers)


@given(pairs)
def test_both_forms_say_the_same(fields):
    text, raw = Headers(fields), RawHeaders(fields)
    assert text == raw
    assert text.raw() == raw.raw()
    assert [(name.lower(), value) for name, value in text.text()] == raw.text()
    for name in ("accept", "X-ONE", "set-cookie", "vary"):
        assert text.get_all(name) == raw.get_all(name)
        assert text.get(name) == raw.get(name)
    assert Headers.adopt(raw.text()) == text
    assert RawHeaders.adopt(text.raw()) == raw


PATCH = Patch(["X-One", "Accept"], [Field("X-One", "new")])
"""One for all examples: what it remembers of some requests must not change what it does to others."""


@given(st.lists(st.tuples(st.sampled_from(["X-One", "x_one", "Accept", "Vary", "X-Oner", "X-One-X"]), values), max_size=8))
def test_a_patch_does_the_same_to_both_forms(fields):
    text, raw = Headers(fields), RawHeaders([(name.lower(), value) for name, value in fields])
    for headers in (text, raw, raw.copy()):
        headers.patch(PATCH)
    assert text == raw
    assert raw.get_all("x-one") == ["new"]
    assert "accept" not in raw
    assert "x_one" not in raw
    assert [name for name, _ in text.text()][:-1] == [name for name, _ in fields if name in ("Vary", "X-Oner", "X-One-X")]


def test_a_patch_of_fields_whose_names_are_bytearrays():
    pairs = [(bytearray(b"X-One"), b"1"), (bytearray(b"vary"), b"*")]
    for fields in (pairs, tuple(pairs)):
        assert Patch(["x-one"], []).of_raw(fields) == [pairs[1]]


class Upper:
    """A filter that keeps one byte back and says what happened to it."""

    def __init__(self, log, name="upper", fails=""):
        self.log, self.name, self.fails, self.kept = log, name, fails, b""

    def feed(self, chunk):
        self._do("feed")
        data = self.kept + chunk.upper()
        self.kept = data[-1:]
        return data[:-1]

    def end(self):
        self._do("end")
        return self.kept + b"!"

    def abort(self):
        self._do("abort")

    def _do(self, what):
        self.log.append(f"{self.name}.{what}")
        if what == self.fails:
            raise RuntimeError(f"{self.name} can't {what}")


def test_filters_in_a_row_each_ended_once_and_in_turn():
    log = []
    response = Response(body=None)
    response.attach(Upper(log, "first"))
    response.attach(Upper(log, "second"))
    assert response.feed(b"") == b""
    assert log == []
    sent = response.feed(b"abc") + response.feed(b"d") + response.end(b"e")
    assert sent == b"ABCDE!!"
    assert [entry for entry in log if entry.endswith("end")] == ["first.end", "second.end"]
    assert log.index("first.end") < log.index("second.end")
    assert response.end(b"more") == b"more"
    response.abort()
    assert "first.abort" not in log


def test_a_filter_that_keeps_everything_back_starves_those_behind_it():
    log = []
    response = Response(body=None)
    response.attach(Upper(log, "first"))
    response.attach(Upper(log, "second"))
    assert response.feed(b"a") == b""
    assert log == ["first.feed"]


def test_abort_reaches_every_filter_even_past_one_that_fails(caplog):
    log = []
    response = Response(body=None)
    response.attach(Upper(log, "first", fails="abort"))
    response.attach(Upper(log, "second"))
    response.abort()
    response.abort()
    assert log == ["first.abort", "second.abort"]
    assert "abort() failed" in caplog.text


def test_after_a_failing_end_the_filters_behind_it_are_aborted():
    log = []
    response = Response(body=None)
    response.attach(Upper(log, "first", fails="end"))
    response.attach(Upper(log, "second"))
    with pytest.raises(RuntimeError):
        response.end(b"x")
    response.abort()
    assert log == ["first.feed", "first.end", "second.abort"]


def test_response_takes_headers_in_every_shape():
    assert Response(headers={"x-one": "1"}).headers.get("X-One") == "1"
    assert Response(headers=[("x-one", "1")]).headers.get("X-One") == "1"
    own = RawHeaders([("x-one", "1")])
    assert Response(headers=own).headers is own
    assert repr(Response(418)) == "<Response 418>"
    with pytest.raises(ValueError):
        Response(headers={"x-one": "a\r\nb"})
