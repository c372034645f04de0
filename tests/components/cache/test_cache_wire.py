"""Entries as bytes: they come back as they were, and whatever else comes is a miss."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from uuid import UUID

import pytest
from cache_kit import entry
from hypothesis import example, given
from hypothesis import strategies as st

from gatekeep.components.cache.digest import Unshareable, digest
from gatekeep.components.cache.form import FORMS
from gatekeep.components.cache.wire import Broken, Stamp, Wire, _checksum
from gatekeep.testing import FakeClock

STAMP = Stamp("era", 3)
SECRET, OTHER = b"s" * 32, b"o" * 32
CLOCK = FakeClock()


def epoch_of(stamp):
    return 7 if stamp == STAMP else None


def wire(*secrets, clock=CLOCK, compress_over=1024, max_body=2**20):
    return Wire(clock, max_body=max_body, compress_over=compress_over, secrets=secrets)


def written(one, *secrets, names=(), name=b"name", clock=CLOCK):
    return wire(*secrets, clock=clock).write(one, names, STAMP, name)


def read(blob, *secrets, form="wsgi", name=b"name", clock=CLOCK):
    return wire(*secrets, clock=clock).read(blob, FORMS[form], name, epoch_of)


@pytest.mark.parametrize("secrets", [(), (SECRET,)])
@pytest.mark.parametrize("form", ["wsgi", "asgi"])
@pytest.mark.parametrize("body", [b"", b"\0\xff", b"compress me" * 1000])
def test_an_entry_comes_back_as_it_was(secrets, form, body):
    now = CLOCK.monotonic()
    one = entry(
        body,
        form=form,
        born=now - 5,
        tags=["a", "b\u20ac"],
        pairs=[("Content-Type", "text/plain"), ("X-Name", "caf\xe9"), ("X-Name", "two")],
        etag='"x"',
        modified="Sun, 06 Nov 1994 08:49:37 GMT",
        revalidate_within=5.0,
        error_within=6.0,
        strict=True,
    )
    names, back = read(written(one, *secrets, names=("accept",)), *secrets, form=form)
    assert names == ("accept",)
    assert back.body == body
    assert back.pairs == one.pairs
    assert back.tags == one.tags
    assert back.epoch == 7
    for same in ("status", "etag", "modified", "revalidate_within", "error_within", "strict", "form"):
        assert getattr(back, same) == getattr(one, same), same
    for time in ("born", "expires", "due"):
        assert getattr(back, time) == pytest.approx(getattr(one, time), abs=1e-3)


def test_times_are_told_by_the_wall_not_by_one_process_clock():
    here = FakeClock()
    here.advance(1000)
    one = entry(born=here.monotonic() - 10, ttl=60)
    there = FakeClock(wall=here.wall() + 20)
    _, back = read(written(one, clock=here), clock=there)
    assert back.expires == pytest.approx(there.monotonic() + 30, abs=1e-3)


def test_an_entity_tag_of_our_own_making_is_not_told_for_one_of_the_app():
    one = entry(born=CLOCK.monotonic())
    one.identify("strong")
    assert len(one.pairs) == 2
    _, back = read(written(one))
    assert len(back.pairs) == 1
    back.identify("strong")
    assert back.tag == one.tag
    assert back.pairs == one.pairs


def test_a_signpost_has_names_and_no_entry():
    blob = wire(SECRET).signpost(("accept", "x-a"), b"name")
    assert read(blob, SECRET) == (("accept", "x-a"), None)


def test_what_is_large_is_compressed_where_that_helps():
    one = entry(b"a" * 10_000, born=CLOCK.monotonic())
    assert len(written(one)) < 1000
    assert len(wire(compress_over=None).write(one, (), STAMP, b"name")) > 10_000
    noise = entry(bytes(digest(number)[0] for number in range(5000)), born=CLOCK.monotonic())
    assert read(written(noise))[1].body == noise.body


def test_an_encrypted_entry_shows_nothing():
    one = entry(b"the secret body", born=CLOCK.monotonic(), tags=["secret-tag"], pairs=[("X-Secret", "secret-value")])
    first, second = written(one, SECRET), written(one, SECRET)
    assert first != second
    for word in (b"secret", b"x-s", b"era", b"X-S"):
        assert word not in first


@pytest.mark.parametrize("secrets", [(), (SECRET,)])
def test_whatever_is_changed_in_a_blob_makes_it_a_miss(secrets):
    blob = written(entry(b"body", born=CLOCK.monotonic()), *secrets)
    for position in range(len(blob)):
        forged = bytearray(blob)
        forged[position] ^= 1
        with pytest.raises(Broken):
            read(bytes(forged), *secrets)
    for length in range(len(blob)):
        with pytest.raises(Broken):
            read(blob[:length], *secrets)
    with pytest.raises(Broken):
        read(blob + b"x", *secrets)


@pytest.mark.parametrize("secrets", [(), (SECRET,)])
def test_a_blob_in_anothers_place_is_a_miss(secrets):
    with pytest.raises(Broken):
        read(written(entry(born=CLOCK.monotonic()), *secrets), *secrets, name=b"another")


def test_secrets_can_be_rotated():
    one = entry(born=CLOCK.monotonic())
    old = written(one, OTHER)
    assert read(old, SECRET, OTHER)[1].body == b"body"
    assert read(written(one, SECRET, OTHER), SECRET)[1].body == b"body"
    for blob, secrets in ((old, (SECRET,)), (old, ()), (written(one), (SECRET,))):
        with pytest.raises(Broken):
            read(blob, *secrets)


def test_a_foreign_version_is_a_miss():
    blob = written(entry(born=CLOCK.monotonic()))
    with pytest.raises(Broken, match="version"):
        read(blob[:2] + b"\x02" + blob[3:])
    with pytest.raises(Broken, match="version"):
        read(b"\x80\x04\x95pickle")


def forged(change, body=b"body"):
    """What somebody makes who may write to the store: the checksum is right, the content is theirs."""
    head = {
        "names": [],
        "stamp": list(STAMP),
        "status": 200,
        "pairs": [["content-type", "text/plain"]],
        "etag": None,
        "modified": None,
        "times": [CLOCK.wall() - 1, CLOCK.wall() + 60, CLOCK.wall() + 60],
        "windows": [0, 0],
        "strict": False,
        "tags": [],
        "length": len(body),
        **change,
    }
    text = json.dumps(head).encode()
    content = b"%d %b%b" % (len(text), text, body)
    return b"gk\x01\0" + _checksum(b"name", content) + content


def test_a_forged_head_that_is_a_possible_one_is_read():
    assert read(forged({}))[1].body == b"body"


@pytest.mark.parametrize(
    "change",
    [
        {"names": None},
        {"names": [1]},
        {"stamp": ["other", 3]},
        {"stamp": ["era", "3"]},
        {"stamp": ["era"]},
        {"status": 99},
        {"status": 100},
        {"status": True},
        {"status": "200"},
        {"pairs": [["a b", "x"]]},
        {"pairs": [["a", "x\r\nSet-Cookie: y"]]},
        {"pairs": [["a", "\u20ac"]]},
        {"pairs": [["a"]]},
        {"pairs": [[["a"], "b"]]},
        {"pairs": {"a": "b"}},
        {"etag": "x\ny"},
        {"etag": 3},
        {"modified": ["x"]},
        {"times": [0, 0]},
        {"times": [1, 2, "3"]},
        {"times": [1e308, 1e308, 1e308]},
        {"times": [CLOCK.wall() + 3600, CLOCK.wall() + 7200, 0]},
        {"times": [CLOCK.wall(), CLOCK.wall() + 1e9, 0]},
        {"times": [CLOCK.wall(), CLOCK.wall() - 10, 0]},
        {"windows": [-1, 0]},
        {"windows": [1e12, 0]},
        {"tags": [1]},
        {"tags": None},
        {"length": 3},
        {"length": 5},
        {"length": -1},
        {"length": 2**40},
        {"length": None},
    ],
)
def test_a_forged_head_that_can_not_be_is_a_miss(change):
    with pytest.raises(Broken):
        read(forged(change))


@pytest.mark.parametrize("text", [b"", b"x", b"9", b"99999999999 {}", b"-1 {}", b"2 []", b'5 {"a":', b"3 nul", b"2 \xff\xff"])
def test_a_head_that_is_none_is_a_miss(text):
    with pytest.raises(Broken):
        read(b"gk\x01\0" + _checksum(b"name", text) + text)


def test_a_head_nested_beyond_reason_is_a_miss():
    deep = b"[" * 100_000
    content = b"%d %b" % (len(deep), deep)
    with pytest.raises(Broken):
        read(b"gk\x01\0" + _checksum(b"name", content) + content)


def test_a_body_inflates_to_no_more_than_was_said():
    bomb = zlib.compress(b"\0" * 50_000_000)
    with pytest.raises(Broken, match="length"):
        read(forged({"length": 1000}, body=bomb))
    with pytest.raises(Broken):
        read(forged({"length": 60_000_000}, body=bomb))
    with pytest.raises(Broken):
        read(forged({"length": 4}, body=zlib.compress(b"body") + b"x"))


@given(st.binary(max_size=200))
@example(b"gk\x01\1")
def test_rubbish_is_a_miss(blob):
    for secrets in ((), (SECRET,)):
        with pytest.raises(Broken):
            read(blob, *secrets)


def test_purges_are_told_in_the_same_envelopes():
    assert wire(SECRET).unseal(wire(SECRET).seal(["tag", "a"], b"purge"), b"purge") == ["tag", "a"]
    with pytest.raises(Broken):
        wire(SECRET).unseal(wire(OTHER).seal(["tag", "a"], b"purge"), b"purge")


# Digests.


class Colour(Enum):
    RED = 1
    BLUE = 2


class Shade(StrEnum):
    RED = "red"


parts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=8,
)


@given(parts, parts)
@example(("a", "b"), ("ab",))
@example(("1",), (1,))
@example(("",), ())
@example((None,), ("",))
@example((True,), (1,))
@example((("a",), "b"), ("a", ("b",)))
@example((b"a",), ("a",))
def test_digests_differ_exactly_where_keys_do(one, other):
    assert (digest(one) == digest(other)) == (repr_of(one) == repr_of(other))


def repr_of(part):
    """Types told apart, sets in order: what digest() should tell."""
    if isinstance(part, tuple):
        return ("t", *map(repr_of, part))
    if isinstance(part, frozenset):
        return ("f", *sorted(map(repr, map(repr_of, part))))
    return (type(part).__name__, repr(part))


def test_sets_are_digested_without_regard_to_their_order():
    assert digest(frozenset(["a", "b", "c"])) == digest(frozenset(["c", "b", "a"]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Colour.RED, Colour.BLUE),
        (Shade.RED, "red"),
        (UUID(int=1), UUID(int=2)),
        (date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)),
        (Decimal("1.0"), Decimal("1.00")),
        (UUID(int=1), UUID(int=1).bytes),
    ],
)
def test_values_that_key_functions_give_are_told_apart(one, other):
    assert digest((one,)) == digest((one,))
    assert digest((one,)) != digest((other,))


def test_what_no_two_processes_can_compare_is_refused():
    with pytest.raises(Unshareable):
        digest((object(),))


def test_a_secret_makes_digests_that_nobody_can_guess():
    assert digest("a", SECRET) != digest("a")
    assert digest("a", SECRET) == digest("a", SECRET)
