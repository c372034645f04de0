-- Appends a purge to the log and announces it. KEYS: the log. ARGV: an era, should there be none yet; the purge; how many
-- to remember; the channel. Gives {era, number}.
local era = redis.call('HGET', KEYS[1], 'era')
if not era then
  era = ARGV[1]
  redis.call('HSET', KEYS[1], 'era', era)
end
local number = redis.call('HINCRBY', KEYS[1], 'number', 1)
redis.call('HSET', KEYS[1], 'p' .. number, ARGV[2])
redis.call('HDEL', KEYS[1], 'p' .. (number - tonumber(ARGV[3])))
redis.call('PUBLISH', ARGV[4], era .. ' ' .. number)
return {era, number}
