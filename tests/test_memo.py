"""Memo: never more than it may hold, the oldest first to go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gatekeep.memo import Memo
from interleaving import meanwhile


@given(st.lists(st.tuples(st.sampled_from(["put", "drop"]), st.integers(0, 20))), st.integers(1, 5))
def test_a_memo_never_holds_more_than_it_may(steps, maximum):
    memo: Memo[int, int] = Memo(maximum)
    model: dict[int, int] = {}
    for step, key in steps:
        if step == "put":
            memo.put(key, key)
            model[key] = key
            if len(model) > maximum:
                del model[next(iter(model))]
        else:
            memo.drop(key)
            model.pop(key, None)
        assert len(memo) == len(model) <= maximum
        assert all(memo.get(key) == value for key, value in model.items())


def test_threads_that_put_the_same_key_at_once_may_make_more_room_than_there_is_need_of():
    for moment in range(200):
        memo: Memo[str, int] = Memo(1)
        memo.put("old", 0)
        waiting = iter([False] * moment + [True])
        with meanwhile(lambda waiting=waiting, memo=memo: next(waiting, False) and memo._entries.clear()):  # as the others do
            memo.put("new", 1)
        memo.put("newer", 2)
        assert memo.get("newer") == 2
        if next(waiting, False):
            break
    assert 5 < moment < 199
