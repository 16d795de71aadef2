-- The next runs of the indexes that were chosen, newest first, of equal times the last id first.
-- ARGV from 8 on: time and id of the last run before the page or '' and '', how many, how many to look at, at most,
-- and how ids begin.
-- Returns the time and id of the last one looked at, or '' and '' at the end; then id, time and name of each run.
local cursor_time, cursor_id, wanted, most, prefix = ARGV[8], ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11]), ARGV[12]
local FEWEST, MOST = 4, 256

-- How many entries of an index stand before the page. Among many of the cursor's time, search by halves.
local function first_rank(key)
  if cursor_time == '' then
    return ARGV[7] == '' and 0 or redis.call('ZCOUNT', key, ARGV[7], '+inf')
  end
  local low = redis.call('ZCOUNT', key, '(' .. cursor_time, '+inf')
  local high = low + redis.call('ZCOUNT', key, cursor_time, cursor_time)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if less(redis.call('ZREVRANGE', key, middle, middle)[1], cursor_id) then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

-- Step to the next entry of an index; false at its end.
local function advance(head)
  head.at = head.at + 2
  if head.at > #head.rows then
    head.rows = redis.call('ZREVRANGE', head.key, head.rank, head.rank + head.chunk - 1, 'WITHSCORES')
    head.rank, head.at, head.chunk = head.rank + head.chunk, 1, math.min(head.chunk * 2, MOST)
  end
  head.id, head.text = head.rows[head.at], head.rows[head.at + 1]
  head.time = tonumber(head.text or 0)
  return head.id and head.time >= from
end

local function is_older(one, other)
  return one.time < other.time or one.time == other.time and less(one.id, other.id)
end

-- The heads of all indexes, the newest last.
local heads = {}
local function enter(head)
  local first, last = 1, #heads + 1
  while first < last do
    local middle = math.floor((first + last) / 2)
    if is_older(heads[middle], head) then
      first = middle + 1
    else
      last = middle
    end
  end
  table.insert(heads, first, head)
end

local chunk = math.min(MOST, math.max(FEWEST, math.ceil(2 * wanted / #names)))
for _, name in ipairs(names) do
  local key = index_key(name)
  local head = {name = name, key = key, rank = first_rank(key), rows = {}, at = 0, chunk = chunk}
  if advance(head) then
    enter(head)
  end
end

local page, looked = {'', ''}, 0
while #heads > 0 and looked < most and #page < 2 + 3 * wanted do
  local head = table.remove(heads)
  looked = looked + 1
  page[1], page[2] = head.text, head.id
  if string.sub(head.id, 1, #prefix) == prefix then
    local last = #page
    page[last + 1], page[last + 2], page[last + 3] = head.id, head.text, head.name
  end
  if advance(head) then
    enter(head)
  end
end
if #heads == 0 then
  page[1], page[2] = '', ''
end
return page
