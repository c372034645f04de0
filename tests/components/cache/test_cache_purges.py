"""Purges: what they meet, in which order of purge and entry, and what is forgotten."""

from __future__ import annotations

import pytest
from cache_kit import entry, key
from hypothesis import given
from hypothesis import strategies as st

from gatekeep.components.cache.purges import Purge, Purges, one_purge
from interleaving import meanwhile


@pytest.mark.parametrize(
    ("purge", "meets"),
    [
        (Purge("tag", "a"), True),
        (Purge("tag", "c"), False),
        (Purge("key", "/api/orders/42"), True),
        (Purge("key", "/api/orders/42?page=2"), True),
        (Purge("key", "/api/orders/42?page=3"), False),
        (Purge("key", "/orders/42"), False),
        (Purge("key", "/api/orders"), False),
        (Purge("prefix", "/api/ord"), True),
        (Purge("prefix", "/ord"), False),
        (Purge("uri", ("http", "api.example.com", "/api", "/orders/42")), True),
        (Purge("uri", ("http", "other.example.com", "/api", "/orders/42")), False),
        (Purge("all"), True),
    ],
)
def test_a_purge_meets_an_older_entry_and_no_younger_one(purge, meets):
    purges = Purges()
    where = key(root="/api", query="page=2")
    old = entry(tags=["a", "b"], epoch=purges.now)
    purges.apply(purge)
    young = entry(tags=["a", "b"], epoch=purges.now)
    assert purges.spares(old, where) is not meets
    assert purges.spares(young, where)


def test_an_entry_that_is_spared_is_up_to_date():
    purges = Purges()
    one = entry(tags=["a"], epoch=purges.now)
    purges.apply(Purge("tag", "b"))
    assert one.epoch != purges.now
    assert purges.spares(one, key())
    assert one.epoch == purges.now


def test_the_query_is_compared_as_it_was_sent_where_the_key_has_it():
    purges = Purges()
    old = entry(epoch=0)
    purges.apply(Purge("key", "/orders/42?page=2"))
    assert not purges.spares(old, key(query="page=2"))
    assert not purges.spares(old, key(query=("page=2", b"/orders%2F42")))
    assert purges.spares(old, key(query=(("2",),)))


@pytest.mark.parametrize("kind", ["tag", "prefix"])
def test_what_is_forgotten_for_want_of_room_takes_what_is_as_old_with_it(kind):
    purges = Purges(max_targets=3, max_prefixes=3)
    oldest = entry(tags=["z"], epoch=purges.now)
    purges.apply(Purge(kind, "/0"))
    younger = entry(tags=["z"], epoch=purges.now)
    for number in range(1, 4):
        purges.apply(Purge(kind, f"/{number}"))
    assert not purges.spares(oldest, key())
    assert purges.spares(younger, key())


def test_a_target_that_is_purged_again_and_again_takes_one_place():
    purges = Purges(max_targets=2, max_prefixes=2)
    old = entry(tags=["z"], epoch=0)
    for _ in range(10):
        purges.apply(Purge("tag", "a"))
        purges.apply(Purge("prefix", "/a"))
    assert purges.spares(old, key())


names = st.sampled_from(["a", "b", "c"])


@given(st.lists(st.one_of(names.map(lambda name: ("purge", name)), names.map(lambda name: ("store", name))), max_size=30))
def test_an_entry_is_good_exactly_if_no_purge_of_its_tag_came_after_it(steps):
    purges = Purges()
    stored = []
    for what, name in steps:
        if what == "purge":
            purges.apply(Purge("tag", name))
            stored = [(tag, kept, good and tag != name) for tag, kept, good in stored]
        else:
            stored.append((name, entry(tags=[name], epoch=purges.now), True))
        for _, kept, good in stored:
            assert purges.spares(kept, key()) is good


@pytest.mark.parametrize(
    ("given", "purge"),
    [
        ({"tag": "order:42"}, Purge("tag", "order:42")),
        ({"key": "/orders/a%20b"}, Purge("key", "/orders/a b")),
        ({"key": "/orders/42?q=a%20b"}, Purge("key", "/orders/42?q=a%20b")),
        ({"prefix": "/orders/"}, Purge("prefix", "/orders/")),
        ({"all": True}, Purge("all")),
    ],
)
def test_what_a_caller_means(given, purge):
    assert one_purge(**{"tag": None, "key": None, "prefix": None, "all": False, **given}) == purge


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, ValueError),
        ({"tag": "a", "all": True}, ValueError),
        ({"tag": "a", "key": "/a"}, ValueError),
        ({"tag": ""}, ValueError),
        ({"key": "orders"}, ValueError),
        ({"prefix": ""}, ValueError),
        ({"tag": 42}, TypeError),
    ],
)
def test_what_a_caller_can_not_mean(given, error):
    with pytest.raises(error):
        one_purge(**{"tag": None, "key": None, "prefix": None, "all": False, **given})


@pytest.mark.parametrize("again", ["a", "b", "d"], ids=["the same", "another", "one too many"])
def test_what_was_purged_is_served_at_no_moment_of_the_next_purge(again):
    purges = Purges(max_targets=2)
    one, where, seen = entry(tags=["a"], epoch=purges.now), key(), []
    purges.apply(Purge("tag", "a"))
    purges.apply(Purge("tag", "b"))
    with meanwhile(lambda: seen.append(purges.spares(one, where))):
        purges.apply(Purge("tag", again))
    assert len(seen) > 20
    assert not any(seen)


@pytest.mark.parametrize("next_one", [Purge("tag", "c"), Purge("all")])
def test_nor_by_who_began_to_look_before_it(next_one):
    for moment in range(2000):
        purges = Purges(max_targets=1)
        one, where, waiting = entry(tags=["a"], epoch=purges.now), key(), iter([False] * moment + [True])
        purges.apply(Purge("tag", "a"))
        with meanwhile(lambda waiting=waiting, purges=purges: next(waiting, False) and purges.apply(next_one)):
            assert not purges.spares(one, where)
        if purges.now == 1:
            break
    assert 20 < moment < 1999
