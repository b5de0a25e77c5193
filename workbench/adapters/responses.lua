-- The response cache: one call for each look, fill, fail or withdrawal. Times are the caller's, in whole microseconds.
-- KEYS 1 value {value, expires}  2 flight {token, until}  3 the revision's index  4 the revision's mark
-- ARGV 1 op  2 now_us  3 ttl_us  4 lead_us  5 grace_ms  6 token (who looks or fills)  7 value  8 largest bytes
local op, now, token = ARGV[1], tonumber(ARGV[2]), ARGV[6]
local function expire(key, us) redis.call('PEXPIRE', key, math.ceil(us / 1000) + tonumber(ARGV[5])) end

if op == 'look' then
  local kept = redis.call('HMGET', KEYS[1], 'value', 'expires')
  if kept[1] and tonumber(kept[2]) > now then return {'hit', kept[1]} end
  local till = redis.call('HGET', KEYS[2], 'until')
  if till and tonumber(till) > now then return {'wait', ''} end
  redis.call('HSET', KEYS[2], 'token', token, 'until', now + tonumber(ARGV[4]))
  expire(KEYS[2], tonumber(ARGV[4]))
  return {'lead', ''}
elseif op == 'fill' then
  redis.call('DEL', KEYS[2])
  redis.call('DEL', KEYS[1])
  if redis.call('EXISTS', KEYS[4]) == 1 or #ARGV[7] > tonumber(ARGV[8]) then return 0 end
  redis.call('HSET', KEYS[1], 'value', ARGV[7], 'expires', now + tonumber(ARGV[3]))
  expire(KEYS[1], tonumber(ARGV[3]))
  -- so that a withdrawal finds it; what is over goes
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
  redis.call('ZADD', KEYS[3], now + tonumber(ARGV[3]), KEYS[1])
  expire(KEYS[3], tonumber(ARGV[3]))
  return 1
elseif op == 'fail' then
  -- only who leads can give up: a leader given up before must not end its successor's flight
  if redis.call('HGET', KEYS[2], 'token') == token then return redis.call('DEL', KEYS[2]) end
  return 0
end
-- withdraw: the mark outlives every answer that may be on its way
redis.call('SET', KEYS[4], '1', 'PX', math.ceil(math.max(tonumber(ARGV[4]), tonumber(ARGV[3])) / 1000)
  + tonumber(ARGV[5]))
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
local gone = redis.call('ZRANGE', KEYS[3], 0, -1)
for _, key in ipairs(gone) do redis.call('DEL', key) end
redis.call('DEL', KEYS[3])
return #gone
