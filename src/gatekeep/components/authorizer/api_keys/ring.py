"""KeyRing: API keys created, rotated, changed and revoked, in a store; the Python API of operators."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from os import PathLike
from secrets import token_hex
from typing import Any

from ....clock import SYSTEM_CLOCK, Clock
from ....component import caller
from ....effects import Flow, arun, run
from ....errors import ConfigurationError, DependencyError
from .opening import open_key_store
from .record import KeyRecord, KeySecret
from .store import KeyStore
from .text import checks_out, digest_of, generate, is_prefix

__all__ = ["IssuedKey", "KeyRing"]

_TRIES = 10
_MOST_SECRETS = 5
_CHANGEABLE = frozenset({"owner", "name", "scopes", "roles", "plan", "expires", "enabled"})


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key that was just made: `text` is what its holder sends, to be handed over now, since nothing keeps it."""

    text: str = field(repr=False)
    record: KeyRecord


class KeyRing:
    """API keys in a store: "memory://", a file's Path or "file:///…", "redis://…", a URL or engine of SQLAlchemy, a KeyStore.

    Keys begin with `prefix`. Each method blocks where its store does; its twin with an `a` before is for event loops. They
    raise LookupError for an unknown id, ValueError for fields that make no sense, DependencyError when the store fails.
    """

    def __init__(self, store: str | PathLike[str] | KeyStore | Any, *, prefix: str = "gk", clock: Clock = SYSTEM_CLOCK) -> None:
        if not isinstance(prefix, str) or len(prefix) > 32 or is_prefix(prefix) is None:
            raise ConfigurationError(
                f"KeyRing: prefix={prefix!r} is not up to 32 lower-case letters and digits, with single underscores between",
                origin=caller(),
            )
        self.store = open_key_store(store, caller())
        self.prefix = prefix
        self._start = f"{prefix}_"
        self.clock = clock
        self.version = 0
        """Counts the changes made through this object: what was remembered of keys before is forgotten."""
        self.created = 0
        """Counts the texts that came into use through it: what was remembered not to exist is forgotten."""

    # What operators do.

    def create(
        self,
        owner: str,
        *,
        name: str = "",
        scopes: Collection[str] = (),
        roles: Collection[str] = (),
        plan: str | None = None,
        expires: float | None = None,
        text: str | None = None,
    ) -> IssuedKey:
        """A new key. `expires` is Unix time. `text` takes over a key that somebody has already, or "sha256:<hex>" of it."""
        return run(self._create(text, owner=owner, name=name, scopes=scopes, roles=roles, plan=plan, expires=expires))

    async def acreate(
        self,
        owner: str,
        *,
        name: str = "",
        scopes: Collection[str] = (),
        roles: Collection[str] = (),
        plan: str | None = None,
        expires: float | None = None,
        text: str | None = None,
    ) -> IssuedKey:
        return await arun(self._create(text, owner=owner, name=name, scopes=scopes, roles=roles, plan=plan, expires=expires))

    def rotate(self, key_id: str, *, overlap: float = 86_400.0) -> IssuedKey:
        """A new text for a key; the old ones are good for `overlap` more seconds."""
        return run(self._rotate(key_id, overlap))

    async def arotate(self, key_id: str, *, overlap: float = 86_400.0) -> IssuedKey:
        return await arun(self._rotate(key_id, overlap))

    def revoke(self, key_id: str) -> KeyRecord:
        """Make a key worthless for good; its record stays. `update(key_id, enabled=False)` can be taken back."""
        return run(self._revoke(key_id))

    async def arevoke(self, key_id: str) -> KeyRecord:
        return await arun(self._revoke(key_id))

    def update(self, key_id: str, **changes: Any) -> KeyRecord:
        """Change `owner`, `name`, `scopes`, `roles`, `plan`, `expires` or `enabled`."""
        return run(self._update(key_id, changes))

    async def aupdate(self, key_id: str, **changes: Any) -> KeyRecord:
        return await arun(self._update(key_id, changes))

    def get(self, key_id: str) -> KeyRecord:
        return run(self._get(key_id))

    async def aget(self, key_id: str) -> KeyRecord:
        return await arun(self._get(key_id))

    def records(self, owner: str | None = None) -> list[KeyRecord]:
        """All keys, or those of one owner, by the time that they were made."""
        return run(self._records(owner))

    async def arecords(self, owner: str | None = None) -> list[KeyRecord]:
        return await arun(self._records(owner))

    def delete(self, key_id: str) -> None:
        """Forget a key and its record."""
        run(self._delete(key_id))

    async def adelete(self, key_id: str) -> None:
        await arun(self._delete(key_id))

    # What the authenticator asks.

    def may_be(self, text: str) -> bool:
        """Whether it is worth looking a text up: what begins with the prefix has a checksum."""
        return not text.startswith(self._start) or checks_out(self.prefix, text)

    # How.

    def _create(self, text: str | None, **fields: Any) -> Flow[IssuedKey]:
        made = generate(self.prefix) if text is None else text
        try:
            digest = digest_of(made)
        except ValueError as error:
            raise ValueError(f"the key {error}") from None
        if not self.may_be(made):
            raise ValueError(f"the key begins with {self.prefix}_ and its checksum is wrong")
        record = KeyRecord(id=token_hex(8), secrets=(KeySecret(digest),), created=self.clock.wall(), **fields)
        if not (yield from self.store.put(record, 0)):
            raise ValueError("there is such a key already")
        self.created += 1
        return IssuedKey(made, record)

    def _rotate(self, key_id: str, overlap: float) -> Flow[IssuedKey]:
        if overlap < 0:
            raise ValueError("overlap is a number of seconds")
        text = generate(self.prefix)
        now = self.clock.wall()

        def rotated(record: KeyRecord) -> KeyRecord:
            if record.revoked is not None:
                raise ValueError(f"the key {key_id} is revoked")
            until = now + overlap
            kept = [
                KeySecret(digest, until if expires is None else min(expires, until))
                for digest, expires in record.secrets
                if overlap > 0 and (expires is None or expires > now)
            ]
            return record.but(secrets=(KeySecret(digest_of(text)), *kept[: _MOST_SECRETS - 1]))

        return IssuedKey(text, (yield from self._change(key_id, rotated)))

    def _revoke(self, key_id: str) -> Flow[KeyRecord]:
        now = self.clock.wall()
        return (yield from self._change(key_id, lambda record: record.but(enabled=False, revoked=now, secrets=())))

    def _update(self, key_id: str, changes: dict[str, Any]) -> Flow[KeyRecord]:
        unknown = changes.keys() - _CHANGEABLE
        if unknown:
            raise ValueError(f"{', '.join(sorted(unknown))} can't be changed; {', '.join(sorted(_CHANGEABLE))} can")

        def updated(record: KeyRecord) -> KeyRecord:
            if record.revoked is not None and changes.get("enabled"):
                raise ValueError(f"the key {key_id} is revoked")
            return record.but(**changes)

        return (yield from self._change(key_id, updated))

    def _change(self, key_id: str, change: Callable[[KeyRecord], KeyRecord]) -> Flow[KeyRecord]:
        for _ in range(_TRIES):
            record = yield from self._get(key_id)
            changed = change(record)
            if (yield from self.store.put(changed, record.version)):
                self.version += 1
                self.created += 1
                return changed
        raise DependencyError(f"the key {key_id} is being changed all the time")

    def _get(self, key_id: str) -> Flow[KeyRecord]:
        record = yield from self.store.get(key_id)
        if record is None:
            raise LookupError(f"there is no key {key_id!r}")
        return record

    def _records(self, owner: str | None) -> Flow[list[KeyRecord]]:
        records = yield from self.store.records()
        return sorted([one for one in records if owner in (None, one.owner)], key=lambda one: (one.created, one.id))

    def _delete(self, key_id: str) -> Flow[None]:
        if not (yield from self.store.delete(key_id)):
            raise LookupError(f"there is no key {key_id!r}")
        self.version += 1

    def __repr__(self) -> str:
        return f"<KeyRing {self.prefix} in {self.store!r}>"
