"""What another thread may do in the midst of something, done there by the same thread: before every one of its steps."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def meanwhile(action: Callable[[], object]) -> Iterator[None]:
    """Call `action` before each bytecode of every function that is called within."""

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        frame.f_trace_opcodes = True
        action()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
