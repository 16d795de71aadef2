-- Who is at work. Keys, under flowrra:{workers}:
--   beats   hash of what each worker last said of itself, by name
--   until   sorted set of names by the time, in microseconds, at which they leave the board

local BEATS, UNTIL = 'flowrra:{workers}:beats', 'flowrra:{workers}:until'

-- Take off who is lost for long. Also a first write that a full server doesn't refuse.
local function clear_board(time)
  local upto = string.format('%.0f', time)
  local names = redis.call('ZRANGEBYSCORE', UNTIL, '-inf', upto, 'LIMIT', 0, 1000)
  redis.call('ZREM', UNTIL, '', unpack(names))
  if #names > 0 then
    redis.call('HDEL', BEATS, unpack(names))
  end
end
