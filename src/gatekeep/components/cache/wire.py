"""Wire: a stored answer as bytes for a shared store, and back. What does not read as it should is no entry, and so a miss.

A blob knows the name it was stored under, so that one can't be put in another's place. With secrets it is encrypted and
can't be forged; without, a checksum shows what was damaged, and who may write to the store is trusted.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import zlib
from collections.abc import Callable, Sequence
from math import isfinite
from os import urandom
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ...clock import Clock
from .entry import Entry
from .form import Form

__all__ = ["Broken", "Stamp", "Wire"]

_MAGIC = b"gk\x01"
"""The format and its version: another one's blobs are misses."""
_PLAIN, _SEALED = b"\0", b"\1"
_SALT, _CHECKSUM, _KEY_ID = 16, 16, 4
_NONCE = bytes(12)
"""Each blob has a key of its own, used once."""
_SKEW = 60.0
"""Seconds that the clocks of two machines may differ by."""
_LONGEST = 400 * 86_400.0
"""Seconds; nothing is fresh or kept for longer (RFC 9111 §1.2.2 asks for a bound)."""
_FIELD_VALUE = re.compile(r"[^\r\n\0\u0100-\U0010ffff]*")


class Broken(Exception):
    """A blob that is not an entry of this version, of this name, sealed by one of these secrets."""


class Stamp(NamedTuple):
    """How many purges the shared store knew of when the answer's request came, in which of its eras."""

    era: str
    number: int


class _Secret(NamedTuple):
    id: bytes
    key: bytes

    @classmethod
    def of(cls, text: bytes) -> _Secret:
        key = hmac.digest(b"gatekeep response cache", text, "sha256")
        return cls(hmac.digest(key, b"id", "sha256")[:_KEY_ID], key)

    def cipher(self, salt: bytes) -> AESGCM:
        return AESGCM(hmac.digest(self.key, salt, "sha256"))


class Wire:
    """Writes and reads blobs. `compress_over`: bytes of a body from which on deflate is tried; None: never.

    The first of `secrets` seals, any of them opens.
    """

    def __init__(self, clock: Clock, *, max_body: int, compress_over: int | None = 1024, secrets: Sequence[bytes] = ()) -> None:
        self._clock = clock
        self._max_body = max_body
        self._compress_over = compress_over
        self._secrets = [_Secret.of(secret) for secret in secrets]

    # Entries, and signposts to their variants.

    def write(self, entry: Entry, names: tuple[str, ...], stamp: Stamp, name: bytes) -> bytes:
        """An entry as a blob; `names` are the fields it varies by."""
        ahead = self._clock.wall() - self._clock.monotonic()
        body = entry.body
        packed = self._packed(body)
        own_tag = entry.form.named("etag") if entry.etag is None else None  # one of our own making is made again
        head = {
            "names": names,
            "stamp": stamp,
            "status": entry.status,
            "pairs": [(_text(key), _text(value)) for key, value in entry.pairs if own_tag is None or key.lower() != own_tag],
            "etag": entry.etag,
            "modified": entry.modified,
            "times": [at + ahead for at in (entry.born, entry.expires, entry.due)],
            "windows": [min(within, _LONGEST) for within in (entry.revalidate_within, entry.error_within)],
            "strict": entry.strict,
            "tags": sorted(entry.tags),
            "length": len(body),
        }
        return self._close(head, packed if packed is not None else body, name)

    def signpost(self, names: tuple[str, ...], name: bytes) -> bytes:
        """A blob that says which fields the variants of a key are told apart by."""
        return self._close({"names": names}, b"", name)

    def read(
        self, blob: bytes, form: Form, name: bytes, epoch_of: Callable[[Stamp], int | None]
    ) -> tuple[tuple[str, ...], Entry | None]:
        """The fields that it varies by, and the entry; None for a signpost. Raises Broken.

        `epoch_of` gives the epoch of a stamp in this process, None for one that is not to be believed.
        """
        head, body = self._open(blob, name)
        try:
            names = tuple(map(_str, head["names"]))
            return names, None if "status" not in head else self._entry(head, body, form, epoch_of)
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            raise Broken(f"{type(error).__name__}: {error}") from None

    def _entry(self, head: dict[str, Any], body: bytes, form: Form, epoch_of: Callable[[Stamp], int | None]) -> Entry:
        era, number = head["stamp"]
        epoch = epoch_of(Stamp(_str(era), _whole(number)))
        if epoch is None:
            raise ValueError("a stamp that nobody knows")
        length = _whole(head["length"])
        if length > self._max_body:
            raise ValueError("larger than an entry may be")
        now, wall = self._clock.monotonic(), self._clock.wall()
        born, expires, due = (_number(at) - wall + now for at in head["times"])
        revalidate_within, error_within = map(_window, head["windows"])
        if born > now + _SKEW or not 0 <= expires - born <= _LONGEST:
            raise ValueError("times that can't be")
        status = _whole(head["status"])
        if not 200 <= status <= 599:
            raise ValueError("no status")
        pairs = form.headers([(_str(key), _str(value)) for key, value in head["pairs"]])  # refuses what is no field
        return Entry(
            form,
            form.pairs(pairs),
            self._unpacked(body, length),
            status=status,
            etag=None if head["etag"] is None else _value(head["etag"]),
            modified=None if head["modified"] is None else _value(head["modified"]),
            born=min(born, now),
            expires=expires,
            due=due,
            revalidate_within=revalidate_within,
            error_within=error_within,
            strict=head["strict"] is True,
            tags=frozenset(map(_str, head["tags"])),
            epoch=epoch,
        )

    # Purges, too, are told by those alone who know the secret.

    def seal(self, value: object, name: bytes) -> bytes:
        """A JSON value as a blob."""
        return self._close({"value": value}, b"", name)

    def unseal(self, blob: bytes, name: bytes) -> Any:
        """The value of such a blob. Raises Broken."""
        return self._open(blob, name)[0].get("value")

    # Bodies.

    def _packed(self, body: bytes) -> bytes | None:
        if self._compress_over is None or len(body) <= self._compress_over:
            return None
        packed = zlib.compress(body, 1)
        return packed if len(packed) < len(body) * 0.9 else None

    @staticmethod
    def _unpacked(body: bytes, length: int) -> bytes:
        if len(body) == length:
            return body
        inflate = zlib.decompressobj()
        whole = inflate.decompress(body, length + 1)  # never more than was said, whatever it would inflate to
        if len(whole) != length or not inflate.eof or inflate.unused_data:
            raise ValueError("a body of another length")
        return whole

    # Envelopes.

    def _close(self, head: dict[str, Any], body: bytes, name: bytes) -> bytes:
        text = json.dumps(head, separators=(",", ":"), allow_nan=False).encode()
        content = b"%d %b%b" % (len(text), text, body)
        if not self._secrets:
            start = _MAGIC + _PLAIN
            return start + _checksum(name, content) + content
        secret = self._secrets[0]
        salt = urandom(_SALT)
        start = _MAGIC + _SEALED + secret.id
        return start + salt + secret.cipher(salt).encrypt(_NONCE, content, start + name)

    def _open(self, blob: bytes, name: bytes) -> tuple[dict[str, Any], bytes]:
        kind = len(_MAGIC)
        if blob[:kind] != _MAGIC:
            raise Broken("another format or version")
        content = self._unsealed(blob, name) if self._secrets else _unchecked(blob, name)
        size, space, _ = content[:10].partition(b" ")
        if not space or not size.isdigit():
            raise Broken("no length")
        start = len(size) + 1
        stop = start + int(size)
        try:
            head = json.loads(content[start:stop])
        except (ValueError, RecursionError):
            raise Broken("no head") from None
        if not isinstance(head, dict):
            raise Broken("no head")
        return head, content[stop:]

    def _unsealed(self, blob: bytes, name: bytes) -> bytes:
        start = len(_MAGIC) + 1 + _KEY_ID
        beginning, salt = blob[:start], blob[start : start + _SALT]
        secret = next((secret for secret in self._secrets if beginning == _MAGIC + _SEALED + secret.id), None)
        if secret is None:
            raise Broken("not sealed by one of our secrets")
        try:
            return secret.cipher(salt).decrypt(_NONCE, blob[start + _SALT :], beginning + name)
        except InvalidTag:
            raise Broken("forged or damaged") from None


def _checksum(name: bytes, content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_CHECKSUM, key=hashlib.blake2b(name, digest_size=32).digest()).digest()


def _unchecked(blob: bytes, name: bytes) -> bytes:
    start = len(_MAGIC) + 1
    content = blob[start + _CHECKSUM :]
    if blob[start - 1 : start] != _PLAIN or blob[start : start + _CHECKSUM] != _checksum(name, content):
        raise Broken("damaged, sealed, or another's")
    return content


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


# What a head may hold. A blob that passes the checksum may still come from whoever can write to the store.


def _str(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"{value!r} is not text")
    return value


def _value(value: Any) -> str:
    if not _FIELD_VALUE.fullmatch(_str(value)):
        raise ValueError(f"{value!r} is not a field's value")
    return str(value)


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not isfinite(value):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def _window(value: Any) -> float:
    if not 0 <= _number(value) <= _LONGEST:
        raise ValueError(f"{value!r} is not a window")
    return float(value)
