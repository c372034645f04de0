"""JSONPath in Jayway's dialect: its own examples, what AWS' users write, and what would take too long."""

from __future__ import annotations

import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeep.components.transformer.json_path import MAX_STEPS, TooMuchWork, json_path
from pace import allowed

SAYINGS = {"category": "reference", "author": "Nigel Rees", "title": "Sayings of the Century", "price": 8.95}
SWORD = {"category": "fiction", "author": "Evelyn Waugh", "title": "Sword of Honour", "price": 12.99}
MOBY = {"category": "fiction", "author": "Herman Melville", "title": "Moby Dick", "isbn": "0-553-21311-3", "price": 8.99}
LORD = {"category": "fiction", "author": "J. R. R. Tolkien", "title": "The Lord", "isbn": "0-395-19395-8", "price": 22.99}
BICYCLE = {"color": "red", "price": 19.95}
STORE = {"book": [SAYINGS, SWORD, MOBY, LORD], "bicycle": BICYCLE}
DOCUMENT = {"store": STORE, "expensive": 10}
NOTHING = object()


@pytest.mark.parametrize(
    ("path", "found"),
    [
        # https://github.com/json-path/JsonPath, "Path Examples"
        ("$.store.book[*].author", ["Nigel Rees", "Evelyn Waugh", "Herman Melville", "J. R. R. Tolkien"]),
        ("$..author", ["Nigel Rees", "Evelyn Waugh", "Herman Melville", "J. R. R. Tolkien"]),
        ("$.store.*", [[SAYINGS, SWORD, MOBY, LORD], BICYCLE]),
        ("$.store..price", [8.95, 12.99, 8.99, 22.99, 19.95]),
        ("$..book[2]", [MOBY]),
        ("$..book[-2]", [MOBY]),
        ("$..book[0,1]", [SAYINGS, SWORD]),
        ("$..book[:2]", [SAYINGS, SWORD]),
        ("$..book[1:2]", [SWORD]),
        ("$..book[-2:]", [MOBY, LORD]),
        ("$..book[2:]", [MOBY, LORD]),
        ("$..book[?(@.isbn)]", [MOBY, LORD]),
        ("$.store.book[?(@.price < 10)]", [SAYINGS, MOBY]),
        ("$..book[?(@.price <= $['expensive'])]", [SAYINGS, MOBY]),
        ("$..book.length()", 1),
        ("$.store.book.length()", 4),
        ("$['store']['bicycle']['color']", "red"),
        # Definite and not.
        ("$", DOCUMENT),
        ("$.store.book[0].title", "Sayings of the Century"),
        ("$.store.book[-1].title", "The Lord"),
        ("$.store.book[4].title", NOTHING),
        ("$.store.book[-5]", NOTHING),
        ("$.store.book.title", NOTHING),
        ("$.nothing", NOTHING),
        ("$.nothing[*]", []),
        ("$..nothing", []),
        ("$.expensive[0]", NOTHING),
        ("$.expensive.*", []),
        ("store.bicycle.color", "red"),
        (" $.expensive ", 10),
        ("$.store.bicycle['color','price']", BICYCLE),
        ("$.store['book','bicycle'].color", ["red"]),
        ("$.expensive['color','price']", NOTHING),
        # Filters.
        ("$.store.book[?(!@.isbn)].price", [8.95, 12.99]),
        ("$.store.book[?(@.price > 9 && @.category == 'fiction')].price", [12.99, 22.99]),
        ("$.store.book[?(@.price > 20 || @.category == 'reference')].price", [8.95, 22.99]),
        ("$.store.book[?(!(@.price > 20 || @.price < 9))].price", [12.99]),
        ('$.store.book[?(@.author == "Nigel Rees")].price', [8.95]),
        ("$.store.book[?('Nigel Rees' == @.author)].price", [8.95]),
        ("$.store.book[?(@.isbn == null)].price", []),
        ("$.store.book[?(@.isbn != null)].price", [8.95, 12.99, 8.99, 22.99]),  # what is missing is not null either
        ("$.store.book[?(@.price == '8.95')].price", [8.95]),
        ("$.store.book[?(@.price === '8.95')].price", []),
        ("$.store.book[?(@.price !== 8.95)].price", [12.99, 8.99, 22.99]),
        ("$.store.book[?(@.author < 'F')].price", [12.99]),
        ("$.store.book[?(@.author >= 'N')].price", [8.95]),
        ("$.store.book[?(@.author > 5)].price", []),
        ("$.store.book[?(@.category in ['reference', 'x'])].price", [8.95]),
        ("$.store.book[?(@.category nin ['reference'])].price", [12.99, 8.99, 22.99]),
        ("$.store.book[?(@.isbn nin ['x'])].price", [8.99, 22.99]),
        ("$.store.book[?(@.title contains 'Sword')].price", [12.99]),
        ("$.store.book[?(@.isbn size 13)].price", [8.99, 22.99]),
        ("$.store.book[?(@.isbn empty false)].price", [8.99, 22.99]),
        ("$.store[?(@.book)].bicycle.color", ["red"]),  # an object is tested itself
        ("$..[?(@.isbn)].price", [8.99, 22.99]),
        ("$.store.book[?(@.length() > 4)].price", [8.99, 22.99]),
        ("$.store.book[?( @.price<9 )].price", [8.95, 8.99]),
        # Functions.
        ("$..price.sum()", 73.87),
        ("$.store.book[*].price.max()", 22.99),
        ("$..price.min()", 8.95),
        ("$.expensive.sum()", NOTHING),
        ("$.nothing.length()", NOTHING),
        ("$.expensive.length()", None),
        ("$.store.bicycle.keys()", ["color", "price"]),
        ("$.store.book.keys()", NOTHING),
        ("$.store.book.first()", SAYINGS),
        ("$.store.book.last()", LORD),
        ("$.store.book.index(1)", SWORD),
        ("$.store.book.index(9)", NOTHING),
        ("$.store.book[*].category.concat()", "referencefictionfictionfiction"),
        ("$.store.bicycle.concat()", NOTHING),
    ],
)
def test_paths(path, found):
    wanted = pytest.approx(found) if isinstance(found, float) else found
    assert json_path(path).find(DOCUMENT, NOTHING) == wanted


@pytest.mark.parametrize(
    ("document", "path", "found"),
    [
        ([1, 2, 3], "$[*]", [1, 2, 3]),
        ([1, 2, 3], "$.avg()", 2),
        ([2, 4, 4, 4, 5, 5, 7, 9], "$.stddev()", 2.0),
        ([10**99, 10**99], "$.sum()", 2 * 10**99),
        ([1e308, 1e308], "$.sum()", NOTHING),
        ([True, False], "$.sum()", NOTHING),
        ([1e308, 1e308], "$.avg()", NOTHING),
        ([1e308, -1e308], "$.stddev()", 1e308),
        ([10**99] * 3, "$.stddev()", 0.0),
        ({"it's": 1, 'a"b': 2, "a.b": 3, "": 4}, "$['it\\'s']", 1),
        ({"it's": 1, 'a"b': 2, "a.b": 3, "": 4}, '$["a\\"b"]', 2),
        ({"it's": 1, 'a"b': 2, "a.b": 3, "": 4}, "$['a.b']", 3),
        ({"it's": 1, 'a"b': 2, "a.b": 3, "": 4}, "$['']", 4),
        ({"a\nb": 1}, "$['a\\nb']", 1),
        ({"a-b": 1, "@type": 2, "x:y": 3, "ünï": 4}, "$.a-b", 1),
        ({"a-b": 1, "@type": 2, "x:y": 3, "ünï": 4}, "$.@type", 2),
        ({"a-b": 1, "@type": 2, "x:y": 3, "ünï": 4}, "$.x:y", 3),
        ({"a-b": 1, "@type": 2, "x:y": 3, "ünï": 4}, "$.ünï", 4),
        ([{"t": ["a", "b"]}, {"t": ["c"]}, {"t": []}], "$[?(@.t contains 'a')]", [{"t": ["a", "b"]}]),
        (
            [{"t": ["a", "b"]}, {"t": ["c"]}, {"t": []}],
            "$[?(@.t subsetof ['a','b','c'])]",
            [{"t": ["a", "b"]}, {"t": ["c"]}, {"t": []}],
        ),
        ([{"t": ["a", "b"]}, {"t": ["c"]}, {"t": []}], "$[?(@.t anyof ['b'])]", [{"t": ["a", "b"]}]),
        ([{"t": ["a", "b"]}, {"t": ["c"]}, {"t": []}], "$[?(@.t noneof ['b'])]", [{"t": ["c"]}, {"t": []}]),
        ([{"t": ["a", "b"]}, {"t": ["c"]}, {"t": []}], "$[?(@.t all ['a','b'])]", [{"t": ["a", "b"]}]),
        ([{"t": ["a", "b"]}, {"t": ["c"]}, {"t": []}], "$[?(@.t empty true)]", [{"t": []}]),
        ([{"t": ["a", "b"]}, {"t": ["c"]}, {"t": []}], "$[?(@.t size 1)]", [{"t": ["c"]}]),
        ([{"t": ["a", "b"]}, {"t": ["c"]}], "$[?(@.t == ['a', 'b'])]", [{"t": ["a", "b"]}]),
        ([{"a": {"x": [1]}, "b": {"x": [1]}}, {"a": {"x": [1]}, "b": {"x": [True]}}], "$[?(@.a == @.b)].a.x", [[1]]),
        ([{"a": {"x": 1}, "b": {"y": 1}}, {"a": [1], "b": [1, 2]}], "$[?(@.a == @.b)]", []),
        ([{"a": 1}, {"a": True}, {"a": 1.0}, {"a": "1"}], "$[?(@.a == 1)].a", [1, 1.0, "1"]),
        ([{"a": 1}, {"a": True}, {"a": None}], "$[?(@.a == true)].a", [True]),
        ([{"a": 1}, {"a": None}], "$[?(@.a == null)]", [{"a": None}]),
        ([{"a": "x"}, {"a": "5"}], "$[?(@.a == 5)]", [{"a": "5"}]),
        ([{"a": 5}, {"a": 6}], "$[?(@.a == 'x')]", []),
        ([5, 6], "$[?(@ > 5)]", [6]),
        ([5, 6], "$[?(@ >= -5.5e0)]", [5, 6]),
        ([[1, [2]], [3]], "$..[0]", [[1, [2]], 1, 2, 3]),
        ([[[1]]], "$..*", [[[1]], [1], 1]),
        ([{"p": [{"q": 1}, {"q": 2}]}, {"p": [{"q": 1}]}], "$[?(@.p[?(@.q == 2)].length() == 1)]", [{"p": [{"q": 1}, {"q": 2}]}]),
    ],
)
def test_more_paths(document, path, found):
    assert json_path(path).find(document, NOTHING) == found


@pytest.mark.parametrize("path", ["$.a", "$['a']", "$.a[0]", "$.a.b[-1]['c','d']", "$", "$.a.length()"])
def test_a_definite_path(path):
    assert json_path(path).definite


@pytest.mark.parametrize("path", ["$..a", "$.*", "$[*]", "$[0,1]", "$[1:]", "$['a','b'].c", "$[?(@.a)]"])
def test_an_indefinite_path_gives_a_list_whatever_it_finds(path):
    assert not json_path(path).definite
    assert json_path(path).find(None) == []


@pytest.mark.parametrize(
    "path",
    [
        *(
            "",
            "$.",
            "$..",
            "$a",
            "$.a b",
            "$.a.",
            "$.a..",
            "$[",
            "$[]",
            "$[a]",
            "$['a]",
            "$['a'",
            "$[1",
            "$[1:2:3]",
            "$[1,]",
            "$[--1]",
        ),
        *(
            "$[?]",
            "$[?()]",
            "$[?(@.a]",
            "$[?(@.a ==)]",
            "$[?(@.a = 1)]",
            "$[?(5)]",
            "$[?(@.a =~ /x/)]",
            "$[?(@.a == x)]",
            "$[?(@.a &&)]",
        ),
        *(
            "$.a.foo()",
            "$.a.index()",
            "$.a.length(1)",
            "$.length().a",
            "$.a()",
            "$..length()",
            "$[?(@.a == [1)]",
            "$[?(@.a == 1e)]",
        ),
        *("$[99999999999]", "$." + "a" * 1024, "$" + "[?(@" * 17 + ")]" * 17, "$[?(" + "(" * 20 + "@.a" + ")" * 20 + ")]"),
        *("$[?(" + "!" * 20 + "@.a)]", "$[?(@.a in " + "[" * 20 + "]" * 20 + ")]", "$.a)", "$.a]", "@@"),
    ],
)
def test_what_is_no_path(path):
    with pytest.raises(ValueError, match="JSONPath"):
        json_path(path)


@given(st.text(alphabet="$@.[]()?*'\",:&|!=<> abc019-length\\", max_size=40))
def test_any_text_is_a_path_or_a_value_error(text):
    try:
        path = json_path(text)
    except ValueError:
        return
    path.find({"a": [{"b": 1, "c": "x"}, 0], "b": {"a": None}})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(json_values)
def test_each_value_is_found_by_its_own_path(value):
    def walk(part, path):
        assert json_path(path).find(value, NOTHING) is part
        if isinstance(part, dict):
            for name, member in part.items():
                quoted = name.replace("\\", "\\\\").replace("'", "\\'")
                walk(member, f"{path}['{quoted}']")
        if isinstance(part, list):
            for index, item in enumerate(part):
                walk(item, f"{path}[{index}]")

    walk(value, "$")


def nested(depth, wide=1):
    value = [1] * wide
    for _ in range(depth):
        value = [value, {"a": 1}]
    return value


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (nested(60, 500), "$..*..*..*"),
        (nested(60, 500), "$" + "..[0]" * 30),
        ([0] * 200_000, "$[?(@ == 1)]"),
        ([[0] * 300] * 300, "$[*][" + ",".join(["0"] * 400) + "]"),
        ([{"a": [1] * 1000}] * 1000, "$[?(@.a == $[0].a)]"),
        ([{"a": list(range(1000))}] * 1000, "$[?(@.a contains -1)]"),
        ([{"a": list(range(1000))}] * 1000, "$[?(@.a noneof $[0].a)]"),
        ([{"a": {str(n): n for n in range(1000)}}] * 1000, "$[?(@.a == $[1].a)]"),
        ([1] * 2000, "$[?($[?(@ == 2)].length() == 1)]"),
        (["x" * 1_000_000] * 1000, "$[?(@ contains 'y')]"),
        (["x" * 1_000_000] * 500, "$[?(@ == $[0])]"),
    ],
)
def test_too_much_work_is_given_up_soon(document, path):
    began = time.process_time()
    try:
        json_path(path).find(document)
    except TooMuchWork:
        pass
    limit = 0.5 if sys.gettrace() is None else 4  # what measures coverage takes its own share
    assert allowed(limit, time.process_time() - began)


def test_the_steps_are_counted():
    path = json_path("$[*]")
    assert len(path.find([0] * (MAX_STEPS - 1))) == MAX_STEPS - 1
    with pytest.raises(TooMuchWork):
        path.find([0] * (MAX_STEPS + 1))
