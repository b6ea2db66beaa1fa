-- Before every script. A lease is a hash: w its worker, i which process of that name, e its epoch in
-- 20 digits, u until when in milliseconds of this server's clock, or 0 once it was released.

local function text(number)
  return string.format('%.0f', number)
end

local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Since when this server has what we write: since it was empty, or since it is up.
local function born(key, time)
  local known = redis.call('GET', key)
  if known then
    return tonumber(known)
  end
  redis.call('SET', key, text(time))
  return time
end

local function came_up(key, time)
  local uptime = string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)')
  return math.max(born(key, time), time - tonumber(uptime) * 1000)
end

-- Until when a name is whose, as it is kept: `<until> <instance>`.
local function named(kept)
  if not kept then
    return 0, nil
  end
  local ends, owner = string.match(kept, '^(%d+) (.*)$')
  return tonumber(ends), owner
end
