"""The memory that entries live in: bounds, what is evicted first, clearing."""

from __future__ import annotations

import threading
from typing import Any

from cache_kit import entry as made

from gatekeep.components.cache.entry import Entry
from gatekeep.components.cache.memory import Memory


def entry(body: bytes = b"x") -> Entry:
    return made(body, pairs=[("Content-Length", str(len(body)))])


def put(memory: Memory, key: str, body: bytes = b"x", vary: tuple[str, ...] = (), **fields: str) -> None:
    memory.put((key,), vary, fields.get, entry(body))


def body(memory: Memory, key: str, *values: str | None) -> bytes | None:
    record = memory.get((key,))
    found = record.variants.get(values) if record is not None else None
    return found.body if found is not None else None


def test_it_never_grows_over_its_bytes() -> None:
    memory = Memory(100_000)
    for n in range(500):
        put(memory, f"k{n}", b"x" * (n * 37 % 5_000))
        memory.get((f"k{n * 7 % 500}",))
        assert memory.size <= memory.max_bytes
    assert len(memory) > 5


def test_long_keys_count() -> None:
    memory = Memory(1_000_000)
    put(memory, "k" * 50_000)
    assert memory.size > 50_000
    memory.put(("k2",), ("accept",), {"accept": "a" * 70_000}.get, entry())
    assert memory.size > 120_000
    memory.put(("k3", (), (("a" * 30_000,), b"b" * 20_000), 7), (), {}.get, entry())
    assert memory.size > 170_000


def test_a_flood_of_new_keys_does_not_push_out_what_is_in_use() -> None:
    memory = Memory(200_000)
    for n in range(10):
        put(memory, f"hot{n}", b"h" * 1_000)
        assert body(memory, f"hot{n}") is not None
    for n in range(5_000):
        put(memory, f"flood{n}", b"f" * 1_000)
    assert all(body(memory, f"hot{n}") for n in range(10))
    assert body(memory, "flood0") is None


def test_what_was_in_use_gives_way_to_what_is() -> None:
    memory = Memory(100_000)
    for n in range(200):
        put(memory, f"k{n}", b"x" * 1_000)
        assert body(memory, f"k{n}") is not None
    assert body(memory, "k0") is None
    assert body(memory, "k199") is not None
    assert memory.size <= memory.max_bytes


def test_what_is_kept_may_grow() -> None:
    memory = Memory(100_000)
    for n in range(20):
        put(memory, f"k{n}")
        assert body(memory, f"k{n}") is not None
    for n in range(20):
        put(memory, f"k{n}", b"x" * 6_000)
        assert memory.size <= memory.max_bytes
    put(memory, "new", b"x" * 6_000)
    assert body(memory, "new") is not None


def test_variants_are_told_apart_and_bounded() -> None:
    memory = Memory()
    for n in range(100):
        put(memory, "k", str(n).encode(), ("accept",), accept=f"a{n}")
    record = memory.get(("k",))
    assert record is not None
    assert len(record.variants) == 32
    assert body(memory, "k", "a99") == b"99"
    assert body(memory, "k", "a0") is None


def test_a_flood_of_variants_does_not_push_out_one_in_use() -> None:
    memory = Memory()
    put(memory, "k", b"hot", ("accept",), accept="en")
    record = memory.get(("k",))
    assert record is not None
    record.variants[("en",)].used = True
    for n in range(100):
        put(memory, "k", b"x", ("accept",), accept=f"a{n}")
    put(memory, "k", b"hotter", ("accept",), accept="en")  # refreshed, it is in use still
    for n in range(100):
        put(memory, "k", b"x", ("accept",), accept=f"b{n}")
    assert body(memory, "k", "en") == b"hotter"


def test_variants_in_use_go_oldest_first() -> None:
    memory = Memory()
    for n in range(33):
        put(memory, "k", str(n).encode(), ("accept",), accept=f"a{n}")
        record = memory.get(("k",))
        assert record is not None
        record.variants[(f"a{n}",)].used = True
    assert body(memory, "k", "a0") is None
    assert body(memory, "k", "a1") == b"1"


def test_one_record_does_not_fill_the_memory() -> None:
    memory = Memory(800_000)
    for n in range(20):
        put(memory, "k", b"x" * 30_000, ("accept",), accept=f"a{n}")
    assert memory.size <= memory.max_record


def test_names_that_an_answer_varied_by_count_for_later_ones() -> None:
    memory = Memory()
    put(memory, "k", b"en", ("accept-language",), **{"accept-language": "en"})
    put(memory, "k", b"fr, Vary forgotten", (), **{"accept-language": "fr"})
    assert body(memory, "k", "en") == b"en"
    assert body(memory, "k", "fr") == b"fr, Vary forgotten"
    put(memory, "k", b"more", ("accept",), **{"accept-language": "en", "accept": "a"})
    record = memory.get(("k",))
    assert record is not None
    assert record.names == ("accept-language", "accept")
    assert list(record.variants) == [("en", "a")]


def test_clear_forgets_what_is_there() -> None:
    memory = Memory()
    put(memory, "k")
    memory.clear()
    assert len(memory) == 0
    assert memory.size == 0
    put(memory, "k")
    assert memory.get(("k",)) is not None


def test_copies_on_their_way_are_bounded() -> None:
    memory = Memory(4_000)
    assert memory.borrow(900)
    assert not memory.borrow(200)
    memory.give_back(900)
    assert memory.borrow(1_000)


def test_a_forked_child_has_a_lock_and_room_of_its_own() -> None:
    memory = Memory(4_000)
    memory.borrow(1_000)
    with memory._lock:
        memory.after_fork()
        assert memory.borrow(1_000)


def test_threads_leave_the_books_balanced() -> None:
    memory = Memory(50_000)

    def work(seed: int) -> None:
        for n in range(300):
            put(memory, f"k{(n * seed) % 40}", b"x" * 500)
            memory.get((f"k{n % 40}",))

    threads: list[Any] = [threading.Thread(target=work, args=(seed,)) for seed in (3, 7, 11, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = list(memory.records.values())
    assert memory.size == sum(record.size for record in held) <= memory.max_bytes
    assert sorted(memory.records) == sorted([*memory._kept, *memory._probation])
    for record in held:
        assert record.size >= sum(entry.size for entry in record.variants.values())
