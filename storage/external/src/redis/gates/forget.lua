
redis.call('UNLINK', KEYS[3])
return 1
