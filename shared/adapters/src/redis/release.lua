-- KEYS: lease. ARGV: epoch, memory of released leases.
local time = now()
local lease = redis.call('HMGET', KEYS[1], 'e', 'u')
if lease[1] == ARGV[1] and tonumber(lease[2]) > time then
  redis.call('HSET', KEYS[1], 'u', '0')
  redis.call('PEXPIREAT', KEYS[1], text(time + tonumber(ARGV[2])))
end
return {KEYS[1]}
