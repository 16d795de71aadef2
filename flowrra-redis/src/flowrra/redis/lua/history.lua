-- Listing finished runs, for any script that ends some.
--
-- Needs the fragment clock before it. Keys, all under flowrra:{runs}: and so in one slot:
--   names      set of the names of the indexes; a name is <queue>\31<task>\31<s, f, c or d>: success, failed,
--              cancelled, dead
--   i:<name>   sorted set of ids by time of finishing, in microseconds; a run is in one of them only
--   log        list of what was listed, oldest first: <name>\n<time>\n<id>
--   m:<minute> hash of counts: <task>\31<outcome>\31<bucket of waiting>\31<bucket of running>, <task>\31retries
--
-- list_runs(runs) lists what is not refused and returns the ids that had to go: whoever calls it deletes their
-- records, with forget_records(ids) where records and lists are on one node. `runs` is what read_runs of the
-- fragment records made; its runs.earlier[i] says whether there was a record before. May run at maxmemory.

local RUNS = 'flowrra:{runs}:'
local OUTCOMES = {'s', 'f', 'c', 'd'}
-- Seconds for which the statistics of a minute are kept, and the most leftovers that one call clears away.
local STATISTICS_KEPT = 90000
local CLEARED = 200

local function index_key(name)
  return RUNS .. 'i:' .. name
end

-- Take entries {name, id, time} off the indexes, but for those that have changed; the ids of those taken.
local function unlist(entries)
  local groups, gone = {}, {}
  for _, entry in ipairs(entries) do
    local group = groups[entry[1]] or {ids = {}, times = {}}
    groups[entry[1]] = group
    group.ids[#group.ids + 1], group.times[#group.times + 1] = entry[2], tonumber(entry[3])
  end
  for name, group in pairs(groups) do
    local key, old = index_key(name), {}
    local listed = redis.call('ZMSCORE', key, unpack(group.ids))
    for i, id in ipairs(group.ids) do
      if listed[i] and tonumber(listed[i]) == group.times[i] then
        old[#old + 1], gone[#gone + 1] = id, id
      end
    end
    if #old > 0 then
      redis.call('ZREM', key, unpack(old))
    end
    if redis.call('EXISTS', key) == 0 then
      redis.call('SREM', RUNS .. 'names', name)
    end
  end
  return gone
end

local function read_entry(entry)
  return string.match(entry, '^([^\n]*)\n(%d+)\n(.*)$')
end

-- Unlist the oldest: what is over the limit or older than ttl milliseconds, `most` at a time. The ids that are gone.
local function trim(limit, ttl, most)
  local key, old = RUNS .. 'log', {}
  local excess = redis.call('LLEN', key) - limit
  local horizon = ttl > 0 and now() - ttl * 1000 or 0
  if excess <= 0 and ttl > 0 then
    -- Mostly nothing is too old: look at the oldest first.
    local _, time = read_entry(redis.call('LINDEX', key, 0) or '')
    excess = time and tonumber(time) < horizon and 1 or 0
  end
  if excess <= 0 then
    return old
  end
  for i, entry in ipairs(redis.call('LRANGE', key, 0, (ttl > 0 and most or math.min(excess, most)) - 1)) do
    local name, time, id = read_entry(entry)
    if i > excess and tonumber(time) >= horizon then
      break
    end
    old[i] = {name, id, time}
  end
  redis.call('LTRIM', key, #old, -1)
  return unlist(old)
end

-- Whether a run that was finished before is to be listed anew; not if only its answer was lost.
local function finished_anew(name, id, time)
  if tonumber(redis.call('ZSCORE', index_key(name), id) or 0) == tonumber(time) then
    return false
  end
  for _, outcome in ipairs(OUTCOMES) do
    redis.call('ZREM', index_key(string.sub(name, 1, -2) .. outcome), id)
  end
  return true
end

local function count_runs(kinds)
  local minutes = {}
  for _, kind in pairs(kinds) do
    if kind.count > 0 then
      local key = RUNS .. 'm:' .. kind.minute
      redis.call('HINCRBY', key, kind.field, kind.count)
      if kind.retries > 0 then
        local task = string.match(kind.field, '^[^\31]*')
        redis.call('HINCRBY', key, task .. '\31retries', kind.retries * kind.count)
      end
      minutes[key] = true
    end
  end
  for key in pairs(minutes) do
    redis.call('EXPIRE', key, STATISTICS_KEPT)
  end
end

local function list_runs(runs)
  local added, log = {}, {}
  -- A first write that is never refused. The list has no expiry: nothing changes.
  redis.call('PERSIST', RUNS .. 'log')
  for i, id in ipairs(runs.ids) do
    local kind, time = runs.kinds[runs.kind_of[i]], runs.finished[i]
    local name = kind.name
    if not runs.refused[i] and (not runs.earlier[i] or finished_anew(name, id, time)) then
      local entries = added[name] or {}
      added[name] = entries
      entries[#entries + 1], entries[#entries + 2] = time, id
      log[#log + 1] = name .. '\n' .. time .. '\n' .. id
      kind.count = kind.count + 1
    end
  end
  if #log == 0 then
    return log
  end
  for name, entries in pairs(added) do
    redis.call('ZADD', index_key(name), unpack(entries))
    redis.call('SADD', RUNS .. 'names', name)
  end
  redis.call('RPUSH', RUNS .. 'log', unpack(log))
  count_runs(runs.kinds)
  return trim(runs.limit, runs.ttl, #log + CLEARED)
end

local function forget_records(ids)
  if #ids == 0 then
    return
  end
  local keys = {}
  for i, id in ipairs(ids) do
    keys[i] = 'flowrra:r:{' .. id .. '}'
  end
  redis.call('UNLINK', unpack(keys))
end
