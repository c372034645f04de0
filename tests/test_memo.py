"""Memo: never more than it may hold, the oldest first to go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gatekeep.memo import Memo


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
