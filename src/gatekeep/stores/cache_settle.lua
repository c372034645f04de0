-- Ends the lease of a flight. KEYS: the lease. ARGV: the token it was taken with; what to leave there; for how many milliseconds.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
