-- The server's time in microseconds. Whole and exact as a number; write it with string.format('%.0f', ...).
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
