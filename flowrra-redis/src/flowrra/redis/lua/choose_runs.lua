-- Which indexes a filter asks for. ARGV: limit, ttl, queue, task, letters of outcomes, from (microseconds), until
-- (microseconds); what is empty doesn't restrict.
local names, limit, ttl = {}, tonumber(ARGV[1]), tonumber(ARGV[2])
local from = tonumber(ARGV[6]) or 0
if ttl > 0 then
  -- The records of what is too old expire by themselves.
  trim(limit, ttl, CLEARED)
  from = math.max(from, now() - ttl * 1000)
end
for _, name in ipairs(redis.call('SMEMBERS', RUNS .. 'names')) do
  local queue, task, outcome = string.match(name, '^(.*)\31(.*)\31(.)$')
  if (ARGV[3] == '' or ARGV[3] == queue) and (ARGV[4] == '' or ARGV[4] == task)
    and string.find(ARGV[5], outcome, 1, true) then
    names[#names + 1] = name
  end
end
