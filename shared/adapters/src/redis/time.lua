-- KEYS: alive.
return {KEYS[1], text(now())}
