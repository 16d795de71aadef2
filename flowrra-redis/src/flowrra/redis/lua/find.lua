-- KEYS: the queue's prefix.  ARGV: ids.
-- Returns of each id that is known: id, place, task, past or '', due or '', state, progress and reason.

local P, out = KEYS[1], {}
local function place_of(id)
  for _, place in ipairs({ 'leases', 'delayed', 'dead' }) do
    local score = redis.call('ZSCORE', P .. place, id)
    if score then return place, text(tonumber(score)) end
  end
  return 'ready', ''
end
for i, task in ipairs(redis.call('HMGET', P .. 'tasks', unpack(ARGV))) do
  if task then
    local id = ARGV[i]
    local place, score = place_of(id)
    out[#out + 1] = { id, place, task, redis.call('HGET', P .. 'past', id) or '', score,
      redis.call('HGET', P .. 'state', id) or '', redis.call('HGET', P .. 'progress', id) or '',
      redis.call('HGET', P .. 'reason', id) or '' }
  end
end
return out
