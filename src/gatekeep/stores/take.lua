-- Take from all of the token buckets or from none: what decide.lua does where all are buckets, the usual case, in a third of
-- the time.
--
-- KEYS: the buckets. ARGV: the time ("" for this server's own), and rate, burst, cost and wish of each. Time, values and reply
-- as in decide.lua.

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call("TIME")
  now = (tonumber(time[1]) - 1750000000) + tonumber(time[2]) / 1e6
end

local refused, longest = -1, 0
local missing = {}

for i, key in ipairs(KEYS) do
  local at = 4 * i
  local rate, burst, cost = tonumber(ARGV[at - 2]), tonumber(ARGV[at - 1]), tonumber(ARGV[at])
  local value = redis.call("GET", key)
  local lacking = 0
  if value then
    local full_at, written = struct.unpack("<dd", value)
    if written > now then
      -- The clock went back (a failover): count on from here.
      lacking = math.max(full_at - written, 0) * rate
      local seconds = lacking / rate
      redis.call("SET", key, struct.pack("<dd", now + seconds, now), "PX", math.max(1, math.ceil(seconds * 1000)))
    elseif full_at > now then
      lacking = (full_at - now) * rate
    end
  end
  missing[i] = lacking
  local need = cost > 0 and cost or math.min(1, burst)
  local short = lacking + need - burst
  if short > 1e-6 then
    local wait = need > burst and math.huge or short / rate
    if wait > longest then
      refused, longest = i - 1, wait
    end
  end
end

local reply = { struct.pack("<dd", refused, longest) }

for i, key in ipairs(KEYS) do
  local at = 4 * i
  local rate, burst = tonumber(ARGV[at - 2]), tonumber(ARGV[at - 1])
  local left, ahead = burst - missing[i], 0
  if refused < 0 then
    local cost = tonumber(ARGV[at])
    ahead = math.max(0, math.min(tonumber(ARGV[at + 1]), left - cost))
    left = left - cost - ahead
    local seconds = (burst - left) / rate
    if cost + ahead > 0 and seconds > 0 then
      redis.call("SET", key, struct.pack("<dd", now + seconds, now), "PX", math.max(1, math.ceil(seconds * 1000)))
    end
  end
  left = math.max(0, left)
  reply[i + 1] = struct.pack("<ddd", left, math.max(0, (math.min(math.floor(left + 1e-6) + 1, burst) - left) / rate), ahead)
end

return table.concat(reply)
