-- Store and list runs in one step. The positions of those that are refused.
local runs = read_runs(1)
look(runs)
refuse_older(runs)
keep(runs)
forget_records(list_runs(runs))
local refused = {}
for i in pairs(runs.refused) do
  refused[#refused + 1] = i
end
return refused
