"""One implementation, two colours: what a component waits for, and the two functions that do the waiting.

A hook that must wait is a generator that yields `Io` values (`left = yield from store.take(key)`). `run` carries them out
synchronously, `arun` on an event loop; nothing else in gatekeep knows the difference. Inside a generator `await` is a
syntax error, so a component that works under ASGI only can't be written by accident.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Generator, Hashable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Generic, Literal, TypeAlias, TypeGuard, TypeVar, cast

from .errors import ConfigurationError, DependencyError, Origin
from .forks import reset_after_fork
from .showing import shown

__all__ = [
    "Blocking",
    "Either",
    "Flow",
    "Io",
    "Protocol",
    "SingleFlight",
    "arun",
    "at_once",
    "blocking",
    "either",
    "in_thread",
    "is_async",
    "is_flow",
    "lift",
    "pep_479",
    "run",
    "running_loop",
]

T = TypeVar("T")
Protocol: TypeAlias = Literal["asgi", "wsgi"]

_log = logging.getLogger("gatekeep.effects")


class Io(Generic[T]):
    """One operation in two colours: `run()` blocks and returns a T, `arun()` is awaited for the same T."""

    __slots__ = ("arun", "run")

    def __init__(self, run: Callable[[], T], arun: Callable[[], Awaitable[T]]) -> None:
        self.run = run
        self.arun = arun

    def __iter__(self) -> Generator[Io[T], T, T]:
        return (yield self)


Flow: TypeAlias = Generator[Io[Any], Any, T]


class _Whole:
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, StopIteration):
            raise RuntimeError("generator raised StopIteration") from error  # noqa: TRY004


pep_479 = _Whole()
"""Around the body of each flow that is compiled: a StopIteration of somebody else's would end it there as if all were well, and

that a hook has nothing to say means that a request may pass. Python's own generators make an error of it (PEP 479).
"""


def at_once(function: Callable[[], T]) -> Io[T]:
    """An operation that waits for nothing."""

    async def arun() -> T:
        return function()

    return Io(function, arun)


def run(flow: Flow[T]) -> T:
    """Drive a flow to its end, blocking; what an operation raises is raised inside the flow, at its `yield from`."""
    try:
        io = next(flow)
        while True:
            try:
                value = io.run()
            except BaseException as error:
                io = flow.throw(error)
            else:
                io = flow.send(value)
    except StopIteration as stop:
        return cast(T, stop.value)


async def arun(flow: Flow[T]) -> T:
    """Drive a flow to its end on the running loop; cancellation, too, is raised inside the flow."""
    try:
        io = next(flow)
        while True:
            try:
                value = await io.arun()
            except BaseException as error:
                io = flow.throw(error)
            else:
                io = flow.send(value)
    except StopIteration as stop:
        return cast(T, stop.value)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that runs in this thread, where one does: whoever is called must wait there by its means, or not at all."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def is_flow(value: object) -> TypeGuard[Flow[Any]]:
    """Whether a hook's result still has to be driven: a generator, be it a compiled one, which has a type of its own."""
    return isinstance(value, Generator)


class Either(Generic[T]):
    """A user callable in both colours; see `either`."""

    def __init__(self, sync: Callable[..., T], asynchronous: Callable[..., Awaitable[T]]) -> None:
        self.sync = sync
        self.asynchronous = asynchronous

    def __repr__(self) -> str:
        return f"either(sync={shown(self.sync)}, asynchronous={shown(self.asynchronous)})"


class Blocking(Generic[T]):
    """A user callable that may block; see `blocking`."""

    def __init__(self, function: Callable[..., T], timeout: float | None) -> None:
        self.function = function
        self.timeout = timeout

    def __repr__(self) -> str:
        limit = "" if self.timeout is None else f", timeout={self.timeout!r}"
        return f"blocking({shown(self.function)}{limit})"


def either(*, sync: Callable[..., T], asynchronous: Callable[..., Awaitable[T]]) -> Either[T]:
    """A callable for both protocols: `sync` serves WSGI, `asynchronous` serves ASGI. Raises ConfigurationError for two alike."""
    if is_async(sync) or not is_async(asynchronous):
        raise ConfigurationError(
            f"either(): {_name(sync)} shall be sync and {_name(asynchronous)} async",
            fix="either(sync=def, asynchronous=async def)",
        )
    return Either(sync, asynchronous)


def blocking(function: Callable[..., T], *, timeout: float | None = None) -> Blocking[T]:
    """Mark a sync callable that may block: it runs in a bounded thread pool, for at most `timeout` seconds.

    After the timeout the caller gets a DependencyError; the thread itself can't be stopped and keeps its place in the
    pool until the function returns.
    """
    if is_async(function):
        raise ConfigurationError("blocking() takes a sync function", fix="pass the async function as it is")
    return Blocking(function, timeout)


def lift(
    function: Callable[..., Any] | Either[Any] | Blocking[Any], protocol: Protocol, *, origin: Origin | None = None
) -> Callable[..., Any]:
    """Compile a user callable at start-up: calling the result gives a plain value, or an `Io` where it has to wait.

    Raises ConfigurationError for an async function under WSGI without a sync twin.
    """
    if isinstance(function, Either):
        sync, asynchronous = function.sync, function.asynchronous
        return lambda *args: Io(functools.partial(sync, *args), functools.partial(asynchronous, *args))
    if isinstance(function, Blocking):
        return functools.partial(_in_pool, function)
    if not is_async(function):
        return function
    if protocol == "wsgi":
        raise ConfigurationError(
            f"{_name(function)} is async, and this app is served over WSGI",
            origin=origin,
            fix="give a sync twin: either(sync=..., asynchronous=...)",
        )
    return lambda *args: Io(functools.partial(_no_sync, function), functools.partial(function, *args))


def is_async(function: object) -> bool:
    """Whether calling it gives a coroutine: an `async def`, a partial of one, or an instance with an async `__call__`."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(type(function), "__call__", None))  # noqa: B004


def _name(function: object) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


def _no_sync(function: object) -> Any:
    raise RuntimeError(f"{_name(function)} is async and can't be run under WSGI")


class _Pool:
    """A bounded pool of threads, made when the first of them is needed."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """A child has the executor, but none of its threads."""
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None

    def executor(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._size, thread_name_prefix=self._name)
            return self._executor


_pool = _Pool(32, "gatekeep-blocking")
_background = _Pool(32, "gatekeep-background")
"""Its own, so that functions of users that hang keep no store from connecting."""


def in_thread(function: Callable[[], object]) -> None:
    """Run a function that may block on a thread of gatekeep's own. Nobody waits for it; what it raises is logged."""

    def work() -> None:
        try:
            function()
        except Exception:
            _log.exception("%s failed in a thread", _name(function))

    _background.executor().submit(work)


def _in_pool(call: Blocking[T], *args: Any) -> Io[T]:
    # Calls share nothing but the pool; each sees the context of the request that it is for.
    def wait() -> T:
        future = _pool.executor().submit(contextvars.copy_context().run, call.function, *args)
        try:
            return future.result(call.timeout)
        except FutureTimeoutError:
            if future.done():  # just in time, or the function's own TimeoutError
                return future.result()
            future.cancel()
            raise DependencyError(f"{_name(call.function)} took longer than {call.timeout} s") from None

    async def await_() -> T:
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(_pool.executor(), contextvars.copy_context().run, call.function, *args)
        try:
            await asyncio.wait((future,), timeout=call.timeout)
        finally:
            late = future.cancel()
        if late:
            raise DependencyError(f"{_name(call.function)} took longer than {call.timeout} s")
        return future.result()

    return Io(wait, await_)


class SingleFlight(Generic[T]):
    """At most one run of a flow per key at a time; who comes while it is under way waits for the same outcome.

    Under ASGI the flight is shared by the tasks of one loop, under WSGI by threads; no lock is held while it flies. The
    flight belongs to nobody: under ASGI it is a task of its own, so a cancelled caller does not cancel it for the others.
    """

    def __init__(self) -> None:
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """Forget the flights of the parent: nobody here will ever land them."""
        self._lock = threading.Lock()
        self._threads: dict[Hashable, _Landing] = {}
        self._tasks: dict[tuple[int, Hashable], asyncio.Task[T]] = {}

    def join(self, key: Hashable, start: Callable[[], Flow[T]], timeout: float | None = None) -> Io[T]:
        """Fly `start()` for `key`, or wait for the flight under way, at most `timeout` seconds (then DependencyError)."""

        def wait() -> T:
            with self._lock:
                landing = self._threads.get(key)
                mine = landing is None
                if landing is None:
                    landing = self._threads[key] = _Landing()
            if mine:
                try:
                    landing.value = run(start())
                except Exception as error:
                    landing.error = error
                except BaseException:  # this thread is told to stop; that is not the others' business
                    landing.error = DependencyError("the request that was looking this up was stopped")
                    raise
                finally:
                    with self._lock:
                        self._threads.pop(key, None)
                    landing.done.set()
            elif not landing.done.wait(timeout):
                raise DependencyError(f"waited {timeout} s for another request's look-up")
            if landing.error is not None:
                raise landing.error
            return cast(T, landing.value)

        async def await_() -> T:
            slot = (id(asyncio.get_running_loop()), key)
            task = self._tasks.get(slot)
            if task is None:
                task = self._tasks[slot] = asyncio.ensure_future(arun(start()))
                task.add_done_callback(lambda done: self._landed(slot, done))
            try:
                return await asyncio.wait_for(asyncio.shield(task), timeout)
            except TimeoutError:
                if task.done():
                    return task.result()
                raise DependencyError(f"waited {timeout} s for another request's look-up") from None

        return Io(wait, await_)

    def _landed(self, slot: tuple[int, Hashable], task: asyncio.Task[T]) -> None:
        self._tasks.pop(slot, None)
        if not task.cancelled():
            task.exception()  # retrieved, so that a flight everybody has left is not reported as lost


class _Landing:
    __slots__ = ("done", "error", "value")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.error: BaseException | None = None
        self.value: object = None
