-- KEYS: notes of the topic by when they end, their bodies.
local found = {KEYS[1]}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. text(now()), '+inf')) do
  found[#found + 1] = name
  found[#found + 1] = redis.call('HGET', KEYS[2], name) or ''
end
return found
