"""Patterns: as ECMA-262 means them, in linear time, and nothing that could take longer."""

from __future__ import annotations

import gc
import random
import re
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeep.patterns.automaton import Pattern, Search, compiled
from gatekeep.patterns.ecma import parse
from pace import allowed


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("", ["", "x"], []),
        ("a", ["a", "xay"], ["", "b"]),
        ("^a", ["ab"], ["ba", ""]),
        ("a$", ["ba"], ["ab", "a\n"]),
        ("^$", [""], ["x", "\n"]),
        ("^a|$", ["", "b", "bb", "a"], []),
        ("^(a|b)$", ["a", "b"], ["ab", ""]),
        ("^a{2,3}$", ["aa", "aaa"], ["a", "aaaa"]),
        ("^a{2}$", ["aa"], ["aaa"]),
        ("^(?:ab)?c+?$", ["c", "abccc"], ["ab", "bc"]),
        ("^[a-z0-9]+(?:-[a-z0-9]+)*$", ["a", "a-b-9"], ["-a", "a--b", ""]),
        ("^[^a-z]$", ["A", "é", "\n"], ["a", ""]),
        (r"^[^\d\s]$", ["x"], ["1", " ", "\u00a0"]),
        (r"^\d+$", ["019"], ["٣", ""]),
        (r"^\D$", ["٣", "x"], ["3"]),
        (r"^\w+$", ["a_9Z"], ["é", "-"]),
        (r"^\W$", ["é", "-"], ["_"]),
        (r"^\s\S$", [" x", "\ufeffx", "\u2028x"], ["xx", "\u0085x"]),
        ("^.$", ["x", "\x85", "😀"], ["\n", "\r", "\u2028", "", "xy"]),
        (r"^\u00e9[\u4e00-\u9fff]$", ["é中"], ["éa"]),
        (r"^\p{Lu}\p{L}*$", ["Élan", "A"], ["élan", "A1"]),
        (r"^\P{Letter}$", ["1", "٣"], ["é"]),
        (r"^[\p{Nd}_]+$", ["٣_3"], ["a"]),
        (r"^\p{gc=LC}\p{ASCII}\p{Any}$", ["aa😀"], ["中a😀"]),
        (r"^(?=.*\d)(?=.*[A-Z])(?!.*\s).{4,}$", ["Abc1", "1ABC"], ["abc1", "A1", "A 1bc", "Abcd"]),
        ("^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$", ["-1.5", "3", "+.5"], ["-", "", ".", "a"]),
        ("(?=a)^ab", ["ab"], ["bab"]),
        (r"^\cJ\x41\0\t\u{1F600}\uD83D\uDE00$", ["\nA\x00\t😀😀"], ["A"]),
        (r"^[\b\-\]a-]$", ["\b", "-", "]", "a"], ["b"]),
        ("^{a}{1,x}$", ["{a}{1,x}"], ["a"]),
        ("^[]$", [], ["", "a"]),
        ("^[^]$", ["a", "\n"], [""]),
        (r"^\.\/\$$", ["./$"], ["x/$"]),
        ("(?P<year>[0-9]{4})", ["in 1999"], ["in 199"]),
        ("x*", ["", "y"], []),
        ("(a*)*$", ["", "aab"], []),
        ("^(a*)*$", ["", "aa"], ["aab"]),
        ("a^b", [], ["ab", "a\nb"]),
        ("[\x00-\U0010ffff]", ["\x00", "\U0010ffff"], [""]),
        ("[^\x00-\U0010ffff]", [], ["", "a"]),
        ("[^x]", ["a"], ["x", ""]),
    ],
)
def test_search(pattern, matching, other):
    search = Pattern(pattern).search
    assert [text for text in (*matching, *other) if search(text)] == matching


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "lacks a"),
        ("a)", "too many"),
        ("[a", "in the middle"),
        ("a\\", "in the middle"),
        ("a**", "repeats a repetition"),
        ("*a", "nothing stands before"),
        ("a{2,1}", "ends before it begins"),
        (r"(a)\1", "back-references"),
        (r"(?<x>a)\k<x>", "back-references"),
        ("(?<1x>a)", "no name"),
        ("(?=a)b", "without \\^"),
        ("^a(?=b)", "elsewhere"),
        ("(?<!a)b", "look-behind"),
        (r"\bword\b", "boundaries"),
        (r"\Aa\Z", "means nothing"),
        ("(?i)a", "flags"),
        ("(?i:a)", "flags"),
        ("a++", "repeats a repetition"),
        ("(?>a)", "another dialect"),
        (r"\p{Script=Greek}", "no general category"),
        (r"\pL", "lacks its"),
        (r"\p{L", "lacks a"),
        (r"\x1", "2 hexadecimal"),
        (r"\u12", "4 hexadecimal"),
        (r"\u{110000}", "no code point"),
        ("[b-a]", "backwards"),
        (r"[a-\d]", "from one character"),
        ("a{30000}", "too large"),
        ("((a{100}){100}){100}", "too large"),
        ("((){100000}){100000}", "too large"),
        ("(" * 5000 + ")" * 5000, "too deeply"),
    ],
)
def test_refused(pattern, reason):
    with pytest.raises(ValueError, match=reason):
        Pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^(a+)+$", "a" * 200_000 + "b"),
        ("(a|a)*b", "a" * 200_000),
        ("(a*)*b", "a" * 200_000),
        (r"\s+$", " " * 200_000 + "x"),
        ("^(.*,){20}x", "," * 200_000),
        ("a.{18}x", "ab" * 5_000 + "aab" * 5_000 + "abbaba" * 5_000),
        ("(x+x+)+y", "x" * 200_000),
    ],
)
def test_linear(pattern, text):
    search = Pattern(pattern).search
    start = time.process_time()
    assert not search(text)
    assert allowed(1.5, time.process_time() - start)


def test_states_are_bounded_and_may_be_forgotten():
    pattern = Search(parse("a[ab]{10}c"))
    bits = [format(number, "012b").translate({48: "a", 49: "b"}) for number in range(2**12)]
    assert not pattern.search("".join(bits))
    assert len(pattern._states) <= 1_000
    assert pattern.search("".join(bits) + "abbbbaaabbac")


def test_compiled_once():
    assert compiled("^once$") is compiled("^once$")


# Against Python's own engine, with the meaning made equal: `$` as \Z, ASCII classes, and texts without odd line ends.

_atoms = st.sampled_from(["a", "b", "c", ".", r"\d", r"\w", r"\W", "[ab]", "[^a]", "[a-c1]", r"[^\d]", "^", "$", "1"])
_patterns = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{2,}", "*?"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(_patterns, st.lists(st.text("abc1é-", max_size=7), min_size=1, max_size=6))
def test_the_same_as_re(pattern, texts):
    search = Pattern(pattern).search
    reference = re.compile(pattern.replace("$", r"\Z"), re.ASCII)
    for text in texts:
        assert search(text) == bool(reference.search(text)), (pattern, text)


def test_threads_that_forget_states_at_once_do_not_disturb_each_other():
    search = Search(parse("(a|b)*a(a|b){11}c"))
    known = re.compile("[ab]*a[ab]{11}c")
    failures = []

    def work(seed):
        choice = random.Random(seed).choice
        for _ in range(10):
            text = "".join([choice("ab") for _ in range(1_000)]) + "c"
            try:
                if search.search(text) != bool(known.search(text[-20:])):
                    failures.append(text)
            except RuntimeError as error:
                failures.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not failures


def test_states_that_another_thread_adds_while_some_are_forgotten_are_no_trouble():
    # A garbage collection is where CPython 3.11 lets other threads in, in the midst of what looks like one step.
    search = Search(parse("(a|b)*a(a|b){11}c"))
    text = "".join([random.Random(1).choice("ab") for _ in range(1_000)])
    search.search(text)
    added = []

    def add_one(phase, info):
        added.append(len(added))
        search._states[frozenset(added), False, False] = search._start

    thresholds = gc.get_threshold()
    gc.callbacks.append(add_one)
    gc.set_threshold(1, 1, 1)
    try:
        search._forget()
    finally:
        gc.callbacks.remove(add_one)
        gc.set_threshold(*thresholds)
    assert search.search(text + "c") == bool(re.search("[ab]*a[ab]{11}c", text + "c"))
