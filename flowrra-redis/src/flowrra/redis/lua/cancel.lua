-- KEYS: the queue's prefix.  ARGV: microseconds of the lease; the worker that holds what is handed out; ids.
-- Marks what is leased, hands out what waits. Returns now, the ids of those marked, and what lease_out says of the others.

local P, t = KEYS[1], now()
local lease, worker = tonumber(ARGV[1]), ARGV[2]
local marked, out = {}, {}

local function withdraw(id)
  local kept = redis.call('HGET', P .. 'past', id)
  local lane, score = leave_ready(P, id)
  if lane then return lane, text(tonumber(score)) end
  if kept and redis.call('ZREM', P .. 'delayed', id) + redis.call('ZREM', P .. 'leases', id) > 0 then
    local past = read_past(kept)
    return past.lane, text(past.score)
  end
end

for i = 3, #ARGV do
  local id = ARGV[i]
  local lease_end = redis.call('ZSCORE', P .. 'leases', id)
  if lease_end and tonumber(lease_end) > t then
    redis.call('SADD', P .. 'cancels', id)
    marked[#marked + 1] = id
  elseif redis.call('HEXISTS', P .. 'tasks', id) == 1 and not redis.call('ZSCORE', P .. 'dead', id) then
    local lane, score = withdraw(id)
    if lane then lease_out(P, 1, lane, { id }, { score }, t, lease, worker, out) end
  end
end
return { text(t), marked, out }
