-- KEYS: notes of the topic by when they end, their bodies. ARGV: name, body, ttl.
local time = now()
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(time), 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[1], gone)
  redis.call('HDEL', KEYS[2], gone)
end
local until_then = time + tonumber(ARGV[3])
redis.call('ZADD', KEYS[1], text(until_then), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
-- Once nobody says anything more about it, nothing stays.
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[1], text(tonumber(last[2]) + 1000))
redis.call('PEXPIREAT', KEYS[2], text(tonumber(last[2]) + 1000))
return {KEYS[1]}
