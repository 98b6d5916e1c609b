
-- The arguments from ARGV[2] on are transactions that are no longer in doubt.
for number = 2, #ARGV do
  redis.call('ZREM', KEYS[2], 'doubt ' .. ARGV[number])
end
drop_all()
return 1
