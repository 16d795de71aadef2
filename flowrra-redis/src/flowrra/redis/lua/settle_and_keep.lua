-- KEYS: the queue's prefix.
-- ARGV: see end_deliveries; then the database of the records, or '' for the same; then see read_runs.
-- Returns one digit for each delivery. A repeated call, whose first answer was lost, gets the same answer for a
-- minute. What is all refused writes nothing: a server at its maxmemory would refuse that write.

local memo = KEYS[1] .. 'settled:' .. ARGV[1]
local answered = redis.call('GET', memo)
if answered then return answered end

local accepted = {}
local answers, at = end_deliveries(KEYS[1], now(), accepted)
if string.find(answers, '1', 1, true) then redis.call('SET', memo, answers, 'EX', 60) end
local runs = read_runs(at + 1)
for i, id in ipairs(runs.ids) do
  if not accepted[id] then runs.refused[i] = true end
end
if ARGV[at] ~= '' then redis.call('SELECT', ARGV[at]) end
look(runs)
keep(runs)
forget_records(list_runs(runs))
return answers
