-- KEYS: alive, beats.
local found = {KEYS[1]}
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. text(now()), '+inf')) do
  found[#found + 1] = redis.call('HGET', KEYS[2], worker) or ''
end
return found
