
-- ARGV[2] is the mark, ARGV[3] the lifetime of the counters in milliseconds, ARGV[4] the number of fields in KEYS[4],
-- which have been sent before. Then follow the names and values of the other fields.
local mark, lifetime, sent = ARGV[2], ARGV[3], tonumber(ARGV[4])
if current(KEYS[3]) then
  redis.call('UNLINK', KEYS[4])
  return 1
end
if redis.call('HGET', KEYS[1], 'mark') ~= mark or redis.call('HLEN', KEYS[4]) ~= sent then
  redis.call('UNLINK', KEYS[4])
  return 0
end
redis.call('UNLINK', KEYS[3])
if sent > 0 then
  redis.call('RENAME', KEYS[4], KEYS[3])
end
redis.call('HSET', KEYS[3], 'load', ARGV[1], 'epoch', epoch)
for first = 5, #ARGV, 1000 do
  redis.call('HSET', KEYS[3], unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
redis.call('PEXPIRE', KEYS[3], lifetime)
return 1
