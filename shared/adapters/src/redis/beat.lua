-- KEYS: born, alive, beats, names, leases.
-- ARGV: worker, heartbeat, ttl, memory of ended leases, grace, instance, epochs.
local time = now()
local worker = ARGV[1]
local until_then = time + tonumber(ARGV[3])
born(KEYS[1], time)
local instance = ARGV[6]
local until_name, owner = named(redis.call('HGET', KEYS[4], worker))
local is_taken = owner and owner ~= instance and until_name > time
local answer = {KEYS[2], is_taken and 'taken' or 'own'}

for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', text(time), 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[2], gone)
  redis.call('HDEL', KEYS[3], gone)
  redis.call('HDEL', KEYS[4], gone)
end
if not is_taken then
  redis.call('ZADD', KEYS[2], text(until_then), worker)
  redis.call('HSET', KEYS[3], worker, text(time) .. ' ' .. ARGV[2])
  redis.call('HSET', KEYS[4], worker, text(until_then) .. ' ' .. instance)
end

-- Only asked where a lease is not as it should be: to ask takes a fifth of the time of a beat.
local function is_graced()
  local grace = math.max(tonumber(ARGV[5]), tonumber(ARGV[3]))
  return came_up(KEYS[1], time) + grace > time
end

for index = 5, #KEYS do
  local epoch = ARGV[index + 2]
  local lease = redis.call('HMGET', KEYS[index], 'w', 'e', 'u', 'i')
  local is_held, ends = false, 0
  if lease[1] then
    ends = tonumber(lease[3])
    local is_own = lease[1] == worker and (lease[4] or '') == instance and lease[2] == epoch
    is_held = is_own and (ends > time or (ends > 0 and is_graced()))
  else
    is_held = is_graced()
  end
  if is_held then
    ends = math.max(ends, until_then)
    redis.call('HSET', KEYS[index], 'w', worker, 'i', instance, 'e', epoch, 'u', text(ends))
    redis.call('PEXPIREAT', KEYS[index], text(ends + tonumber(ARGV[4])))
  else
    answer[#answer + 1] = text(index - 5)
  end
end
return answer
