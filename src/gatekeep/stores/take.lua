-- Take from all of the token buckets or from none: the arithmetic of memory.py, on this server.
--
-- KEYS: the buckets. ARGV: the time in seconds, or "" for this server's own; then rate, burst and cost of each bucket.
-- A bucket's value is when it will be full again, in seconds since EPOCH; an absent one is full.
-- Returns {index of the refusing bucket that waits longest or -1, seconds to wait, tokens left in each bucket…}, the
-- floats as text, since a reply's numbers are whole.

local EPOCH = 1750000000 -- recent, so that a double still resolves some nanoseconds
local SLACK = 1e-6

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call("TIME")
  now = (tonumber(time[1]) - EPOCH) + tonumber(time[2]) / 1e6
end

local refused, longest = -1, 0
local missing = {}

for i, key in ipairs(KEYS) do
  local rate, burst, cost = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  local full_at = tonumber(redis.call("GET", key) or "") or now
  missing[i] = math.max(full_at - now, 0) * rate
  if missing[i] > burst + SLACK then
    -- More than everything is missing: the clock went back (a failover). Count on from an empty bucket.
    missing[i] = burst
    redis.call("SET", key, string.format("%.17g", now + burst / rate), "PX", math.ceil(burst / rate * 1000))
  end
  local lacking = missing[i] + cost - burst
  if lacking > SLACK then
    local wait = cost > burst and math.huge or lacking / rate
    if wait > longest then
      refused, longest = i - 1, wait
    end
  end
end

local reply = { refused, string.format("%.17g", longest) }

for i, key in ipairs(KEYS) do
  local rate, burst, cost = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  if refused < 0 then
    missing[i] = missing[i] + cost
    local seconds = missing[i] / rate
    if seconds > 0 then
      redis.call("SET", key, string.format("%.17g", now + seconds), "PX", math.ceil(seconds * 1000))
    end
  end
  reply[i + 2] = string.format("%.17g", math.max(burst - missing[i], 0))
end

return reply
