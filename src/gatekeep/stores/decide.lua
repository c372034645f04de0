-- Limits of every kind, decided together on this server's clock: the arithmetic of memory.py and memory_counts.py.
--
-- KEYS: what is counted, one key each. ARGV: the operation, the time ("" for this server's own), and for each key a letter
-- for its kind, then its numbers. Times are in seconds since EPOCH.
--
--   take     meet all demands or none          peek     say what is left
--   adjust   charge or give back               reset    forget                  release, renew    places that are held
--
-- Values are packed doubles. take and peek return packed doubles, too: the index of the refusing demand that waits longest
-- or -1, the seconds to wait, and for each demand what is left, the seconds until there is more, and what was taken ahead.
-- Where this server's clock is not in the period that a tally came with: -2 and the time, and nothing was taken.

local EPOCH = 1750000000 -- recent, so that a double still resolves some nanoseconds
local SLACK = 1e-6 -- tokens that rounding may be off by
local AFTER = 2e-6 -- seconds, to be past a moment and not at it
local KEPT = 400 * 86400 -- seconds that a tally with an offset is remembered

local op, now = ARGV[1], tonumber(ARGV[2])
if not now then
  local time = redis.call("TIME")
  now = (tonumber(time[1]) - EPOCH) + tonumber(time[2]) / 1e6
end

local cursor = 2
local function text()
  cursor = cursor + 1
  return ARGV[cursor]
end
local function number()
  return tonumber(text())
end

local function load(key, format)
  local value = redis.call("GET", key)
  if value then
    return struct.unpack(format, value)
  end
end

local function save(key, seconds, format, ...)
  redis.call("SET", key, struct.pack(format, ...), "PX", math.max(1, math.ceil(seconds * 1000)))
end

-- Each kind: read(row) takes its numbers from ARGV; look(row) finds out what is left, row.have, and what the other functions
-- need; wait(row) says in how many seconds there is as much as row.need; more(row, left) when there is more than left;
-- count(row, amount, ahead) keeps what was taken, charged or given back.
local kinds = {}

-- b: a token bucket. Its value is when it will be full again, and when that was written; an absent one is full.
kinds.b = {
  read = function(row)
    row.rate, row.limit, row.cost, row.wish = number(), number(), number(), number()
  end,
  look = function(row)
    local full_at, written = load(row.key, "<dd")
    row.missing = math.max((full_at or now) - now, 0) * row.rate
    if written and written > now then
      -- The clock went back (a failover): count on from here.
      row.missing = math.max(full_at - written, 0) * row.rate
      save(row.key, row.missing / row.rate, "<dd", now + row.missing / row.rate, now)
    end
    row.have = row.limit - row.missing
  end,
  wait = function(row)
    return (row.need - row.have) / row.rate
  end,
  more = function(row, left)
    return math.max(0, (math.min(math.floor(left + SLACK) + 1, row.limit) - left) / row.rate)
  end,
  count = function(row, amount)
    local missing = row.missing + amount
    if missing > 0 then
      save(row.key, missing / row.rate, "<dd", now + missing / row.rate, now)
    else
      redis.call("DEL", row.key)
    end
  end,
}

-- q: a tally of a calendar period. Its value is when the period began, and what was used of it.
kinds.q = {
  read = function(row)
    row.limit, row.start, row.stop, row.cost, row.offset = number(), number(), number(), number(), number()
  end,
  look = function(row)
    row.stray = now < row.start or now >= row.stop
    local start, used = load(row.key, "<dd")
    if not start then
      used = row.offset
    elseif start < row.start then
      used = 0
    elseif start > row.start then
      -- The clock went back over the period's beginning: what was counted since still counts.
      row.start, row.stop = start, row.stop + start - row.start
    end
    row.used = used
    row.have = row.limit - used
  end,
  wait = function(row)
    return row.stop - now
  end,
  more = function(row, left)
    return left < row.limit and row.stop - now or 0
  end,
  count = function(row, amount, age, beyond)
    if amount < 0 and now - age < row.start then
      return -- It was taken from a period that is over.
    end
    local used = row.used + amount
    if amount < 0 and not beyond then
      used = math.max(used, math.min(row.used, 0))
    end
    save(row.key, row.offset ~= 0 and KEPT or row.stop - now, "<dd", row.start, used)
  end,
}

-- f: a fixed window, which begins with its first hit. Its value is when it ends, and what was used of it.
kinds.f = {
  read = function(row)
    row.limit, row.period, row.cost = number(), number(), number()
  end,
  look = function(row)
    local stop, used = load(row.key, "<dd")
    row.used = 0
    if stop and now < stop then
      row.used = used
    end
    row.stop = row.used ~= 0 and math.min(stop, now + row.period) or now + row.period
    row.have = row.limit - row.used
  end,
  wait = function(row)
    return row.stop - now
  end,
  more = function(row, left)
    return left < row.limit and row.stop - now or 0
  end,
  count = function(row, amount, age)
    if amount < 0 and now - age < row.stop - row.period then
      return
    end
    save(row.key, row.stop - now, "<dd", row.stop, math.max(0, row.used + amount))
  end,
}

-- s: a sliding window. Its value is the number of the window, what was used of it, and of the one before.
kinds.s = {
  read = kinds.f.read,
  look = function(row)
    local unix = now + EPOCH
    local index = math.floor(unix / row.period)
    local last, this, before = load(row.key, "<ddd")
    if not last or last < index - 1 then
      this, before = 0, 0
    elseif last == index - 1 then
      this, before = 0, this
    elseif last > index then
      index = last -- The clock went back.
    end
    row.index, row.this, row.before = index, this, before
    row.into = math.max(0, unix - index * row.period)
    row.have = row.limit - math.floor(before * (1 - row.into / row.period) + this)
  end,
  wait = function(row)
    local room = math.floor(row.limit - row.need) + 1
    if row.this < room then
      return row.period * (1 - (room - row.this) / row.before) - row.into + AFTER
    end
    return row.period - row.into + row.period * (1 - room / row.this) + AFTER
  end,
  more = function(row, left)
    return left < row.limit and row.period - row.into or 0
  end,
  count = function(row, amount, age)
    if amount < 0 and age > row.into then
      if age - row.into < row.period then
        row.before = math.max(0, row.before + amount)
      end
    else
      row.this = math.max(0, row.this + amount)
    end
    save(row.key, 2 * row.period - row.into, "<ddd", row.index, row.this, row.before)
  end,
}

-- m: a moving window. Its value is a list of the hits' times, the last one first.
kinds.m = {
  read = kinds.f.read,
  look = function(row)
    local function at(index)
      return struct.unpack("<d", redis.call("LINDEX", row.key, index))
    end
    local known = redis.call("LLEN", row.key)
    if known > 0 and at(0) > now then
      -- The clock went back: what is in its future was now.
      local hits = redis.call("LRANGE", row.key, 0, -1)
      redis.call("DEL", row.key)
      for _, hit in ipairs(hits) do
        redis.call("RPUSH", row.key, struct.pack("<d", math.min(now, struct.unpack("<d", hit))))
      end
      redis.call("PEXPIRE", row.key, math.ceil(row.period * 1000) + 1)
    end
    -- Halving, to find how many are not older than a period.
    local live, old = 0, known
    while live < old do
      local middle = math.floor((live + old) / 2)
      if at(middle) >= now - row.period then
        live = middle + 1
      else
        old = middle
      end
    end
    if live == 0 and known > 0 then
      redis.call("DEL", row.key)
    elseif live < known then
      redis.call("LTRIM", row.key, 0, live - 1)
    end
    row.at, row.live = at, live
    row.have = row.limit - live
    row.cost = math.ceil(row.cost)
  end,
  wait = function(row)
    return row.at(math.max(0, row.limit - math.ceil(row.need))) + row.period - now + AFTER
  end,
  more = function(row, left)
    if left >= row.limit then
      return 0
    end
    return row.live > 0 and row.at(row.live - 1) + row.period - now or row.period
  end,
  count = function(row, amount, age)
    if amount < 0 then
      if age <= row.period then
        redis.call("LTRIM", row.key, math.floor(-amount), -1)
      end
      return
    end
    local hit = struct.pack("<d", now)
    for _ = 1, math.ceil(amount) do
      redis.call("LPUSH", row.key, hit)
    end
    redis.call("LTRIM", row.key, 0, 2 * row.limit - 1)
    redis.call("PEXPIRE", row.key, math.ceil(row.period * 1000) + 1)
  end,
}

-- l: places. The value is a sorted set of those who hold one, by when they lose it.
kinds.l = {
  read = function(row)
    row.limit, row.ttl, row.holder = number(), number(), text()
  end,
  look = function(row)
    redis.call("ZREMRANGEBYSCORE", row.key, "-inf", string.format("%.6f", now))
    row.have = row.limit - redis.call("ZCARD", row.key)
    row.cost = redis.call("ZSCORE", row.key, row.holder) and 0 or 1
    row.need = row.cost
  end,
  wait = function()
    return 1 -- Nobody knows.
  end,
  more = function(row, left)
    return left < row.limit and 1 or 0
  end,
  count = function(row)
    redis.call("ZADD", row.key, string.format("%.6f", now + row.ttl), row.holder)
    local lives = redis.call("PTTL", row.key)
    redis.call("PEXPIRE", row.key, math.max(lives, math.ceil(row.ttl * 1000)))
  end,
}

local function pack(numbers)
  return struct.pack("<" .. string.rep("d", #numbers), unpack(numbers))
end

local rows = {}
for index, key in ipairs(KEYS) do
  local kind = kinds[text()]
  local row = { key = key, kind = kind }
  kind.read(row)
  if op == "adjust" then
    row.amount, row.age, row.beyond = number(), number(), number() == 1
  end
  rows[index] = row
end

if op == "release" then
  for _, row in ipairs(rows) do
    redis.call("ZREM", row.key, row.holder)
  end
  return ""
end

for _, row in ipairs(rows) do
  row.kind.look(row)
  if row.stray and op ~= "reset" then
    return pack({ -2, now })
  end
end

if op == "renew" then
  for _, row in ipairs(rows) do
    row.kind.count(row)
  end
  return ""
end

if op == "adjust" then
  for _, row in ipairs(rows) do
    row.kind.count(row, row.amount, row.age, row.beyond)
  end
  return ""
end

if op == "reset" then
  for _, row in ipairs(rows) do
    if row.offset and row.offset ~= 0 then
      save(row.key, KEPT, "<dd", row.start, 0)
    else
      redis.call("DEL", row.key)
    end
  end
  return ""
end

local refused, longest = -1, 0
if op == "take" then
  for index, row in ipairs(rows) do
    row.need = row.need or (row.cost > 0 and row.cost or math.min(1, row.limit))
    if row.have - row.need < -SLACK then
      local wait = row.need > math.max(row.limit, row.have) and row.kind ~= kinds.l and math.huge or row.kind.wait(row)
      if wait > longest then
        refused, longest = index - 1, wait
      end
    end
  end
end

local reply = { refused, longest }
for _, row in ipairs(rows) do
  local left, ahead = row.have, 0
  if op == "take" and refused < 0 then
    if row.wish then
      ahead = math.max(0, math.min(row.wish, left - row.cost))
    end
    if row.cost + ahead > 0 or row.holder then
      row.kind.count(row, row.cost + ahead, 0)
    end
    left = left - row.cost - ahead
  end
  left = math.max(0, left)
  reply[#reply + 1] = left
  reply[#reply + 1] = row.kind.more(row, left)
  reply[#reply + 1] = ahead
end
return pack(reply)
