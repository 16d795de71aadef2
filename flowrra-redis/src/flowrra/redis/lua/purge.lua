-- KEYS: the queue's prefix.  ARGV: the most to delete in this call; places (ready, delayed, dead).
-- Returns how many it deleted; fewer than the most: there are no more.

local P, t = KEYS[1], now()
local most, gone = tonumber(ARGV[1]), 0

local function clear(set)
  local ids = redis.call('ZRANGE', set, 0, most - gone - 1)
  if #ids == 0 then return end
  redis.call('ZREM', set, unpack(ids))
  finish(P, ids, t)
  gone = gone + #ids
end

for i = 2, #ARGV do
  if ARGV[i] == 'ready' then
    for _, lane in ipairs(redis.call('SMEMBERS', P .. 'lanes')) do
      if gone < most then clear(P .. 'ready:' .. lane) end
    end
  elseif gone < most then
    clear(P .. ARGV[i])
  end
end
return gone
