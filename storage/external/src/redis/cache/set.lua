-- KEYS[1] is the entry, KEYS[2] holds the keys of the space by expiry, KEYS[3] their sizes and the total size.
-- ARGV[1] is the beginning of the names of entries, ARGV[2] the key, ARGV[3] the present time, ARGV[4] what is expected
-- ('any', 'none' or 'value'), ARGV[5] the expected value. To set the key, these follow: ARGV[6] and ARGV[7], the maximum
-- number of entries and their size, ARGV[8] the expiry, ARGV[9] the time until then in milliseconds, ARGV[10] the entry.
-- Times are in microseconds, if nothing else is said. An entry begins with its expiry in eight bytes.
local now = tonumber(ARGV[3])
if ARGV[4] ~= 'any' then
  local found = redis.call('GET', KEYS[1])
  if found and struct.unpack('<i8', found) <= now then
    found = false
  end
  local value = found and string.sub(found, 9)
  if ARGV[4] == 'none' and value or ARGV[4] == 'value' and value ~= ARGV[5] then
    return {0, value}
  end
end

local function remove(key)
  redis.call('UNLINK', ARGV[1] .. key)
  redis.call('ZREM', KEYS[2], key)
  local size = redis.call('HGET', KEYS[3], 'of ' .. key)
  if size then
    redis.call('HDEL', KEYS[3], 'of ' .. key)
    redis.call('HINCRBY', KEYS[3], 'total', 0 - size)
  end
end

remove(ARGV[2])
if not ARGV[10] then
  return {1, false}
end
local max_entries, max_bytes, size = tonumber(ARGV[6]), tonumber(ARGV[7]), #ARGV[10] - 8
-- Removes what has expired, up to a number that does not block the server, and what there is no space for.
for count = 1, 1000 do
  local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
  if not first[1] then
    redis.call('UNLINK', KEYS[3])
    break
  end
  local total = tonumber(redis.call('HGET', KEYS[3], 'total') or 0)
  local full = redis.call('ZCARD', KEYS[2]) >= max_entries or total + size > max_bytes
  if not full and (count > 64 or tonumber(first[2]) > now) then
    break
  end
  if count == 1000 then
    return {1, false}
  end
  remove(first[1])
end
redis.call('SET', KEYS[1], ARGV[10], 'PX', ARGV[9])
redis.call('ZADD', KEYS[2], ARGV[8], ARGV[2])
redis.call('HSET', KEYS[3], 'of ' .. ARGV[2], size)
redis.call('HINCRBY', KEYS[3], 'total', size)
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[9]) then
  redis.call('PEXPIRE', KEYS[2], ARGV[9])
  redis.call('PEXPIRE', KEYS[3], ARGV[9])
end
return {1, false}
