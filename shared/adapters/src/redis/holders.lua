-- KEYS: born, leases. ARGV: grace.
local time = now()
local since = nil
local found = {KEYS[1]}
for index = 2, #KEYS do
  local lease = redis.call('HMGET', KEYS[index], 'w', 'e', 'u')
  local ends = tonumber(lease[3] or -1)
  if ends > time then
    found[#found + 1] = lease[1]
    found[#found + 1] = lease[2]
  else
    if ends ~= 0 then
      since = since or came_up(KEYS[1], time)
      local left = since + tonumber(ARGV[1]) - time
      if left > 0 then
        return {KEYS[1], 'unknown', text(left)}
      end
    end
    found[#found + 1] = ''
    found[#found + 1] = ''
  end
end
return found
