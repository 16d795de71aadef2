-- KEYS: the queue's prefix.  ARGV: place (ready, delayed, leases or dead), how many, and score and id behind which
-- to begin, or ''.  Returns id and score of each, in order; the dead newest first.

local P, place, most = KEYS[1], ARGV[1], tonumber(ARGV[2])
local score, last = ARGV[3], ARGV[4]
local backwards = place == 'dead'

local function is_behind(id, its)
  if score == '' or tonumber(its) ~= tonumber(score) then return true end
  if backwards then return less(id, last) end
  return less(last, id)
end

local function page(set)
  local found, offset = {}, 0
  local start = score ~= '' and score or (backwards and '+inf' or '-inf')
  while #found <= 2 * most do
    local some
    if backwards then
      some = redis.call('ZREVRANGEBYSCORE', set, start, '-inf', 'WITHSCORES', 'LIMIT', offset, most + 1)
    else
      some = redis.call('ZRANGEBYSCORE', set, start, '+inf', 'WITHSCORES', 'LIMIT', offset, most + 1)
    end
    if #some == 0 then break end
    for i = 1, #some, 2 do
      if is_behind(some[i], some[i + 1]) then
        found[#found + 1], found[#found + 2] = some[i], text(tonumber(some[i + 1]))
      end
    end
    offset = offset + most + 1
  end
  return found
end

if place ~= 'ready' then return { page(P .. place) } end
local pages = {}
for _, lane in ipairs(redis.call('SMEMBERS', P .. 'lanes')) do pages[#pages + 1] = page(P .. 'ready:' .. lane) end
return pages
