-- Takes the lease of a flight. KEYS: the lease. ARGV: a token; for how many milliseconds; '1' if the lease of a flight that
-- failed may be taken. Gives '' where it is taken now, '+' where it is taken after a flight that landed, else what is there.
local there = redis.call('GET', KEYS[1])
if not there or there == '+' or (there == '!' and ARGV[3] == '1') then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return there == '+' and '+' or ''
end
return there
