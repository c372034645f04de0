"""Commits: functions that are called when what was done in a transaction has really been committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from ...effects import Flow, arun, run

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, SessionTransaction

__all__ = ["Commit", "commit_of"]

_KEY = "gatekeep.after_commit"

Call: TypeAlias = Callable[[], None]


class Commit(NamedTuple):
    """A commit to come: `then` takes what is to be called after it, `drive` carries out a flow in such a call."""

    then: Callable[[Call], Any]
    drive: Callable[[Flow[None]], None]


@runtime_checkable
class _DjangoTransaction(Protocol):
    """`django.db.transaction`."""

    def on_commit(self, func: Call, /) -> Any: ...


def commit_of(transaction: Any) -> Commit:
    """The next commit of a session of SQLAlchemy, of `django.db.transaction`, or what a function calls another one after.

    Raises TypeError for what is none of these.
    """
    if isinstance(transaction, _DjangoTransaction):
        return Commit(transaction.on_commit, run)
    try:
        from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
        from sqlalchemy.orm import Session, scoped_session
    except ModuleNotFoundError:
        pass
    else:
        if isinstance(transaction, (scoped_session, async_scoped_session)):
            transaction = transaction()
        if isinstance(transaction, AsyncSession):
            return Commit(_Waiting.of(transaction.sync_session).add, _drive_in_greenlet)
        if isinstance(transaction, Session):
            return Commit(_Waiting.of(transaction).add, run)
    if not callable(transaction):
        raise TypeError(
            f"after_commit(): {transaction!r} is neither a session of SQLAlchemy, nor django.db.transaction, nor a function "
            "that calls another one after the commit"
        )
    return Commit(transaction, run)


def _drive_in_greenlet(flow: Flow[None]) -> None:
    # An AsyncSession commits in a greenlet, and its events are called there: so the loop need not wait for the store.
    from sqlalchemy.util import await_only

    await_only(arun(flow))


class _Waiting:
    """What waits for a session to commit, each under the savepoint or transaction that it was asked for in."""

    def __init__(self, session: Session) -> None:
        from sqlalchemy import event

        self._session = session
        self._calls: list[tuple[SessionTransaction | None, Call]] = []
        event.listen(session, "after_commit", self._committed)
        event.listen(session, "after_transaction_end", self._ended)

    @classmethod
    def of(cls, session: Session) -> _Waiting:
        """A session's; its events are listened to once."""
        waiting = session.info.get(_KEY)
        if not isinstance(waiting, cls) or waiting._session is not session:  # `info` may be shared by a sessionmaker's
            waiting = session.info[_KEY] = cls(session)
        return waiting

    def add(self, call: Call) -> None:
        self._calls.append((self._session.get_nested_transaction(), call))

    def _committed(self, session: Session) -> None:
        savepoint = session.get_nested_transaction()
        if savepoint is not None:  # released: what was done in it now depends on what is around it
            outer = _savepoint_around(savepoint)
            self._calls = [(outer if owner is savepoint else owner, call) for owner, call in self._calls]
            return
        calls, self._calls = self._calls, []
        for _, call in calls:
            call()

    def _ended(self, session: Session, transaction: SessionTransaction) -> None:
        # Committed or not: what still waits for it never will be.
        if transaction.parent is None:
            self._calls = []
        elif transaction.nested:
            self._calls = [(owner, call) for owner, call in self._calls if owner is not transaction]


def _savepoint_around(transaction: SessionTransaction) -> SessionTransaction | None:
    around = transaction.parent
    while around is not None and not around.nested:
        around = around.parent
    return around
