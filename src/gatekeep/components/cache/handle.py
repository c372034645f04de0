"""CacheHandle: `gateway.cache`, what an app tells the response cache: that something it was made of has changed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from ...effects import Flow, arun, run
from ...errors import DependencyError
from .commit import commit_of
from .purges import Purge, one_purge
from .storage import Storage

__all__ = ["CacheHandle"]

_log = logging.getLogger("gatekeep.cache")


class CacheHandle:
    """Purges stored answers: of a tag, a path (`key`), a prefix of paths, or all. When a call returns nobody is served them.

    Other processes of the gateway hear of it at once where they can, and by `CacheStorage.max_lag` at the latest. Raises
    DependencyError where the shared store is away: the purge then holds in this process, and the store is told when it is back.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def purge(self, *, tag: str | None = None, key: str | None = None, prefix: str | None = None, all: bool = False) -> None:
        """Purge; blocking, for at most the store's time budget."""
        flow = self._storage.purge(one_purge(tag=tag, key=key, prefix=prefix, all=all))
        if flow is not None:
            run(flow)

    async def apurge(
        self, *, tag: str | None = None, key: str | None = None, prefix: str | None = None, all: bool = False
    ) -> None:
        """As purge(), on the running loop."""
        flow = self._storage.purge(one_purge(tag=tag, key=key, prefix=prefix, all=all))
        if flow is not None:
            await arun(flow)

    def after_commit(
        self,
        transaction: Any,
        *,
        tag: str | None = None,
        key: str | None = None,
        prefix: str | None = None,
        all: bool = False,
    ) -> None:
        """Purge when the transaction under way has been committed, and only then; nothing on a rollback.

        `transaction`: a session of SQLAlchemy (Session, AsyncSession, scoped_session), `django.db.transaction`, or a function
        that calls another one after the commit. A store that is away raises nothing then: it is told when it is back.
        """
        purge = one_purge(tag=tag, key=key, prefix=prefix, all=all)
        then, drive = commit_of(transaction)
        then(partial(self._after_commit, purge, drive))

    def _after_commit(self, purge: Purge, drive: Callable[[Flow[None]], None]) -> None:
        try:
            flow = self._storage.purge(purge)
            if flow is not None:
                drive(flow)
        except DependencyError as error:
            _log.error("%s is purged in this process, and in the others when the store is back: %s", purge, error)
