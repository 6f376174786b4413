-- Count how reservations ended, and hold on to the slots of those that go on.
--
-- KEYS: the last batch of this gateway that was done; then of each item its counts and its slots, as in
-- `reserve.lua`. ARGV: time ('' = the server's), lease in ms, life of the first key in ms, number of
-- the batch; then of each item the id of its reservation, what becomes of its slot ('free', 'hold',
-- ''), tokens, window, money, since, period.
-- A gateway numbers its batches upwards and sends the next when one is known to be done. So one that
-- is sent again, because its answer was lost, counts once. Answers how many items have failed.
if tonumber(redis.call('GET', KEYS[1]) or -1) >= tonumber(ARGV[4]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[3])
local now = tonumber(ARGV[1]) or server_time()
local lease = tonumber(ARGV[2])
local FIRST, FIELDS = 5, 7

local function settle(n)
  local counts_key, slots_key = KEYS[2 * n], KEYS[2 * n + 1]
  local at = FIRST + (n - 1) * FIELDS
  local id, slot, period = ARGV[at], ARGV[at + 1], ARGV[at + 6]
  local tokens, money = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 4])
  if slot == 'free' then
    redis.call('ZREM', slots_key, id)
  elseif slot == 'hold' then
    redis.call('ZADD', slots_key, now + lease, id)
    redis.call('PEXPIRE', slots_key, lease + SLACK)
  end
  if tokens ~= 0 or money ~= 0 then
    local counts = read_counts(counts_key, period, now)
    if tokens > 0 or (tokens < 0 and counts.w ~= 0 and counts.w == tonumber(ARGV[at + 3])) then
      count_window(counts_key, counts, 0, tokens, now)
    end
    if money > 0 or (money < 0 and counts.s ~= 0 and counts.s == tonumber(ARGV[at + 5])) then
      count_money(counts_key, counts, ARGV[at + 4], period, now)
    end
  end
end

-- An item that fails, for a key that somebody else has written, must not keep the others from it.
local failed = 0
for n = 1, (#KEYS - 1) / 2 do
  if not pcall(settle, n) then
    failed = failed + 1
  end
end
return failed
