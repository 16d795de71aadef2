-- KEYS: the queue's prefix.  ARGV: ids.  Returns one digit for each: 1 for those that were dead and are ready now.

local P, answers = KEYS[1], {}
for i, id in ipairs(ARGV) do
  answers[i] = '0'
  if redis.call('ZREM', P .. 'dead', id) == 1 then
    answers[i] = '1'
    local past = read_past(redis.call('HGET', P .. 'past', id))
    past.fence, past.deliveries = past.fence + 1, 0
    redis.call('HDEL', P .. 'state', id)
    redis.call('HDEL', P .. 'reason', id)
    local key = redis.call('HGET', P .. 'keyed', id)
    if key then redis.call('HSETNX', P .. 'keys', key, id) end
    join(P, id, past)
  end
end
return table.concat(answers)
