-- The leaky bucket as a queue: the least whole microsecond at which the token bucket admits, and charge it then.
-- KEYS 1 state  ARGV 1 up_us (now, rounded up)  2 latest_us  3 grace_ms  4 rate  5 and 6 cost (us, fraction/rate)
-- 7 and 8 depth likewise. Answer: 1 or 0, and when. Numbers as in limits.lua.
local up, latest, grace_ms, rate = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local cost_us, cost_frac = tonumber(ARGV[5]), tonumber(ARGV[6])
local depth_us, depth_frac = tonumber(ARGV[7]), tonumber(ARGV[8])
local state = redis.call('HMGET', KEYS[1], 'us', 'frac')
local us, frac = tonumber(state[1] or 0), tonumber(state[2] or 0)
-- TAT + cost - depth, rounded up; its fraction lies between -1 and 2
local fraction = frac + cost_frac - depth_frac
local at = math.max(up, us + cost_us - depth_us + math.ceil(fraction / rate))
if at > latest then return {0, at} end
if us < at then us, frac = at, 0 end
us, frac = us + cost_us, frac + cost_frac
if frac >= rate then us, frac = us + 1, frac - rate end
redis.call('HSET', KEYS[1], 'us', us, 'frac', frac)
redis.call('PEXPIRE', KEYS[1], math.ceil((us + 1 - up) / 1000) + grace_ms)
return {1, at}
