-- What all scripts on queues share. P is a queue's key prefix, flowrra:{queue}:, and t is now() in microseconds.
--
-- tasks    hash  id -> "<submitted> <head>\n<body>"; the rest is opaque
-- past     hash  id -> "<fence> <deliveries> <score> <claimed> <lane>\n<worker>", of tasks that are or were leased,
--                delayed or dead. The others are fresh: fence 0, no deliveries.
-- ready:*  zset  by score: (priority + 512) * 2^43 + number of arrival; one set for each lane
-- delayed  zset  by due time        leases  zset  by end of lease        dead  zset  by time of death
-- state, progress, reason, keyed (id -> unique key)  hashes;  cancels  set: ids; all only where there is something
-- keys     hash  unique key -> id        ticks  hash  schedule -> fire time
-- finished:<half day>  set  ids;   wake:<lane>  list of tokens, one for each worker to wake

local SPAN = 8796093022208 -- 2^43, the scores of one priority
local HALF_DAY = 43200000000
local TOKENS = 64
local AT_ONCE = 500

local function text(number) return string.format('%.0f', number) end

local function read_past(past)
  local fence, deliveries, score, claimed, lane, worker =
    string.match(past, '^(%d+) (%d+) (%S+) (%d+) ([^\n]*)\n(.*)$')
  return { fence = tonumber(fence), deliveries = tonumber(deliveries), score = tonumber(score),
           claimed = claimed, lane = lane, worker = worker }
end

local function write_past(fence, deliveries, score, claimed, lane, worker)
  return text(fence) .. ' ' .. text(deliveries) .. ' ' .. text(score) .. ' ' .. claimed .. ' ' .. lane .. '\n' .. worker
end

local function wake(P, lane, count)
  local list = P .. 'wake:' .. lane
  local room = math.min(count, TOKENS - redis.call('LLEN', list))
  if room > 0 then
    local tokens = {}
    for i = 1, room do tokens[i] = '1' end
    redis.call('RPUSH', list, unpack(tokens))
  end
end

local function rest(P, id, due, lane, past)
  -- Keeps a task back until it is due. Whoever sleeps until something later must hear of it.
  redis.call('HSET', P .. 'past', id, past)
  redis.call('ZADD', P .. 'delayed', text(due), id)
  if redis.call('ZRANGE', P .. 'delayed', 0, 0)[1] == id then wake(P, lane, 1) end
end

local function join(P, id, past)
  -- Makes a task ready, behind those of its priority.
  local score = past.score - past.score % SPAN + redis.call('INCR', P .. 'seq')
  redis.call('HSET', P .. 'past', id, write_past(past.fence, past.deliveries, score, '0', past.lane, ''))
  redis.call('ZADD', P .. 'ready:' .. past.lane, text(score), id)
  wake(P, past.lane, 1)
end

local function leave(P, set, id)
  -- Takes a task out of a set; its past, or nil where that is lost, as on a server that evicts keys.
  redis.call('ZREM', P .. set, id)
  local past = redis.call('HGET', P .. 'past', id)
  return past and read_past(past)
end

local function tidy(P, t)
  -- Makes ready what lost its lease, in its old place, and what is due.
  local now_text = text(t)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'leases', '-inf', now_text, 'LIMIT', 0, AT_ONCE)) do
    local past = leave(P, 'leases', id)
    if past then
      redis.call('ZADD', P .. 'ready:' .. past.lane, text(past.score), id)
      wake(P, past.lane, 1)
    end
  end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'delayed', '-inf', now_text, 'LIMIT', 0, AT_ONCE)) do
    local past = leave(P, 'delayed', id)
    if past then join(P, id, past) end
  end
end

local function lease_out(P, number, lane, ids, scores, t, lease, worker, out)
  -- Leases tasks that were taken from their places. Appends to out: the number of their queue, and for each id,
  -- task, and '' where it is handed out for the first time, else "<fence> <deliveries> <state>".
  local tasks = redis.call('HMGET', P .. 'tasks', unpack(ids))
  local pasts = redis.call('HMGET', P .. 'past', unpack(ids))
  local extra = redis.call('EXISTS', P .. 'state', P .. 'progress', P .. 'cancels') > 0
  local states = extra and redis.call('HMGET', P .. 'state', unpack(ids)) or {}
  local leases, kept, handed = {}, {}, { number }
  local until_text, tail = text(t + lease), ' ' .. text(t) .. ' ' .. lane .. '\n' .. worker
  for i = 1, #ids do
    local id, past, meta = ids[i], pasts[i], ''
    if past then
      past = read_past(past)
      local counts = text(past.fence + 1) .. ' ' .. text(past.deliveries + 1) .. ' '
      meta = counts .. (states[i] or '')
      kept[2 * i] = counts .. scores[i] .. tail
    else
      kept[2 * i] = '1 1 ' .. scores[i] .. tail
    end
    kept[2 * i - 1] = id
    leases[2 * i - 1], leases[2 * i] = until_text, id
    handed[3 * i - 1], handed[3 * i], handed[3 * i + 1] = id, tasks[i], meta
  end
  out[#out + 1] = handed
  redis.call('ZADD', P .. 'leases', unpack(leases))
  redis.call('HSET', P .. 'past', unpack(kept))
  if extra then
    redis.call('HDEL', P .. 'progress', unpack(ids))
    redis.call('SREM', P .. 'cancels', unpack(ids))
  end
end

local function free_key(P, id, key)
  redis.call('HDEL', P .. 'keyed', id)
  if redis.call('HGET', P .. 'keys', key) == id then redis.call('HDEL', P .. 'keys', key) end
end

local function forget_extras(P, ids)
  if redis.call('EXISTS', P .. 'state', P .. 'progress', P .. 'cancels', P .. 'keyed', P .. 'reason') == 0 then
    return
  end
  for i, key in ipairs(redis.call('HMGET', P .. 'keyed', unpack(ids))) do
    if key then free_key(P, ids[i], key) end
  end
  redis.call('HDEL', P .. 'state', unpack(ids))
  redis.call('HDEL', P .. 'progress', unpack(ids))
  redis.call('HDEL', P .. 'reason', unpack(ids))
  redis.call('SREM', P .. 'cancels', unpack(ids))
end

local function finish(P, ids, t)
  -- Forgets tasks that were taken from their places, but remembers their ids for 24 to 36 hours.
  redis.call('HDEL', P .. 'tasks', unpack(ids))
  redis.call('HDEL', P .. 'past', unpack(ids))
  forget_extras(P, ids)
  local bucket = P .. 'finished:' .. text(math.floor(t / HALF_DAY))
  redis.call('SADD', bucket, unpack(ids))
  redis.call('EXPIRE', bucket, 3 * HALF_DAY / 1000000)
end

local function leave_ready(P, id)
  -- Takes a task out of the ready set of whichever lane it is in; its lane and score, or nil.
  for _, lane in ipairs(redis.call('SMEMBERS', P .. 'lanes')) do
    local score = redis.call('ZSCORE', P .. 'ready:' .. lane, id)
    if score then
      redis.call('ZREM', P .. 'ready:' .. lane, id)
      return lane, score
    end
  end
end
