-- Begins a new era where the old one is still on. KEYS: the log. ARGV: the old era, '' for none; the new one; the channel.
-- Gives {era, number} as they are now.
local era = redis.call('HGET', KEYS[1], 'era') or ''
if era == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'era', ARGV[2], 'number', 0)
  redis.call('PUBLISH', ARGV[3], ARGV[2] .. ' 0')
end
return redis.call('HMGET', KEYS[1], 'era', 'number')
