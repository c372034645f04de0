"""RedisKeys: API keys in Redis or Valkey. Needs the extra "redis"."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ....effects import Flow, Io, arun, run
from ....stores.redis import RedisStore
from ....stores.redis_node import Script
from .record import KeyRecord
from .store import KeyStore

__all__ = ["RedisKeys"]

T = TypeVar("T")

# Three hashes in one slot: records by id, ids by digest, and times of last use by id, written without touching a record.
_FIND = Script("""
local id = redis.call('HGET', KEYS[2], ARGV[1])
if not id then return false end
return {redis.call('HGET', KEYS[1], id), redis.call('HGET', KEYS[3], id)}
""")
_GET = Script("return {redis.call('HGET', KEYS[1], ARGV[1]), redis.call('HGET', KEYS[3], ARGV[1])}")
_LIST = Script("return {redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[3])}")
_PUT = Script("""
local old = redis.call('HGET', KEYS[1], ARGV[1])
local record = old and cjson.decode(old) or {version = 0, secrets = {}}
if record.version ~= tonumber(ARGV[2]) then return 0 end
for i = 4, #ARGV do
  local holder = redis.call('HGET', KEYS[2], ARGV[i])
  if holder and holder ~= ARGV[1] then return 0 end
end
for _, secret in ipairs(record.secrets) do redis.call('HDEL', KEYS[2], secret.digest) end
for i = 4, #ARGV do redis.call('HSET', KEYS[2], ARGV[i], ARGV[1]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
""")
_DELETE = Script("""
local old = redis.call('HGET', KEYS[1], ARGV[1])
if not old then return 0 end
for _, secret in ipairs(cjson.decode(old).secrets) do redis.call('HDEL', KEYS[2], secret.digest) end
redis.call('HDEL', KEYS[3], ARGV[1])
return redis.call('HDEL', KEYS[1], ARGV[1])
""")
_TOUCH = Script("""
for i = 1, #ARGV, 2 do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then
    local before = redis.call('HGET', KEYS[3], ARGV[i])
    if not before or tonumber(before) < tonumber(ARGV[i + 1]) then redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1]) end
  end
end
return 1
""")


class RedisKeys(KeyStore):
    """Keys that all processes share. What is on the server survives as long as the server is told to keep it."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._keys = [f"{store.prefix}{{api-keys}}:{name}".encode() for name in ("records", "digests", "used")]

    def __repr__(self) -> str:
        return f"<RedisKeys in {self._store!r}>"

    def find(self, digest: str) -> Io[KeyRecord | None]:
        return self._ask(_as_record, _FIND, digest)

    def get(self, key_id: str) -> Io[KeyRecord | None]:
        return self._ask(_as_record, _GET, key_id)

    def records(self) -> Io[list[KeyRecord]]:
        return self._ask(_as_records, _LIST)

    def put(self, record: KeyRecord, expected: int) -> Io[bool]:
        digests = [secret.digest for secret in record.secrets]
        return self._ask(bool, _PUT, record.id, expected, json.dumps(record.as_dict()), *digests)

    def delete(self, key_id: str) -> Io[bool]:
        return self._ask(bool, _DELETE, key_id)

    def touch(self, uses: Mapping[str, float]) -> Io[None]:
        return self._ask(_as_nothing, _TOUCH, *(part for use in uses.items() for part in use))

    def close(self) -> Flow[None]:
        yield from self._store.close()

    def _ask(self, parse: Callable[[Any], T], script: Script, *arguments: Any) -> Io[T]:
        def flow() -> Flow[T]:
            return parse((yield from self._store.eval(script, self._keys, arguments)))

        return Io(lambda: run(flow()), lambda: arun(flow()))


def _as_record(reply: Any) -> KeyRecord | None:
    if not reply or reply[0] is None:
        return None
    return KeyRecord.of_dict(json.loads(reply[0]), float(reply[1]) if reply[1] is not None else None)


def _as_records(reply: Any) -> list[KeyRecord]:
    records, used = (dict(zip(flat[::2], flat[1::2], strict=True)) for flat in reply)
    return [record for key, text in records.items() if (record := _as_record((text, used.get(key)))) is not None]


def _as_nothing(_reply: Any) -> None:
    return None
