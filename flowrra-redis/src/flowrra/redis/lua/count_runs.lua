-- How many runs are in the indexes that were chosen.
local count, upto = 0, ARGV[7] == '' and '+inf' or '(' .. ARGV[7]
for _, name in ipairs(names) do
  count = count + redis.call('ZCOUNT', index_key(name), string.format('%.0f', from), upto)
end
return count
