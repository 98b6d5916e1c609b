
-- A server that was restarted or promoted has the id of another one, or none.
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
if redis.call('HGET', KEYS[1], 'server') ~= server then
  drop_all()
  redis.call('HSET', KEYS[1], 'server', server)
end
return 1
