-- What everyone on the board says, in no order.
clear_board(now())
return redis.call('HVALS', BEATS)
