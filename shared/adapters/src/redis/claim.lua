-- KEYS: born, lease. ARGV: worker, epoch, ttl, memory of ended leases, grace, instance.
local time = now()
local since = born(KEYS[1], time)
local worker, epoch, grace, instance = ARGV[1], ARGV[2], tonumber(ARGV[5]), ARGV[6]
local lease = redis.call('HMGET', KEYS[2], 'w', 'e', 'u', 'i')
local until_then = time + tonumber(ARGV[3])
if lease[1] then
  local ends = tonumber(lease[3])
  local is_live = ends > time
  local is_own = lease[1] == worker and (lease[4] or '') == instance
  -- It could not be renewed while the server was away.
  if not is_live and ends > 0 and came_up(KEYS[1], time) + grace > time then
    is_live = true
  end
  if epoch < lease[2] or (epoch == lease[2] and is_live and not is_own) then
    return {KEYS[2], 'refused', lease[1], lease[2]}
  end
  if epoch == lease[2] and not is_live then
    return {KEYS[2], 'ended', lease[1], lease[2]}
  end
  if epoch == lease[2] then
    until_then = math.max(until_then, ends)
  end
elseif since + grace > time then
  -- Whoever held it before the server lost everything may still be at work.
  return {KEYS[2], 'unknown', text(since + grace - time)}
end
redis.call('HSET', KEYS[2], 'w', worker, 'i', instance, 'e', epoch, 'u', text(until_then))
redis.call('PEXPIREAT', KEYS[2], text(until_then + tonumber(ARGV[4])))
return {KEYS[2], 'granted'}
