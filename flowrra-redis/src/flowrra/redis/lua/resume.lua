-- KEYS: the queue's prefix.  Lets claims in again, and wakes those who may claim.

local P = KEYS[1]
redis.call('DEL', P .. 'paused')
for _, lane in ipairs(redis.call('SMEMBERS', P .. 'lanes')) do wake(P, lane, TOKENS) end
