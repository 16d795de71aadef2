-- Look for records, and put the caller on the list of those who wait where there is none. A record or nil for each.
-- ARGV: channel, milliseconds for which to stay on the list, ids.
local answers = {}
for i = 3, #ARGV do
  local record = redis.call('GET', record_key(ARGV[i]))
  if not record then
    local key = waiters_key(ARGV[i])
    -- A first write that is never refused, so that waiting goes on at maxmemory.
    redis.call('PERSIST', key)
    redis.call('SADD', key, ARGV[1])
    redis.call('PEXPIRE', key, ARGV[2])
  end
  answers[i - 2] = record
end
return answers
