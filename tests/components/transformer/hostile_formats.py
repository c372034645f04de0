"""Hostile bodies for a Transform that takes every format and maps bodies."""

from __future__ import annotations

import gzip
import json

import msgpack

from gatekeep import Transform, map_body, redact, set_header
from hostile_runner import Cases

JSON, XML, CSV, YAML = "application/json", "application/xml", "text/csv", "application/yaml"
PACK, FORM, LINES = "application/msgpack", "application/x-www-form-urlencoded", "application/x-ndjson"

_LAUGHS = "<!DOCTYPE a [" + "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9)) + ']><a b="&e9;">&e9;</a>'
_ANCHORS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{f'*{chr(97 + n)},' * 9}]\n" for n in range(9)
)


def _plain(content_type: str, bodies: dict[str, bytes | str]) -> Cases:
    return {
        f"{content_type}: {name}": (content_type, {}, lambda body=body: body if isinstance(body, bytes) else body.encode())
        for name, body in bodies.items()
    }


CASES: Cases = {
    **_plain(
        XML,
        {
            "laughs": _LAUGHS,
            "an external entity": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
            "an external document type": '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd"><a/>',
            "a parameter entity": '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x"> %x;]><a/>',
            "a document type in UTF-16": '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a><a/>'.encode("utf-16"),
            "a document type in UTF-7": b'<?xml version="1.0" encoding="utf-7"?>+ADw-+ACE-DOCTYPE a+AD4-<a/>',
            "deep elements": "<a>" * 100_000 + "</a>" * 100_000,
            "unclosed elements": "<a>" * 500_000,
            "wide elements": "<a>" + "<b/>" * 300_000 + "</a>",
            "wide texts": "<a>" + "<b>x</b>" * 99_990 + "x</a>",
            "attributes": "<a " + " ".join(f'b{n}="1"' for n in range(200_000)) + "/>",
            "one attribute twice": '<a b="1" b="2"/>',
            "a large attribute": '<a b="' + "x" * 5_000_000,
            "an endless comment": "<!--" + "-" * 5_000_000,
            "an endless instruction": "<?a " + "?" * 5_000_000,
            "an endless name": "<" + "a" * 5_000_000,
            "character references": "<a>" + "&#x1F600;" * 500_000,
            "a NUL by reference": "<a>&#0;</a>",
            "texts and elements in turn": "<a>" + "x<b/>" * 100_000 + "</a>",
            "namespaces": "<a " + " ".join(f'xmlns:n{n}="u{n}"' for n in range(100_000)) + "/>",
            "two documents": "<a/><a/>",
        },
    ),
    **_plain(
        YAML,
        {
            "anchors": _ANCHORS,
            "a python object": "!!python/object/apply:os.system ['true']",
            "a python name": "!!python/name:os.system",
            "deep flows": "[" * 99_000,
            "deep blocks": "".join(" " * n + "-\n" for n in range(440)),
            "keys that are lists": "? [a]\n: b",
            "merges": "a: &a {x: 1}\nb: {<<: *a}",
            "a large integer": "a: " + "9" * 99_000,
            "sexagesimals": "a: !!int 1" + ":59" * 30_000,
            "binary": "a: !!binary " + "AAAA" * 20_000,
            "larger than it may be": "a: " + "x" * 200_000,
            "many documents": "--- 1\n" * 10_000,
            "many quotes": "'" * 99_999,
            "an endless tag": "!<" + "a" * 99_000,
        },
    ),
    **_plain(
        PACK,
        {
            "an array of four thousand million": b"\xdd\xff\xff\xff\xff",
            "a map of four thousand million": b"\xdf\xff\xff\xff\xff",
            "a text of four thousand million": b"\xdb\xff\xff\xff\xff",
            "bytes of four thousand million": b"\xc6\xff\xff\xff\xff",
            "deep arrays": b"\x91" * 100_000,
            "arrays of arrays that say more than they hold": b"\xdd\x00\xff\xff\xff" * 10_000,
            "many nils": b"\xdd\x00\x4c\x4b\x40" + b"\xc0" * 5_000_000,
            "bytes": msgpack.packb(b"x"),
            "an extension": msgpack.packb(msgpack.ExtType(5, b"x" * 100)),
            "a time": b"\xd7\xff" + b"\xff" * 8,
            "not a number": msgpack.packb(float("nan")),
            "a name twice": b"\x82\xa1a\x01\xa1a\x02",
            "a name that is a list": b"\x81\x91\x01\x02",
            "half a text": b"\xa1\xff",
            "two values": b"\x01\x01",
        },
    ),
    **_plain(
        CSV,
        {
            "a wide row": "a," * 500_000,
            "many rows": "a\n" + "1\n" * 200_000,
            "many names and rows": ",".join(map(str, range(2_000))) + "\n" + ("," * 1_999 + "\n") * 200,
            "an open quote": 'a\n"' + "x" * 5_000_000,
            "many quotes": '"' * 200_001,
            "a large cell": "a\n" + "x" * 5_000_000,
            "a NUL": "a\n\x00",
        },
    ),
    **_plain(FORM, {"many fields": "a=1&" * 200_000, "escapes": "a=" + "%ff" * 300_000, "one name": "a=1&" * 120_000}),
    **_plain(
        LINES,
        {
            "deep lines": "[" * 100_000 + "\n",
            "many lines": "1\n" * 200_000,
            "lines of many values": ("[" + "1," * 999 + "1]\n") * 200,
            "one line that is none": "1\n" * 1_000 + "{",
        },
    ),
    **_plain(
        JSON,
        {
            "deep": "[" * 100_000,
            "many values for a query": json.dumps({"items": [{"price": 1, "tags": ["a"] * 7}] * 9_900}),
            "a text where a number is asked for": '{"items": [{"price": "x"}]}',
        },
    ),
    # As large as the gateway takes.
    **{
        f"{content_type}: {size // 1_000_000} MB of {unit[:24]!r}": (
            content_type,
            {},
            lambda head=head, unit=unit, size=size: head + unit * (size // len(unit)),
        )
        for content_type, head, unit, size in [
            (CSV, b"a\n", b"1\n", 10_000_000),
            (CSV, b"a\n", b"\n", 10_000_000),
            (CSV, b"a\n", b"1\n", 3_990_000),
            (CSV, b"a\n", b"\n", 3_990_000),
            (CSV, b"a\n", b"\r", 3_990_000),
            (CSV, b"a\n", b"a,", 3_990_000),
            (LINES, b"", b"\n", 10_000_000),
            (LINES, b"", b" ", 10_000_000),
            (LINES, b"", b"1\n", 10_000_000),
            (LINES, b"", b"[" + b"1," * 99_990 + b"1]\n", 10_000_000),
            (FORM, b"a=", b"%ff", 10_000_000),
            (FORM, b"a=", b"%ff", 990_000),
            (FORM, b"a=", b"+", 990_000),
            (PACK, b"", b"\xdd\x00\x01\x86\x9f" + b"\xc0" * 99_990, 10_000_000),
            (PACK, b"", b"\xdd\x00\x01\x86\x9f" + b"\xc0" * 99_990, 3_990_000),
            (PACK, b"", b"\xde\xff\xff", 3_990_000),
            (XML, b"<a>", b"x", 10_000_000),
            (XML, b"<a>", b"<b></b>", 3_990_000),
            (XML, b"<a>", b"&lt;", 3_990_000),
            (XML, b'<a b="', b"&lt;", 3_990_000),
            (XML, b"<a>", b"<![CDATA[x]]>", 3_990_000),
            (XML, b"<a>", b"<?b c?>", 3_990_000),
            (XML, b"<a>", b"\n", 3_990_000),
            (YAML, b"", b" ", 99_000),
            (YAML, b"", b"- ", 99_000),
            (YAML, b"", b"a\n", 99_000),
            (YAML, b"", b"- a\n", 99_000),
            (YAML, b"[", b"{}, ", 99_000),
        ]
    },
    "compressed": (JSON, {"content-encoding": "gzip"}, lambda: gzip.compress(b"[" + b"1," * 50_000_000 + b"1]", 1)),
    "XML, compressed": (XML, {"content-encoding": "deflate"}, lambda: b"x"),
    "no type": ("", {}, lambda: b"{}"),
    "another type": ("application/pdf", {}, lambda: b"%PDF"),
}

SPECS = [
    Transform(
        request=[
            redact("**.secret"),
            set_header("x-sum", "${sum(request.body.items[].price)}"),
            map_body(
                {
                    "sorted": "${sort_by(body.items, &price)[].{price: price, all: tags[*]}}",
                    "dear": "${$..items[?(@.price > 0 && @.tags contains 'b')]..*}",
                    "sum": "${sum(body.items[].price)}",
                }
            ),
        ],
        accepts=["json", "xml", "csv", "yaml", "msgpack", "form", "ndjson"],
    )
]
GOOD = (JSON, b'{"items": [{"price": 1, "tags": ["b"]}], "secret": 5}')
