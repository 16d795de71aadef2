-- Show a worker. ARGV: name, what it says, microseconds for which it is shown.
local time = now()
clear_board(time)
redis.call('HSET', BEATS, ARGV[1], ARGV[2])
redis.call('ZADD', UNTIL, string.format('%.0f', time + ARGV[3]), ARGV[1])
