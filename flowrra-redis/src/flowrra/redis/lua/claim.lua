-- KEYS: the prefixes of the queues, in the order in which to serve them; all in one slot.
-- ARGV: a name for this claim, which a repeated one has too; microseconds of the lease; worker;
--       then of each lane: its name and its room.
-- Returns now, the time at which more may become ready or '', and what lease_out says of each group of deliveries.

local t = now()
local name, lease, worker = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local memo = KEYS[1] .. 'claim:' .. worker
local out = { text(t), '' }

local function again(handed)
  -- The answer to this very claim was lost: what it handed out, as far as it is still held.
  out[1] = handed.at
  for i = 1, #handed, 2 do
    local number, id = handed[i], handed[i + 1]
    local P = KEYS[number]
    local kept = redis.call('HGET', P .. 'past', id)
    local past = kept and read_past(kept)
    if past and past.worker == worker and past.claimed == handed.at and redis.call('ZSCORE', P .. 'leases', id) then
      local meta = text(past.fence) .. ' ' .. text(past.deliveries) .. ' ' .. (redis.call('HGET', P .. 'state', id) or '')
      out[#out + 1] = { number, id, redis.call('HGET', P .. 'tasks', id), meta }
    end
  end
  return out
end

local last = redis.call('GET', memo)
if last then
  last = cmsgpack.unpack(last)
  if last.name == name then return again(last) end
end

local function take(number, lane, most)
  local P = KEYS[number]
  local popped = redis.call('ZPOPMIN', P .. 'ready:' .. lane, most)
  local ids, scores = {}, {}
  for i = 1, #popped / 2 do ids[i], scores[i] = popped[2 * i - 1], popped[2 * i] end
  if #ids > 0 then lease_out(P, number, lane, ids, scores, t, lease, worker, out) end
  if #ids < most then redis.call('DEL', P .. 'wake:' .. lane) end
  return #ids
end

local function serving(lane)
  -- The queues that may have something for a lane. An idle worker asks often: it should cost little.
  local found = {}
  for number, P in ipairs(KEYS) do
    if redis.call('EXISTS', P .. 'ready:' .. lane, P .. 'wake:' .. lane) > 0
      and redis.call('EXISTS', P .. 'paused') == 0 then
      found[#found + 1] = number
    end
  end
  return found
end

local function timed(P) return redis.call('EXISTS', P .. 'delayed', P .. 'leases') > 0 end

for _, P in ipairs(KEYS) do
  if timed(P) then tidy(P, t) end
end
for i = 4, #ARGV, 2 do
  local lane, room = ARGV[i], tonumber(ARGV[i + 1])
  local queues = serving(lane)
  while room > 0 and #queues > 0 do
    local left = {}
    local share = math.min(AT_ONCE, math.max(1, math.floor(room / #queues)))
    for _, number in ipairs(queues) do
      if room == 0 then break end
      local most = math.min(share, room)
      local got = take(number, lane, most)
      room = room - got
      if got == most then left[#left + 1] = number end
    end
    queues = left
  end
end

local soonest
for _, P in ipairs(KEYS) do
  if timed(P) then
    for _, set in ipairs({ 'delayed', 'leases' }) do
      local first = redis.call('ZRANGE', P .. set, 0, 0, 'WITHSCORES')[2]
      if first and (not soonest or tonumber(first) < soonest) then soonest = tonumber(first) end
    end
  end
end
if soonest then out[2] = text(soonest) end

if #out > 2 then
  local handed = { name = name, at = out[1] }
  for i = 3, #out do
    local group = out[i]
    for k = 2, #group, 3 do
      handed[#handed + 1], handed[#handed + 2] = group[1], group[k]
    end
  end
  redis.call('SET', memo, cmsgpack.pack(handed), 'EX', 60)
end
return out
