"""What a template can reach, and what it may cost: attacks on the engine from templates and from what they are given."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeep.components.transformer.vtl import patterns
from gatekeep.components.transformer.vtl.engine import MAX_ITEMS, Template
from gatekeep.components.transformer.vtl.methods import call, get, put
from gatekeep.components.transformer.vtl.objects import Overrides, variables
from gatekeep.components.transformer.vtl.values import BadInput, Budget, Entry, Failed, HeaderMap, JavaList, Once, TooMuch
from gatekeep.components.transformer.vtl.ways import Place
from gatekeep.testing import FakeClock
from pace import allowed


class Loaded:
    """An object of Python's, as none should get in: whatever is touched of it is told."""

    touched: ClassVar[list[str]] = []

    def __getattribute__(self, name):
        type(self).touched.append(name) if name not in ("__class__", "touched") else None
        return object.__getattribute__(self, name)

    def method(self):
        return "reached"

    value = "reached"


_ATTRIBUTES = [
    "__class__",
    "__init__",
    "__dict__",
    "__globals__",
    "__subclasses__",
    "__reduce__",
    "_parser",
    "mro",
    "format",
    "join",
]
_SUBJECTS = {
    "text": "text",
    "number": 5,
    "double": 2.5,
    "truth": True,
    "list": [1],
    "map": {"k": "v"},
    "object": Loaded(),
    "function": len,
    "kind": str,
    "bytes": b"bytes",
    "java": JavaList([1]),
    "headers": HeaderMap(a="1"),
    "once": Once(a=1),
    "entry": Entry(("k", "v")),
}


@pytest.mark.parametrize("name", _ATTRIBUTES)
@pytest.mark.parametrize("subject", [*_SUBJECTS, "input", "util", "context", "stageVariables", "foreach"])
def test_no_attribute_of_python_is_reached(subject, name):
    text = (
        f"#foreach($i in [1])[${subject}.{name}][${subject}.{name}()][${subject}.{name}('x')][${subject}['{name}']]"
        f"[$!{{{subject}.{name}.{name}}}][${subject}.toString().{name}]#end"
        f"#set(${subject}.{name} = 'set')"
    )
    printed = Template(text).render({**_host(), **_SUBJECTS})
    assert set(printed) <= set("[]")
    assert Loaded.touched == []


def _host():
    body = "[" + "[1]," * 10_000 + "1]"
    return variables(SimpleNamespace(path_params={}), body, Overrides(), {}, FakeClock(), Budget(10_000, 10_000, 0.1))


@given(st.text(max_size=20), st.sampled_from(sorted(_SUBJECTS)))
def test_whatever_name_is_asked_for(name, subject):
    value = _SUBJECTS[subject]
    budget = Budget(1_000, 10_000, 0.1)
    if name not in ("k", "a", "key", "value"):
        assert get(value, name, budget) is None
    if subject in ("object", "function", "kind", "bytes"):
        assert call(value, name, [], budget) is None
        assert put(value, name, 1, budget) is None


HOSTILE = [
    ("a loop of loops", "#foreach($a in [1..1000])#foreach($b in [1..1000])#foreach($c in [1..1000])x#end#end#end"),
    ("a loop too long", "#foreach($a in $long)x#end"),
    ("a range too long", "#set($x = [1..1000000000])"),
    ("a text that doubles", "#set($s = 'xxxxxxxx')#foreach($i in [1..60])#set($s = \"$s$s\")#end$s"),
    ("a sum that doubles", "#set($s = 'xxxxxxxx')#foreach($i in [1..60])#set($s = $s + $s)#end$s"),
    ("a text that doubles by concat", "#set($s = 'xxxxxxxx')#foreach($i in [1..60])#set($s = $s.concat($s))#end$s"),
    ("a text that is replaced by itself", "#set($s = 'xx')#foreach($i in [1..60])#set($s = $s.replace('x', $s))#end$s"),
    ("the same by a pattern", "#set($s = 'xx')#foreach($i in [1..60])#set($s = $s.replaceAll('[x]', $s))#end$s"),
    ("the same by its first match", "#set($s = 'xx')#foreach($i in [1..90])#set($s = $s.replaceFirst('', $s))#end$s"),
    ("a list that doubles", "#set($l = [1, 2])#foreach($i in [1..60])#set($x = $l.addAll($l))#end"),
    ("a list in itself", "#set($l = [1])#set($x = $l.add($l))$l"),
    ("a list of JSON in itself", "#set($x = $json.add($json))$json"),
    ("a map in itself", "#set($m = {})#set($m.m = $m)$m"),
    ("equality of what holds itself", "#set($m = {})#set($m.m = $m)#if($m == $m)#end"),
    ("a search in what holds itself", "#set($l = [1])#set($x = $l.add($l))$l.contains('y')"),
    ("lists that print exponentially", "#set($l = [1, 2])#foreach($i in [1..60])#set($l = [$l, $l])#end$l"),
    (
        "the same as JSON",
        "#set($l = $json)#foreach($i in [1..60])#set($x = $l.subList(0, 0))#set($y = $x.addAll([$l, $l]))#set($l = $x)#end$l",
    ),
    ("numbers that square", "#set($n = 10)#foreach($i in [1..100])#set($n = $n * $n)#end$n"),
    ("a define of itself", "#define($d)x$d#end$d"),
    (
        "defines that double",
        "#define($a)x#end"
        + "".join(f"#define($d{n})${'a' if n == 0 else f'd{n - 1}'}${'a' if n == 0 else f'd{n - 1}'}#end" for n in range(18))
        + "#foreach($i in [1..9])$d17#end",
    ),
    ("a pattern that backtracks", "$aaa.matches('(a|aa)+[bcd]')"),
    ("the same, replaced", "$aaa.replaceAll('(a|aa)+[bcd]', '')"),
    ("the same, split", "$aaa.split('(a|aa)+b')"),
    (
        "many patterns that backtrack a little",
        "#foreach($i in [1..1000])#set($x = $aaa.substring(0, 22).matches('(a|aa)+[bcd]'))#end",
    ),
    ("a pattern too long", "$aaa.matches($aaaa)"),
    ("a search over and over", "#foreach($i in [1..1000])#foreach($j in [1..1000])#if($big.contains('y'))#end#end#end"),
    ("upper case over and over", "#foreach($i in [1..1000])#set($x = $big.toUpperCase())#end"),
    ("a split into pieces", "#foreach($i in [1..1000])#set($x = $big.split(''))#end"),
    ("escapes that grow", "#set($s = 'é')#foreach($i in [1..60])#set($s = $util.escapeJavaScript($s))#end$s"),
    ("encodings that grow", "#set($s = '%')#foreach($i in [1..90])#set($s = $util.urlEncode(\"$s$s\"))#end$s"),
    ("a search for numbers over and over", "#foreach($i in [1..1000])#set($x = $numbers.contains(-1))#end"),
    ("a path over and over", "#foreach($i in [1..1000])#set($x = $input.path('$..nothing').size())#end"),
    ("patterns without end", '#foreach($i in [1..1000])#set($x = $aaa.matches("(a|$i|$wide)+c"))#end'),
    ("what is nested too deeply", "$deep"),
]


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in HOSTILE])
def test_time_and_memory_are_bounded(text):
    deep = []
    for _ in range(100):
        deep = [deep]
    given = {
        **_host(),
        "aaa": "a" * 40,
        "aaaa": "a?" * 600,
        "big": "x" * 1_000_000,
        "deep": {"deep": deep},
        "json": [1],
        "numbers": list(range(1_000)),
        "wide": "|".join(f"[a-{chr(98 + n % 20)}]{{1,{n + 1}}}" for n in range(60)),
        "long": [1] * (MAX_ITEMS + 1),
    }
    template = Template(text)
    began = time.process_time()
    with pytest.raises(TooMuch if "$n * $n" not in text else Failed):
        template.render(given)
    assert allowed(3, time.process_time() - began)  # a tenth of it where no coverage is measured


def test_a_regular_expression_without_its_library_fails(monkeypatch):
    patterns._library.cache_clear()
    monkeypatch.setitem(sys.modules, "regex", None)
    with pytest.raises(Failed, match="regex, which is not installed"):
        Template("$x.matches('a+')").render({"x": "a"})
    assert Template("$x.replaceAll('a\\.', 'c')").render({"x": "a.b"}) == "cb"


def test_the_library_is_not_loaded_in_the_time_of_a_template(monkeypatch):
    load, now = patterns._library, [0.0]

    def load_slowly():
        now[0] += 60.0
        return load()

    monkeypatch.setattr(patterns, "time", SimpleNamespace(thread_time=lambda: now[0]))
    monkeypatch.setattr(patterns, "_library", load_slowly)
    assert Template("$x.replaceAll('[ab]', '<$0>')").render({"x": "aC"}) == "<a>C"


def test_a_rendering_takes_what_it_was_lent():
    budget = Budget(100_000, 5, 0.1)
    with pytest.raises(TooMuch, match="too much text"):
        Template("123456").render({}, budget)
    with pytest.raises(TooMuch, match="too many steps"):
        Template("#foreach($i in [1..9])$i$i#end").render({}, Budget(10, 1_000, 0.1))


def test_half_of_a_surrogate_pair_does_not_get_through():
    given = _host()
    for text in ("$util.urlEncode($half)", "$util.parseJson($half)", "$util.base64Encode($half)"):
        with pytest.raises(BadInput):
            Template(text).render({**given, "half": "\ud800"})
    assert Template("$util.escapeJavaScript($half)").render({**given, "half": "\ud800"}) == "\\uD800"
    place = Place("GET /", {}, FakeClock(), None, {})
    exchange = SimpleNamespace(state={}, path_params={"id": "\ud800"})
    with pytest.raises(Failed, match="half of a surrogate pair"):
        place.render(Template("$input.params('id')"), exchange, "")


def test_a_stack_that_is_nearly_used_up():
    template = Template("#if(true)" * 60 + "x" + "#end" * 60)

    def deeper():
        try:
            return deeper()
        except RecursionError:
            return template.render({})

    with pytest.raises(TooMuch, match="nested too deeply"):
        deeper()
    assert template.render({}) == "x"


def test_a_text_is_looked_for_from_its_end_in_linear_time():
    began = time.thread_time()
    given = {"text": "a" * 400_000, "part": "ab" + "a" * 200_000}
    assert Template("$text.lastIndexOf($part)").render(given) == "-1"
    assert allowed(1, time.thread_time() - began)
    found = [Template(f"$text.lastIndexOf('{part}')").render({"text": "abcabc"}) for part in ("bc", "a", "", "abcabc", "cc")]
    assert found == ["4", "3", "6", "0", "-1"]


def test_long_texts_that_are_nearly_equal_cost_more():
    given = {"one": "a" * 1_000_000, "other": "a" * 999_999 + "b"}
    for test in ("$one == $other", "$one.equals($other)"):
        with pytest.raises(TooMuch, match="too many steps"):
            Template(f"#foreach($i in [1..1000])#if({test})#end#end").render(given)
    assert Template("#foreach($i in [1..100])#if($one == $other)x#end#end").render(given) == ""


@pytest.mark.parametrize("method", ["intValue", "longValue"])
def test_numbers_that_no_number_of_java_holds(method):
    for number in (float("inf"), float("nan")):
        with pytest.raises(Failed, match="too large"):
            Template(f"$x.{method}()").render({"x": number})
    with pytest.raises(Failed, match="too large"):
        Template("$x.doubleValue()").render({"x": 10**400})
    assert Template("$x.intValue() $x.doubleValue()").render({"x": 2.5}) == "2 2.5"
