-- Times are Unix milliseconds of this server; `periods.py` says the same in Python.
local WINDOW = 60000
local DAY = 86400000
local LONGEST = {['1d'] = 1, ['7d'] = 7, ['30d'] = 30, ['Month'] = 31} -- days
local SLACK = 1000 -- a key lives this much longer than what it counts

local function server_time()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Days since the first of the month (H. Hinnant, "chrono-compatible low-level date algorithms").
local function day_of_month(days)
  local shifted = (days + 719468) % 146097
  local year = math.floor((shifted - math.floor(shifted / 1460) + math.floor(shifted / 36524)
    - math.floor(shifted / 146096)) / 365)
  local day = shifted - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  return day - math.floor((153 * math.floor((5 * day + 2) / 153) + 2) / 5)
end

local function period_start(period, now)
  local days = math.floor(now / DAY)
  if period == '7d' then
    days = days - (days + 3) % 7
  elseif period == '30d' then
    days = days - days % 30
  elseif period == 'Month' then
    days = days - day_of_month(days)
  end
  return days * DAY
end

-- What a subject's hash says now: w, r, t = window and its requests and tokens, s, m = since when
-- money was spent in this period, and how much. What is over is zero.
local function read_counts(key, period, now)
  local said = redis.call('HMGET', key, 'w', 'r', 't', 's', 'm')
  local w, s = tonumber(said[1]) or 0, tonumber(said[4]) or 0
  local counts = {w = w, r = tonumber(said[2]) or 0, t = tonumber(said[3]) or 0, s = s,
    m = tonumber(said[5]) or 0}
  if w == 0 or math.abs(now - w) >= WINDOW then
    counts.w, counts.r, counts.t = 0, 0, 0
  end
  if s == 0 or s < period_start(period, now) then
    counts.s, counts.m = 0, 0
  end
  return counts
end

local function live_for(key, milliseconds)
  if redis.call('PTTL', key) < milliseconds then
    redis.call('PEXPIRE', key, math.floor(milliseconds))
  end
end

local function count_window(key, counts, requests, tokens, now)
  if counts.w == 0 then
    counts.w = now
    redis.call('HSET', key, 'w', now, 'r', 0, 't', 0)
  end
  counts.r = redis.call('HINCRBY', key, 'r', requests)
  counts.t = redis.call('HINCRBY', key, 't', tokens)
  live_for(key, WINDOW + SLACK)
end

-- `money` stays the text it came as: a number of Lua would lose digits.
local function count_money(key, counts, money, period, now)
  if counts.s == 0 then
    counts.s = now
    redis.call('HSET', key, 's', now, 'm', 0)
  end
  counts.m = redis.call('HINCRBY', key, 'm', money)
  live_for(key, period_start(period, now) + LONGEST[period] * DAY - now + SLACK)
end
