
-- ARGV[2] is the number of the gate, ARGV[3] the user, ARGV[4] the load that the units were taken from, or empty.
local gate, user, from = ARGV[2], ARGV[3], ARGV[4]
if current(KEYS[3]) == from then
  close(from, gate, user)
else
  redis.call('HSET', KEYS[1], 'mark', ARGV[1])
  redis.call('UNLINK', KEYS[3])
end
return 1
