
-- ARGV[2] is the transaction. Then follow gate, user and quantity of the units in the groups from KEYS[3] on.
redis.call('ZREM', KEYS[2], 'doubt ' .. ARGV[2])
if KEYS[3] then
  redis.call('HSET', KEYS[1], 'mark', ARGV[1])
end
for number = 3, #KEYS do
  local first = 3 * number - 6
  if current(KEYS[number]) then
    give(KEYS[number], ARGV[first], ARGV[first + 1], ARGV[first + 2])
  end
end
return 1
