-- KEYS: alive, beats, names. ARGV: worker, instance.
local ends, owner = named(redis.call('HGET', KEYS[3], ARGV[1]))
if owner == ARGV[2] then
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('HDEL', KEYS[2], ARGV[1])
  redis.call('HDEL', KEYS[3], ARGV[1])
end
return {KEYS[1]}
