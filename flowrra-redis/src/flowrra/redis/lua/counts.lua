-- KEYS: the queue's prefix.
-- Returns the numbers of ready, delayed, leased and dead tasks, whether it is paused, and the microseconds since
-- the oldest ready task was submitted or ''. Only the first of each priority is looked at: it came first,
-- unless it had to wait elsewhere before.

local P, t = KEYS[1], now()
local ready, oldest = 0, nil
for _, lane in ipairs(redis.call('SMEMBERS', P .. 'lanes')) do
  local set = P .. 'ready:' .. lane
  ready = ready + redis.call('ZCARD', set)
  local first = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
  while first[1] do
    local submitted = tonumber(string.match(redis.call('HGET', P .. 'tasks', first[1]) or '', '^%d+'))
    if submitted and (not oldest or submitted < oldest) then oldest = submitted end
    local above = (math.floor(tonumber(first[2]) / SPAN) + 1) * SPAN
    first = redis.call('ZRANGEBYSCORE', set, text(above), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  end
end
return { ready, redis.call('ZCARD', P .. 'delayed'), redis.call('ZCARD', P .. 'leases'),
  redis.call('ZCARD', P .. 'dead'), redis.call('EXISTS', P .. 'paused'), oldest and text(t - oldest) or '' }
