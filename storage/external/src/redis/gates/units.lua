
-- Adds units to a gate.
local function give(group, gate, user, quantity)
  if redis.call('HEXISTS', group, 'left ' .. gate) == 1 then
    redis.call('HINCRBY', group, 'left ' .. gate, quantity)
  end
  local taken = 'user ' .. gate .. ' ' .. user
  if redis.call('HEXISTS', group, taken) == 1 and redis.call('HINCRBY', group, taken, 0 - quantity) <= 0 then
    redis.call('HDEL', group, taken)
  end
end

-- Notes that units of a user are settled. Those of one user that are open at once have one deadline.
local function close(load, gate, user)
  local count = 'open ' .. gate .. ' ' .. user
  if redis.call('HINCRBY', KEYS[3], count, -1) <= 0 then
    redis.call('HDEL', KEYS[3], count)
    redis.call('ZREM', KEYS[2], 'units ' .. load .. ' ' .. gate .. ' ' .. user .. ' ' .. KEYS[3])
  end
end
