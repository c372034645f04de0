"""SqlKeys: API keys in a relational database, through SQLAlchemy. Needs the extra "sql"."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    Row,
    Select,
    String,
    Table,
    Text,
    create_engine,
    or_,
    select,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ....effects import Flow, Io, Protocol, arun, run
from ....errors import ConfigurationError, DependencyError, Origin
from ....forks import reset_after_fork
from .record import KeyRecord, KeySecret
from .store import KeyStore, in_thread

__all__ = ["SqlKeys", "metadata"]

T = TypeVar("T")

metadata = MetaData()
"""The two tables, for migrations; `SqlKeys.create_tables` makes them without."""

_keys = Table(
    "gatekeep_api_keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("owner", String(255), nullable=False, index=True),
    Column("name", String(255), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("roles", Text, nullable=False),
    Column("plan", String(255)),
    Column("created", Float(53), nullable=False),
    Column("expires", Float(53)),
    Column("enabled", Boolean, nullable=False),
    Column("revoked", Float(53)),
    Column("last_used", Float(53)),
)
_secrets = Table(
    "gatekeep_api_key_secrets",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("key_id", String(64), ForeignKey("gatekeep_api_keys.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("place", Integer, nullable=False),
    Column("expires", Float(53)),
)
_both = select(_keys, _secrets.c.digest, _secrets.c.expires.label("secret_expires")).select_from(
    _keys.outerjoin(_secrets, _secrets.c.key_id == _keys.c.id)
)


class SqlKeys(KeyStore):
    """Keys in two tables, through an Engine or AsyncEngine, or a URL to make one of.

    An Engine serves both protocols: on an event loop it works in a thread. An AsyncEngine serves ASGI. Raises
    ConfigurationError.
    """

    def __init__(self, engine: Engine | AsyncEngine | str, origin: Origin | None = None) -> None:
        self._mine = isinstance(engine, str)
        self._engine = _made_of(engine, origin) if isinstance(engine, str) else engine
        if not isinstance(self._engine, (Engine, AsyncEngine)):
            raise ConfigurationError(f"KeyRing: a {type(engine).__name__} is no engine", origin=origin)
        reset_after_fork(self)

    def after_fork(self) -> None:
        """A child makes connections of its own, and leaves its parent's alone."""
        engine = self._engine
        (engine.sync_engine if isinstance(engine, AsyncEngine) else engine).dispose(close=False)

    def __repr__(self) -> str:
        return f"<SqlKeys in {self._engine.url!r}>"

    def check(self, protocol: Protocol) -> None:
        if protocol == "wsgi" and isinstance(self._engine, AsyncEngine):
            raise ConfigurationError("an AsyncEngine can't serve WSGI; give KeyRing an Engine")

    def create_tables(self) -> Io[None]:
        """Make the tables that are not there yet."""
        return self._do(metadata.create_all)

    def find(self, digest: str) -> Io[KeyRecord | None]:
        of = select(_secrets.c.key_id).where(_secrets.c.digest == digest).scalar_subquery()
        return self._do(lambda connection: _one(connection, _both.where(_keys.c.id == of)))

    def get(self, key_id: str) -> Io[KeyRecord | None]:
        return self._do(lambda connection: _one(connection, _both.where(_keys.c.id == key_id)))

    def records(self) -> Io[list[KeyRecord]]:
        return self._do(lambda connection: _read(connection, _both))

    def put(self, record: KeyRecord, expected: int) -> Io[bool]:
        def flow() -> Flow[bool]:
            try:
                return (yield from self._do(lambda connection: _put(connection, record, expected)))
            except _Clash:
                return False

        return Io(lambda: run(flow()), lambda: arun(flow()))

    def delete(self, key_id: str) -> Io[bool]:
        def delete(connection: Connection) -> bool:
            connection.execute(_secrets.delete().where(_secrets.c.key_id == key_id))
            return connection.execute(_keys.delete().where(_keys.c.id == key_id)).rowcount > 0

        return self._do(delete)

    def touch(self, uses: Mapping[str, float]) -> Io[None]:
        def touch(connection: Connection) -> None:
            for key_id, when in sorted(uses.items()):  # sorted, so that two who do this don't wait for each other
                late = or_(_keys.c.last_used.is_(None), _keys.c.last_used < when)
                connection.execute(_keys.update().where(_keys.c.id == key_id, late).values(last_used=when))

        return self._do(touch)

    def close(self) -> Flow[None]:
        """Close the connections of an engine that was made here."""
        engine = self._engine
        if self._mine:
            if isinstance(engine, AsyncEngine):
                yield from Io(_not_here, engine.dispose)
            else:
                yield from in_thread(engine.dispose)

    def _do(self, work: Callable[[Connection], T]) -> Io[T]:
        """Run `work` in a transaction."""
        engine = self._engine

        async def arun() -> T:
            assert isinstance(engine, AsyncEngine)
            with self._faults():
                async with engine.begin() as connection:
                    return await connection.run_sync(work)

        def transaction() -> T:
            assert isinstance(engine, Engine)
            with self._faults(), engine.begin() as connection:
                return work(connection)

        return Io(_not_here, arun) if isinstance(engine, AsyncEngine) else in_thread(transaction)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise _Clash(f"{self!r}: {type(error).__name__}") from error
        except (SQLAlchemyError, OSError) as error:
            raise DependencyError(f"{self!r}: {type(error).__name__}") from error


class _Clash(DependencyError):
    """What was to be written is at odds with what is there."""


def _put(connection: Connection, record: KeyRecord, expected: int) -> bool:
    values = {
        "version": record.version,
        "owner": record.owner,
        "name": record.name,
        "scopes": json.dumps(sorted(record.scopes)),
        "roles": json.dumps(sorted(record.roles)),
        "plan": record.plan,
        "created": record.created,
        "expires": record.expires,
        "enabled": record.enabled,
        "revoked": record.revoked,
    }
    if expected == 0:
        connection.execute(_keys.insert().values(id=record.id, **values))
    else:
        mine = _keys.update().where(_keys.c.id == record.id, _keys.c.version == expected)
        if connection.execute(mine.values(**values)).rowcount == 0:
            return False
        connection.execute(_secrets.delete().where(_secrets.c.key_id == record.id))
    if record.secrets:
        rows = [
            {"digest": digest, "key_id": record.id, "place": place, "expires": expires}
            for place, (digest, expires) in enumerate(record.secrets)
        ]
        connection.execute(_secrets.insert(), rows)
    return True


def _one(connection: Connection, query: Select[Any]) -> KeyRecord | None:
    return next(iter(_read(connection, query)), None)


def _read(connection: Connection, query: Select[Any]) -> list[KeyRecord]:
    """The keys of joined rows, one row for each secret."""
    rows: dict[str, list[Row[Any]]] = {}
    for row in connection.execute(query.order_by(_keys.c.id, _secrets.c.place)):
        rows.setdefault(row.id, []).append(row)
    return [_record(several) for several in rows.values()]


def _record(rows: Sequence[Row[Any]]) -> KeyRecord:
    row = rows[0]
    return KeyRecord(
        id=row.id,
        owner=row.owner,
        secrets=tuple(KeySecret(one.digest, one.secret_expires) for one in rows if one.digest is not None),
        name=row.name,
        scopes=frozenset(json.loads(row.scopes)),
        roles=frozenset(json.loads(row.roles)),
        plan=row.plan,
        created=row.created,
        expires=row.expires,
        enabled=row.enabled,
        revoked=row.revoked,
        last_used=row.last_used,
        version=row.version,
    )


def _made_of(url: str, origin: Origin | None) -> Engine | AsyncEngine:
    try:
        parsed = make_url(url)
        return create_async_engine(parsed) if parsed.get_dialect().is_async else create_engine(parsed)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        # Not the URL itself: it may hold a password.
        said = str(error) if not isinstance(error, ArgumentError) else "that is no URL of a database"
        raise ConfigurationError(f"KeyRing: {said}", origin=origin) from None


def _not_here() -> Any:
    raise ConfigurationError("KeyRing: an AsyncEngine can't be used synchronously", fix="its methods with an a, as acreate()")
