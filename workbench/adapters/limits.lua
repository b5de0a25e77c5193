-- One ask, or one settlement, of all levels of a limiter: all levels admit, or none is charged.
--
-- Lua's numbers are doubles, exact for whole numbers below 2^53: times are epoch microseconds, and what could be
-- larger is split in two. Clients' clocks may differ and are rounded: `now` down for what is admitted, `up` for what
-- is charged, so that nothing is admitted earlier than by the policy in nanoseconds.
--
-- KEYS  1 the reservation, then two for each level: its state, its entries (log only)
-- ARGV  1 op: ask | give | take  2 now_us  3 up_us  4 grace_ms  5 reserve_us (0: no reservation)
--       then for each level 8: kind, amount (0: leave it alone), a, b, c, d, e, taken
--   gcra     a rate, b and c cost of the amount (us, fraction/rate), d and e depth likewise, taken_us
--   fixed    a window_us, b limit, c index of the window, taken index
--   counter  a window_us, b limit, c index, d elapsed_us, taken index
--   log      a window_us, b limit
-- Answer of an ask: 1 or 0, then for each level three numbers: admitted, and the state two numbers.
local op, now, up, grace_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local kinds = {gcra = {}, fixed = {}, counter = {}, log = {}}

local function expire(key, after_us)
  redis.call('PEXPIRE', key, math.ceil(math.max(after_us, 0) / 1000) + grace_ms)
end

local function numbers(key, ...)
  local found = redis.call('HMGET', key, ...)
  for i = 1, #found do found[i] = found[i] and tonumber(found[i]) end
  return unpack(found)
end

-- ceil(a * b / c) for b <= c, by the binary digits of a: no step exceeds 3c
local function muldiv_up(a, b, c)
  local digits, quotient, rest = {}, 0, 0
  while a > 0 do digits[#digits + 1] = a % 2; a = (a - a % 2) / 2 end
  for i = #digits, 1, -1 do
    rest = 2 * rest + digits[i] * b
    local whole = (rest >= 2 * c and 2) or (rest >= c and 1) or 0
    quotient, rest = 2 * quotient + whole, rest - whole * c
  end
  return rest > 0 and quotient + 1 or quotient
end

-- theoretical arrival time as (us, fraction/rate), never below the given time; and when it was last charged
local function gcra_tat(level, at)
  local us, frac, last = numbers(level.key, 'us', 'frac', 'last')
  if not us or us < at then return at, 0, last end
  return us, frac, last
end

function kinds.gcra.look(level)
  local us, frac = gcra_tat(level, now)
  local fill_us, fill_frac = us - now + level.b, frac + level.c
  if fill_frac >= level.a then fill_us, fill_frac = fill_us + 1, fill_frac - level.a end
  return fill_us < level.d or (fill_us == level.d and fill_frac <= level.e)
end
function kinds.gcra.take(level)
  local us, frac, last = gcra_tat(level, up)
  us, frac = us + level.b, frac + level.c
  if frac >= level.a then us, frac = us + 1, frac - level.a end
  redis.call('HSET', level.key, 'us', us, 'frac', frac, 'last', math.max(last or 0, up))
  expire(level.key, us + 1 - now)
end
function kinds.gcra.give(level)
  local us, frac, last = numbers(level.key, 'us', 'frac', 'last')
  if not us then return end
  -- less what the bucket refilled between then and the last charge
  local back_us = level.b - (last - level.taken)
  if back_us < 0 then return end
  us, frac = us - back_us, frac - level.c
  if frac < 0 then us, frac = us - 1, frac + level.a end
  redis.call('HSET', level.key, 'us', us, 'frac', frac)
end
function kinds.gcra.state(level) local us, frac = gcra_tat(level, now); return us, frac end

-- index of the window that counts, used in the previous and in this one, and how much of it is over
local function windows(level)
  local index, previous, current = numbers(level.key, 'index', 'previous', 'current')
  if not index or index < level.c - 1 then return level.c, 0, 0, level.d end
  if index == level.c - 1 then return level.c, current, 0, level.d end
  if index > level.c then return index, previous, current, 0 end -- a late clock: the window's beginning
  return index, previous, current, level.d
end

function kinds.fixed.look(level)
  local _, _, current = windows(level)
  return current + level.amount <= level.b
end
function kinds.counter.look(level)
  local _, previous, current, elapsed = windows(level)
  return muldiv_up(previous, level.a - elapsed, level.a) + current + level.amount <= level.b
end
local function take_window(level)
  local index, previous, current = windows(level)
  redis.call('HSET', level.key, 'index', index, 'previous', previous, 'current', current + level.amount)
  expire(level.key, 2 * level.a)
end
local function give_window(level, also_previous)
  local index, previous, current = numbers(level.key, 'index', 'previous', 'current')
  if not index then return end
  if index == level.taken then redis.call('HSET', level.key, 'current', current - level.amount)
  elseif also_previous and index == level.taken + 1 then
    redis.call('HSET', level.key, 'previous', previous - level.amount)
  end
end
kinds.fixed.take, kinds.counter.take = take_window, take_window
function kinds.fixed.give(level) give_window(level, false) end
function kinds.counter.give(level) give_window(level, true) end
function kinds.fixed.state(level) local _, _, current = windows(level); return current, 0 end
function kinds.counter.state(level) local _, previous, current = windows(level); return previous, current end

-- what the log still counts, after forgetting what is over
local function log_used(level)
  local over = redis.call('ZRANGEBYSCORE', level.key, '-inf', now - level.a)
  for _, at in ipairs(over) do
    -- 0 - x and not -x: Redis does not read the -0 of an entry given back as a whole number
    redis.call('HINCRBY', level.entries, 'used', 0 - tonumber(redis.call('HGET', level.entries, at)))
    redis.call('HDEL', level.entries, at)
    redis.call('ZREM', level.key, at)
  end
  return numbers(level.entries, 'used') or 0
end
function kinds.log.look(level) return log_used(level) + level.amount <= level.b end
function kinds.log.take(level)
  log_used(level)
  local last = redis.call('ZRANGE', level.key, -1, -1)[1]
  local at = string.format('%.0f', math.max(up, tonumber(last or 0)))
  redis.call('ZADD', level.key, at, at)
  redis.call('HINCRBY', level.entries, at, level.amount)
  redis.call('HINCRBY', level.entries, 'used', level.amount)
  expire(level.key, tonumber(at) + level.a - now)
  expire(level.entries, tonumber(at) + level.a - now)
  return at
end
function kinds.log.give(level, taken)
  if redis.call('HEXISTS', level.entries, taken) == 1 then
    redis.call('HINCRBY', level.entries, taken, -level.amount)
    redis.call('HINCRBY', level.entries, 'used', -level.amount)
  end
end
-- used, and (where it refuses) the time of the entry with whose end the amount fits
function kinds.log.state(level)
  local used = log_used(level)
  local missing, from = used + level.amount - level.b, 0
  if level.amount > level.b then return used, 0 end
  while missing > 0 do
    local some = redis.call('ZRANGE', level.key, from, from + 63)
    if #some == 0 then break end
    for _, at in ipairs(some) do
      missing = missing - tonumber(redis.call('HGET', level.entries, at))
      if missing <= 0 then return used, tonumber(at) end
    end
    from = from + 64
  end
  return used, 0
end

local levels = {}
for i = 0, (#ARGV - 5) / 8 - 1 do
  local at = 5 + 8 * i
  local level = {kind = kinds[ARGV[at + 1]], key = KEYS[2 + 2 * i], entries = KEYS[3 + 2 * i]}
  for j, name in ipairs({'amount', 'a', 'b', 'c', 'd', 'e', 'taken'}) do level[name] = tonumber(ARGV[at + 1 + j]) end
  levels[i + 1] = level
end

if op ~= 'ask' then
  local held = redis.call('HGETALL', KEYS[1])
  redis.call('DEL', KEYS[1])
  local taken = {}
  for i = 1, #held, 2 do taken[held[i]] = held[i + 1] end
  if not taken.expires or tonumber(taken.expires) <= now then return 0 end
  for i, level in ipairs(levels) do
    if level.amount > 0 then level.kind[op](level, taken[tostring(i)]) end
  end
  return 1
end

local admitted, answer = true, {}
for _, level in ipairs(levels) do
  level.admits = level.kind.look(level)
  admitted = admitted and level.admits
end
local held = {'expires', tonumber(ARGV[5]) + up}
answer[1] = admitted and 1 or 0
for i, level in ipairs(levels) do
  local first, second = level.kind.state(level)
  answer[3 * i - 1], answer[3 * i], answer[3 * i + 1] = level.admits and 1 or 0, first, second
  local at = admitted and level.kind.take(level)
  if at then held[#held + 1] = i; held[#held + 1] = at end
end
if admitted and tonumber(ARGV[5]) > 0 then
  redis.call('HSET', KEYS[1], unpack(held))
  expire(KEYS[1], tonumber(ARGV[5]))
end
return answer
