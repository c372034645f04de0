"""The language: what templates print, as Velocity 1.7 has it, and otherwise where AWS is known to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeep.components.transformer.vtl.engine import Template
from gatekeep.components.transformer.vtl.values import Failed


def render(template, **variables):
    return Template(template).render(variables)


PRINTED = [
    ("nothing to fill in", "<p>13 $ 5 # 6 $5 #13ff93 ${ </p>", "<p>13 $ 5 # 6 $5 #13ff93 ${ </p>"),
    ("S what is not there prints nothing", "[$missing][$!missing][${missing}][$a.b.c()][$list[9]]", "[][][][][]"),
    ("a name may hold hyphens", "$a-b ${a}-b", "hyphen 1-b"),
    ("an alternate", "${missing|'else'} ${a|'else'}", "else 1"),
    ("steps", "$map.k $map['k'] $map.get('k') $list[1] $list[-1] $list.get(0)", "v v v 2 2 1"),
    ("a brace left over", "$a}", "1}"),
    ("a text in single quotes stays as it is", "#set($x = '$a \\n it''s')$x", "$a \\n it's"),
    ("a text in double quotes is filled in", '#set($x = "<$a> ""q"" \\$a #if(true)y#end")$x', '<1> "q" $a y'),
    ("S backslashes in quotes mean nothing", '#set($x = "\\\\batman\\nand")$x', "\\\\batman\\nand"),
    ("S escaped", "\\$a \\\\$a \\ \\\\ \\# \\$ \\#end", "$a \\1 \\ \\\\ \\# \\$ #end"),
    ("comments", "a## $a\nb#* c\n *#d#[[ $a #if ]]#e", "abd $a #if e"),
    ("S line ends after directives", "1\n#set($x = 1)\n#if($x)\n2\n#else\n3\n#end\n4", "1\n2\n4"),
    ("S null is true", "#if($missing)y#end#if(!$missing)n#end", "y"),
    ("S false alone is false", "#if(false)y#{else}n#end#if(0)0#end#if('')''#end", "n0''"),
    ("else if", "#if(false)a#elseif($a == 1)b#{else}c#end", "b"),
    ("S null equals nothing", "#if($missing == $null && $missing == '')y#end", "y"),
    ("numbers are equal by value", "#if(1 == 1.0)y#end#if('1' == 1)y#end#if(1 != 2)y#end", "yyy"),
    ("words for operators", "#if(1 lt 2 and 2 le 2 and 3 gt 2 and 3 ge 3 and 1 ne 2 and 1 eq 1 and not false)y#end", "y"),
    ("short circuits", "#set($l = [])#if(false && $l.add(1))#end#if(true || $l.add(1))#end$l.size()", "0"),
    ("what is no number is not ordered", "#if('a' < 'b')y#{else}n#end", "n"),
    ("S precedence", "#set($x = 2 + 5 * 4 - 2)$x #set($y = 4 > 2 + 5)$y #set($z = (5 + 4) % 2)$z", "20 false 1"),
    ("division", "#set($x = 7 / 2)$x #set($x = -7 / 2)$x #set($x = -7 % 2)$x #set($x = 100.0 / 50)$x", "3 -3 -1 2.0"),
    ("division by nothing is null", "#set($x = 1 / 0)[$x]#set($x = 1e308 * 10)[$x]#set($x = 'a' * 2)[$x]", "[][][]"),
    ("sums of texts", "#set($x = 'a' + 1 + $missing)$x", "a1"),
    ("S decimal numbers", "#set($x = .5 * .1)$x", "0.05"),
    ("ranges", "#foreach($i in [1..3])$i#end #foreach($i in [2..-1])$i,#end #foreach($i in ['a'..2])x#end", "123 2,1,0,-1, "),
    (
        "S loops count",
        "#foreach($i in ['a', 'b'])$foreach.count$foreach.index$i#if($foreach.first)F#end#if($velocityHasNext)+#end#end",
        "10aF+21b",
    ),
    (
        "S loops count from one",
        "#foreach($i in [7, 8])$velocityCount#if($foreach.hasNext)+#end#if($foreach.last)L#end#end",
        "1+2L",
    ),
    ("S loops nest", "#foreach($i in [1,2])#foreach($j in [3])$foreach.parent.count$foreach.count#end#end$!foreach", "1121"),
    ("S the variable of a loop is its own", "#set($i = 9)#foreach($i in [1, 2])$i#end$i", "129"),
    ("the values of a map", "#foreach($v in $map)$v#end#foreach($v in 'text')x#end#foreach($v in $missing)x#end", "v"),
    ("entries", "#foreach($e in $map.entrySet())$e.key=$e.value=$e.getKey()=$e.getValue()=$e#end", "k=v=k=v=k=v"),
    ("break", "#foreach($i in [1, 2, 3])$i#if($i == 2)#break#end#end", "12"),
    ("S stop", "hello #stop world", "hello "),
    ("S define", "#define($d)<$x>#end#set($x = 1)$d#set($x = 2)$d ${d}()", "<1><2> <2>()"),
    ("S there are no macros", "#macro(m $x)\nbody#end\n#m(1)#evaluate($a)#parse('x')", "#m(1)#evaluate($a)#parse('x')"),
    ("set members", "#set($m = {})#set($m.a = 1)#set($m['b'] = 2)#set($m[3] = 4)$m", "{a=1, b=2, 3=4}"),
    ("S set a member of a name that is not there", '#set($m = {})#set($m["$no"] = "x")$m', "{=x}"),
    ("set items", "#set($l = [1, 2])#set($l[0] = 'x')#set($l[7] = 'y')$l", "[x, 2]"),
    ("set what can't be", "#set($a.b = 1)#set($missing.b = 1)$a", "1"),
    ("S a map prints as in Java", "$order", "{foo=bar, to=null}"),
    ("S a list of JSON prints as JSON", "$lines $lines.toString()", '[{"foo":"bär"}] [{"foo":"bär"}]'),
    ("S so it does in a map", "$nested", '{foo=[{"nested":"bar"}], m={a=true}}'),
    ("a list of the template's prints as in Java", "#set($l = [1, 'a', [true], {'k': 2.5}])$l", "[1, a, [true], {k=2.5}]"),
    ("S empty literals", "#set($m = {})$m#set($l = [])$l", "{}[]"),
    ("doubles as in Java", "$d1 $d2 $d3 $d4", "1.0E10 1.5E-5 0.001 123456.789"),
    ("infinities", "$inf", "Infinity"),
    ("methods that there are not", "[$a.nothing()][$text.length(1)][$text.getClass()][$list.nothing][$map.class]", "[][][][][]"),
]


@pytest.mark.parametrize(("text", "printed"), [pytest.param(text, printed, id=name) for name, text, printed in PRINTED])
def test_a_template_prints(text, printed):
    variables = {
        "a": 1,
        "a-b": "hyphen",
        "map": {"k": "v"},
        "list": [1, 2],
        "text": "text",
        "order": {"foo": "bar", "to": None},
        "lines": [{"foo": "bär"}],
        "nested": {"foo": [{"nested": "bar"}], "m": {"a": True}},
        "d1": 1e10,
        "d2": 1.5e-5,
        "d3": 0.001,
        "d4": 123456.789,
        "inf": float("inf"),
    }
    assert render(text, **variables) == printed


METHODS = [
    ("$t.length() $t.isEmpty() $t.charAt(1) $t.indexOf('b') $t.indexOf('b', 3) $t.lastIndexOf('b')", "6 false b 1 4 4"),
    (
        "$t.contains('Ca') $t.startsWith('ab') $t.endsWith('x') $t.equals('x') $t.equalsIgnoreCase('ABCABC')",
        "true true false false true",
    ),
    ("$t.substring(1) $t.substring(1, 3) $t.toUpperCase() $t.toLowerCase() $t.concat('!')", "bCabc bC ABCABC abcabc abCabc!"),
    ("$t.replace('b', '') $t.replaceAll('[ab]', '<$0>') $t.replaceFirst('b', 'x')", "aCac <a><b>C<a><b>c axCabc"),
    ("$t.replaceAll('b', '\\$') $t.replaceFirst('b.', '-') $t.replaceAll('(x)?b', '[$1]')", "a$Ca$c a-abc a[]Ca[]c"),
    ("$t.matches('[a-c]*') $t.matches('[a-cC]*') $t.matches('abCabc') $t.compareTo('b')", "false true true -1"),
    (
        "$t.split('b') $t.split('b', 2) $t.split('[bC]') $t.split('[bC]', 2) $t.split('b', 1) $s.split(',')",
        "[a, Ca, c] [a, Cabc] [a, , a, c] [a, Cabc] [abCabc] [a, , b]",
    ),
    ("$s.trim().length() $s.split('', 3).size()", "6 3"),
    (
        "$l.size() $l.isEmpty() $l.contains(2) $l.contains('x') $l.indexOf(2) $l.subList(0, 1) $l.equals([1])",
        "2 false true false 1 [1] false",
    ),
    (
        "#set($x = $l.add(3))$x $l #set($x = $l.add(0, 9))$l $l.addAll([7]) $l $l.addAll('x')",
        "true [1,2,3] [9,1,2,3] true [9,1,2,3,7] false",
    ),
    ("$l.set(0, 'x') $l $l.remove('x') $l.remove('y') $l.remove(0) $l #set($x = $l.clear())$l", '1 ["x",2] true false 2 [] []'),
    (
        "$m.size() $m.containsKey('k') $m.containsValue('v') $m.containsValue(1) $m.keySet() $m.values()",
        "1 true true false [k] [v]",
    ),
    ("$m.put('k', 'w') $m.put('n', 1) $m.getOrDefault('z', 'd') $m.remove('n') $m", "v  d 1 {k=w}"),
    ("$m.putIfAbsent('k', 1) $m.putIfAbsent('z', 1) #set($x = $m.putAll({'y': 2}))$m $m.putAll(1)", "v  {k=v, z=1, y=2} "),
    (
        "$n.intValue() $n.longValue() $n.doubleValue() $n.toString() $n.parseInt('12') $n.parseDouble('1.5') $n.compareTo(3)",
        "5 5 5.0 5 12 1.5 1",
    ),
    ("$n.compareTo('x')$n.parseInt('1111111111111111111111111111111111')$b.toString()", "true"),
]


@pytest.mark.parametrize(("text", "printed"), METHODS)
def test_methods_of_java(text, printed):
    variables = {"t": "abCabc", "s": "a,,b,, ", "l": [1, 2], "m": {"k": "v"}, "n": 5, "b": True}
    if "$s.split(',')" in text:
        variables["s"] = "a,,b,,"
    assert render(text, **variables) == printed


@pytest.mark.parametrize(
    "text",
    [
        "#set($x = 1",
        "#set(x = 1)",
        "#set($x.size() = 1)",
        "#set($x 1)",
        "#if(true)",
        "#if(true)#else#else#end",
        "#if()#end",
        "#end",
        "#else",
        "#foreach($x in [1])",
        "#foreach($x.y in [1])#end",
        "#foreach($x of [1])#end",
        "#foreach($x in [1])#else#end",
        "#define($d)",
        "#macro(m",
        "$x.f(",
        "$x.f(1",
        "$x[1",
        "${x",
        '#set($x = "#end")',
        "#set($x = [1, 2)",
        "#set($x = {'a': 1)",
        "#set($x = {'a' 1})",
        "#set($x = (1)",
        "#set($x = 1111111111111111111111111111111111111)",
        "#set($x = [1..2)",
        "#set($x = " + "(" * 5_000 + "1" + ")" * 5_000 + ")",
        "#set($x = 1" + "+1" * 20_000 + ")",
        "x" * 300_001,
        "\ud800",
    ],
)
def test_what_is_no_template(text):
    with pytest.raises(ValueError, match="template"):
        Template(text)


def test_a_mistake_is_named_with_its_line():
    with pytest.raises(ValueError, match="line 3 of the template: '=' is missing"):
        Template("one\ntwo\n#set($x)")


@pytest.mark.parametrize(
    "text",
    [
        "$t.substring(4)",
        "$t.substring(2, 1)",
        "$t.charAt(3)",
        "$t.charAt('x')",
        "$l.get(5)",
        "$l.set(5, 1)",
        "$l.remove(5)",
        "$l.subList(0, 5)",
        "$t.matches('(')",
        "$t.replaceAll('b.', '$7')",
        "$n.parseInt('x')",
        "$bad.toString()",
    ],
)
def test_what_java_would_throw_fails(text):
    with pytest.raises(Failed):
        render(text, t="abc", l=[1], n=1, bad=[float("nan")])


@given(st.text(alphabet="$#{}()[]!.|\\\"' \nab1=", max_size=40))
def test_any_text_is_a_template_or_is_refused(text):
    try:
        template = Template(text)
    except ValueError:
        return
    try:
        template.render({"a": {"b": [1, "x"]}})
    except Failed:
        pass


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(_JSON, max_size=3))
def test_a_list_of_json_is_printed_as_json(value):
    import json

    assert json.loads(render("$x", x=value)) == value
