-- KEYS: the queue's prefix.
-- ARGV: microseconds of the lease; then of each receipt: id, fence, progress or ''.
-- Returns one digit for each: 0 lost, 1 held, 2 cancelled.
-- The first write is one that redis allows at maxmemory.

local P, t = KEYS[1], now()
local until_text = text(t + tonumber(ARGV[1]))
local ids = {}
for i = 2, #ARGV, 3 do ids[#ids + 1] = ARGV[i] end
local pasts = redis.call('HMGET', P .. 'past', unpack(ids))
local leases = redis.call('ZMSCORE', P .. 'leases', unpack(ids))
local cancels = redis.call('EXISTS', P .. 'cancels') == 1 and redis.call('SMISMEMBER', P .. 'cancels', unpack(ids))

local answers, held, ends, progress = {}, {}, {}, {}
for i, id in ipairs(ids) do
  local fence, done = ARGV[3 * i], ARGV[3 * i + 1]
  if leases[i] and pasts[i] and string.sub(pasts[i], 1, #fence + 1) == fence .. ' ' then
    held[#held + 1] = id
    ends[#ends + 1], ends[#ends + 2] = until_text, id
    if done ~= '' then progress[#progress + 1], progress[#progress + 2] = id, done end
    answers[i] = cancels and cancels[i] == 1 and '2' or '1'
  else
    answers[i] = '0'
  end
end
if #held > 0 then
  redis.call('ZREM', P .. 'leases', unpack(held))
  redis.call('ZADD', P .. 'leases', unpack(ends))
  if #progress > 0 then redis.call('HSET', P .. 'progress', unpack(progress)) end
end
return table.concat(answers)
