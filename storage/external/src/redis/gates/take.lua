
-- ARGV[2] is the number of the gate, ARGV[3] the user, ARGV[4] the quantity, ARGV[5] the time in milliseconds in which
-- the units have to be settled.
local gate, user, quantity = ARGV[2], ARGV[3], tonumber(ARGV[4])
local group, left_name, taken_name = KEYS[3], 'left ' .. gate, 'user ' .. gate .. ' ' .. user
local found = redis.call('HMGET', group, 'load', 'epoch', left_name, 'limit ' .. gate, taken_name)
local load, left, limit, taken = found[1], found[3], found[4], found[5]
if not load or found[2] ~= epoch or not left then
  return {'absent', ''}
end
if limit and tonumber(taken or 0) + quantity > tonumber(limit) then
  return {'limit', limit}
end
if tonumber(left) < quantity then
  return {'sold out', left}
end
redis.call('HINCRBY', group, left_name, 0 - quantity)
if limit then
  redis.call('HINCRBY', group, taken_name, quantity)
end
if redis.call('HINCRBY', group, 'open ' .. gate .. ' ' .. user, 1) == 1 then
  redis.call('ZADD', KEYS[2], now + ARGV[5], 'units ' .. load .. ' ' .. gate .. ' ' .. user .. ' ' .. group)
end
return {'taken', load}
