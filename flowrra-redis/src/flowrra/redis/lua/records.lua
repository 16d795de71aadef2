-- Keeping the records of finished runs, for any script that ends some.
--
-- Needs no other fragment. What it takes is made by Runs.arguments in runs.py and may stand anywhere in ARGV:
--   ttl       milliseconds that a record is kept, 0: without end
--   limit     runs that are listed, at most
--   K         number of kinds; then for each: name of its index, minute, field of the statistics, retries
--   N         number of runs; then for each: id, number of its kind, finished at (microseconds), record
-- No id may stand there twice.
--
-- The order of use:
--   local runs, after = read_runs(at)   `after` is where ARGV goes on
--   runs.refused[i] = true              for each run that is not to be kept (from 1 on)
--   look(runs)                          what is there already, and who waits; must come before keep
--   refuse_older(runs)                  marks what is older than what is there; not needed under a current fence
--   keep(runs)                          stores the others and wakes who waits for them
-- keep may run at maxmemory: its first write is one that is never refused.

local INLINE = 65536

local function read_runs(at)
  local runs = {
    ttl = tonumber(ARGV[at]), limit = tonumber(ARGV[at + 1]), kinds = {},
    ids = {}, kind_of = {}, finished = {}, records = {},
    refused = {}, earlier = {}, awaited = {}, keys = {},
  }
  local kinds = tonumber(ARGV[at + 2])
  at = at + 3
  for k = 1, kinds do
    runs.kinds[tostring(k)] = {
      name = ARGV[at], minute = ARGV[at + 1], field = ARGV[at + 2], retries = tonumber(ARGV[at + 3]), count = 0,
    }
    at = at + 4
  end
  local ids, kind_of, finished, records = runs.ids, runs.kind_of, runs.finished, runs.records
  local count = tonumber(ARGV[at])
  at = at + 1
  for i = 1, count do
    ids[i], kind_of[i], finished[i], records[i] = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    at = at + 4
  end
  return runs, at
end

local function record_key(id)
  return 'flowrra:r:{' .. id .. '}'
end

local function waiters_key(id)
  return 'flowrra:w:{' .. id .. '}'
end

-- One question for the whole batch; mostly nobody waits and nothing is there. The keys of all records come first,
-- then those of who waits for them.
local function look(runs)
  local ids, keys = runs.ids, runs.keys
  local count = #ids
  for i = 1, count do
    keys[i] = record_key(ids[i])
  end
  for i = 1, count do
    keys[count + i] = waiters_key(ids[i])
  end
  if count == 0 or redis.call('EXISTS', unpack(keys)) == 0 then
    return
  end
  for i = 1, count do
    runs.earlier[i] = redis.call('EXISTS', keys[i]) == 1 or nil
    runs.awaited[i] = redis.call('EXISTS', keys[count + i]) == 1 or nil
  end
end

local function fence_of(record)
  return tonumber(string.match(record, '^%d+')) or 0
end

local function refuse_older(runs)
  for i in pairs(runs.earlier) do
    local kept = fence_of(redis.call('GETRANGE', runs.keys[i], 0, 20))
    if kept > fence_of(runs.records[i]) then
      runs.refused[i] = true
    end
  end
end

-- A message is <length of id>:<id><record>; without the record if that is large, and the waiter fetches it.
local function tell(id, key, record)
  local message = #id .. ':' .. id
  if #record <= INLINE then
    message = message .. record
  end
  for _, channel in ipairs(redis.call('SMEMBERS', key)) do
    redis.call('PUBLISH', channel, message)
  end
  redis.call('DEL', key)
end

local function keep(runs)
  local plain, begun = {}, false
  for i, record in ipairs(runs.records) do
    if not runs.refused[i] then
      local key = runs.keys[i]
      if not begun then
        -- The first write decides whether a full server refuses the script. This one changes nothing:
        -- storing gives the key a new expiry anyway.
        redis.call('PERSIST', key)
        begun = true
      end
      if runs.ttl > 0 then
        redis.call('SET', key, record, 'PX', runs.ttl)
      else
        plain[#plain + 1], plain[#plain + 2] = key, record
      end
      if runs.awaited[i] then
        tell(runs.ids[i], runs.keys[#runs.ids + i], record)
      end
    end
  end
  if #plain > 0 then
    redis.call('MSET', unpack(plain))
  end
end
