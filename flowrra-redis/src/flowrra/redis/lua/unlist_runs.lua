-- Take runs off the indexes whose records are gone. ARGV: name, id and time of each.
local entries = {}
for i = 1, #ARGV, 3 do
  entries[#entries + 1] = {ARGV[i], ARGV[i + 1], ARGV[i + 2]}
end
unlist(entries)
