-- Ends deliveries. The first write is one that redis allows at maxmemory.

local function take_back(P, id, past)
  -- Takes a task from where its holder, whose fence is current, left it: leased, or ready since the lease ended.
  if redis.call('ZREM', P .. 'leases', id) == 0 then redis.call('ZREM', P .. 'ready:' .. past.lane, id) end
end

local function is_current(past, fence) return past and string.find(past, fence .. ' ', 1, true) == 1 end

local function forget_progress(P, id)
  if redis.call('EXISTS', P .. 'progress', P .. 'cancels') > 0 then
    redis.call('HDEL', P .. 'progress', id)
    redis.call('SREM', P .. 'cancels', id)
  end
end

local function done(P, t, first, count, accepted, answers)
  -- Finishes the tasks whose ids and fences stand in ARGV from first on; notes each whose fence is current.
  local ids, ended, pasts_ended = {}, {}, {}
  for i = 1, count do ids[i] = ARGV[first + 2 * i - 2] end
  local pasts = redis.call('HMGET', P .. 'past', unpack(ids))
  for i = 1, count do
    local id = ids[i]
    answers[i] = '0'
    if is_current(pasts[i], ARGV[first + 2 * i - 1]) then
      answers[i], accepted[id] = '1', true
      pasts_ended[#ended + 1] = pasts[i]
      ended[#ended + 1] = id
    end
  end
  if #ended == 0 then return end
  if redis.call('ZREM', P .. 'leases', unpack(ended)) < #ended then
    for i, id in ipairs(ended) do redis.call('ZREM', P .. 'ready:' .. read_past(pasts_ended[i]).lane, id) end
  end
  finish(P, ended, t)
end

local function keep(P, t, id, fence, verdict, counted, delay, state, reason)
  -- Buries a task or puts it back; whether its fence was current. The receipts that led here end.
  local kept = redis.call('HGET', P .. 'past', id)
  if not is_current(kept, fence) then return false end
  local past = read_past(kept)
  take_back(P, id, past)
  forget_progress(P, id)
  past.fence = past.fence + 1
  if state == '' then redis.call('HDEL', P .. 'state', id) else redis.call('HSET', P .. 'state', id, state) end
  if verdict == 'dead' then
    local key = redis.call('HGET', P .. 'keyed', id)
    if key and redis.call('HGET', P .. 'keys', key) == id then redis.call('HDEL', P .. 'keys', key) end
    redis.call('HSET', P .. 'past', id, write_past(past.fence, past.deliveries, past.score, past.claimed, past.lane, past.worker))
    redis.call('HSET', P .. 'reason', id, reason)
    redis.call('ZADD', P .. 'dead', text(t), id)
    return true
  end
  if not counted then past.deliveries = past.deliveries - 1 end
  local entry = write_past(past.fence, past.deliveries, past.score, '0', past.lane, '')
  if delay > 0 then
    rest(P, id, t + delay, past.lane, entry)
  else
    redis.call('HSET', P .. 'past', id, entry)
    redis.call('ZADD', P .. 'ready:' .. past.lane, text(past.score), id)
    wake(P, past.lane, 1)
  end
  return true
end

local function end_deliveries(P, t, accepted)
  -- ARGV: a name for this call, which a repeated one has too; how many are done, id and fence of each; how many
  -- are kept, id, fence, verdict, whether counted (1 or 0), delay in microseconds, state and reason of each.
  -- Returns one digit for each, 1 for accepted, in that order; and the place in ARGV behind all that.
  local answers = {}
  local at = 3
  local count = tonumber(ARGV[2])
  if count > 0 then done(P, t, at, count, accepted, answers) end
  at = at + 2 * count + 1
  for _ = 1, tonumber(ARGV[at - 1]) do
    local id, fence, verdict, counted = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3] == '1'
    local kept = keep(P, t, id, fence, verdict, counted, tonumber(ARGV[at + 4]), ARGV[at + 5], ARGV[at + 6])
    if kept then accepted[id] = true end
    answers[#answers + 1] = kept and '1' or '0'
    at = at + 7
  end
  return table.concat(answers), at
end
