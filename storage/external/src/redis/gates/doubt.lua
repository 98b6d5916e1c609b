
-- ARGV[2] is the transaction, ARGV[3] the time in milliseconds in which it has to be settled.
redis.call('ZADD', KEYS[2], now + ARGV[3], 'doubt ' .. ARGV[2])
return 1
