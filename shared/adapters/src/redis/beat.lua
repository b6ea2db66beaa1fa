-- KEYS: born, alive, beats, leases. ARGV: worker, heartbeat, ttl, memory of ended leases, grace, epochs.
local time = now()
local worker = ARGV[1]
local until_then = time + tonumber(ARGV[3])
local grace = came_up(KEYS[1], time) + math.max(tonumber(ARGV[5]), tonumber(ARGV[3]))
local lost = {KEYS[2]}

for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', text(time), 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[2], gone)
  redis.call('HDEL', KEYS[3], gone)
end
redis.call('ZADD', KEYS[2], text(until_then), worker)
redis.call('HSET', KEYS[3], worker, text(time) .. ' ' .. ARGV[2])

for index = 4, #KEYS do
  local epoch = ARGV[index + 2]
  local lease = redis.call('HMGET', KEYS[index], 'w', 'e', 'u')
  local is_held = grace > time
  local ends = 0
  if lease[1] then
    ends = tonumber(lease[3])
    local is_own = lease[1] == worker and lease[2] == epoch
    is_held = is_own and (ends > time or (is_held and ends > 0))
  end
  if is_held then
    ends = math.max(ends, until_then)
    redis.call('HSET', KEYS[index], 'w', worker, 'e', epoch, 'u', text(ends))
    redis.call('PEXPIREAT', KEYS[index], text(ends + tonumber(ARGV[4])))
  else
    lost[#lost + 1] = text(index - 4)
  end
end
return lost
