
-- ARGV[2] is the number of the gate, ARGV[3] the user, ARGV[4] the quantity, ARGV[5] the load that the units were taken
-- from.
local gate, user, quantity, from = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if current(KEYS[3]) == from then
  give(KEYS[3], gate, user, quantity)
  close(from, gate, user)
end
return 1
