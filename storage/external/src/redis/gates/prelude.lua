-- KEYS[1] is the state of all gates, KEYS[2] holds the deadlines of what is not settled, KEYS[3] is a group.
-- ARGV[1] is a random number that no other call uses.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Counters are valid only in the epoch in which they were loaded, and are installed only if the mark is unchanged.
local function drop_all()
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'mark', ARGV[1])
end

local late = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)
if #late > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
  for _, open in ipairs(late) do
    local load, group = string.match(open, '^units (%d+) %d+ %-?%d+ (.*)$')
    if not load then
      drop_all()
    elseif redis.call('HGET', group, 'load') == load then
      redis.call('UNLINK', group)
    end
  end
end

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then
  drop_all()
  epoch = ARGV[1]
end

-- The load of a group's counters, or nil if it has none.
local function current(group)
  local found = redis.call('HMGET', group, 'load', 'epoch')
  if found[1] and found[2] == epoch then
    return found[1]
  end
end
