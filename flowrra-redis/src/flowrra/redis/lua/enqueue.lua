-- KEYS: the queue's prefix.
-- ARGV: bound of waiting tasks or 0; then of each message: id, lane, the score that its priority begins with,
--       due ('', or microseconds after now as d..., or since the epoch as e...), unique key, schedule, fire time,
--       head and body. '' stands for none.
-- Returns nil where all are accepted, else of each: '' accepted, 'F' full, or 'D' and the id of the earlier task;
-- and one value more where the queue has never been used, or was lost with all that there was.
-- The first write is one that redis refuses at maxmemory, so that a refused batch leaves nothing.

local P, t = KEYS[1], now()
local limit, fields = tonumber(ARGV[1]), 8
local count = (#ARGV - 1) / fields

local ids, known = {}, {}
for i = 1, count do ids[i] = ARGV[2 + (i - 1) * fields] end
for i, task in ipairs(redis.call('HMGET', P .. 'tasks', unpack(ids))) do
  if task then known[ids[i]] = true end
end
local today = math.floor(t / HALF_DAY)
for bucket = today - 2, today do
  local key = P .. 'finished:' .. text(bucket)
  if redis.call('EXISTS', key) == 1 then
    for i, found in ipairs(redis.call('SMISMEMBER', key, unpack(ids))) do
      if found == 1 then known[ids[i]] = true end
    end
  end
end

local waiting = 0
if limit > 0 then
  waiting = redis.call('ZCARD', P .. 'delayed')
  for _, lane in ipairs(redis.call('SMEMBERS', P .. 'lanes')) do
    waiting = waiting + redis.call('ZCARD', P .. 'ready:' .. lane)
  end
end

local function earlier(id, key, schedule, fire)
  if known[id] then return id end
  if schedule ~= '' then
    local last = redis.call('HGET', P .. 'ticks', schedule)
    if last and tonumber(fire) <= tonumber(last) then return id end
  end
  return key ~= '' and redis.call('HGET', P .. 'keys', key)
end

local number = redis.call('INCRBY', P .. 'seq', count) - count
local answers, refused = {}, false
local tasks, delayed, ready, lanes = {}, {}, {}, {}
local stamp = text(t) .. ' '
for i = 1, count do
  local at = 1 + (i - 1) * fields
  local id, lane, base, due = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local key, schedule, fire = ARGV[at + 5], ARGV[at + 6], ARGV[at + 7]
  local first = earlier(id, key, schedule, fire)
  answers[i] = ''
  if first then
    answers[i], refused = 'D' .. first, true
  elseif limit > 0 and waiting >= limit then
    answers[i], refused = 'F', true
  else
    known[id] = true
    waiting = waiting + 1
    tasks[#tasks + 1], tasks[#tasks + 2] = id, stamp .. ARGV[at + 8]
    if key ~= '' then
      redis.call('HSET', P .. 'keys', key, id)
      redis.call('HSET', P .. 'keyed', id, key)
    end
    if schedule ~= '' then redis.call('HSET', P .. 'ticks', schedule, fire) end
    local moment = 0
    if due ~= '' then
      moment = tonumber(string.sub(due, 2)) + (string.sub(due, 1, 1) == 'd' and t or 0)
    end
    local entries = lanes[lane] or {}
    lanes[lane] = entries
    local score = tonumber(base) + number + i
    if moment > t then
      delayed[#delayed + 1] = { id, moment, lane, score }
    else
      entries[#entries + 1], entries[#entries + 2] = text(score), id
    end
  end
end

if #tasks > 0 then
  redis.call('HSET', P .. 'tasks', unpack(tasks))
  for lane, entries in pairs(lanes) do
    redis.call('SADD', P .. 'lanes', lane)
    if #entries > 0 then
      redis.call('ZADD', P .. 'ready:' .. lane, unpack(entries))
      wake(P, lane, #entries / 2)
    end
  end
  for _, each in ipairs(delayed) do
    local id, moment, lane, score = unpack(each)
    rest(P, id, moment, lane, write_past(0, 0, score, '0', lane, ''))
  end
end
if number == 0 then answers[count + 1] = 'N' end
if refused or number == 0 then return answers end
