-- Take what all claims ask, or nothing.
--
-- KEYS: of each claim its counts (hash) and its slots (sorted set: who holds one, until when).
-- ARGV: time ('' = the server's), lease in ms, id of the reservation; then of each claim its limits
-- of requests, tokens, slots and money ('' = none), period, '1' where the budget only warns, and
-- the requests, tokens and money it asks for.
-- Answers: number of the claim that was refused (0: none), the kind, the time; then of each claim
-- requests, tokens, window, slots, money, since.
local now = tonumber(ARGV[1]) or server_time()
local lease = tonumber(ARGV[2])
local id = ARGV[3]
local FIRST, FIELDS = 4, 9

local claims = {}
local refused, kind = 0, ''
for n = 1, #KEYS / 2 do
  local at = FIRST + (n - 1) * FIELDS
  local claim = {
    counts_key = KEYS[2 * n - 1], slots_key = KEYS[2 * n],
    limit_r = tonumber(ARGV[at]), limit_t = tonumber(ARGV[at + 1]),
    limit_p = tonumber(ARGV[at + 2]), limit_m = tonumber(ARGV[at + 3]),
    period = ARGV[at + 4], warns = ARGV[at + 5] == '1',
    r = tonumber(ARGV[at + 6]), t = tonumber(ARGV[at + 7]), m = ARGV[at + 8], slots = 0,
  }
  local counts = read_counts(claim.counts_key, claim.period, now)
  if claim.limit_p then
    redis.call('ZREMRANGEBYSCORE', claim.slots_key, '-inf', now)
    claim.slots = redis.call('ZCARD', claim.slots_key)
  end
  claim.counts = counts
  claims[n] = claim
  if refused == 0 then
    local m = tonumber(claim.m)
    if claim.limit_r and counts.r + claim.r > claim.limit_r then
      kind = 'requests'
    elseif claim.limit_t and counts.t + claim.t > claim.limit_t then
      kind = 'tokens'
    elseif claim.limit_p and claim.slots + claim.r > claim.limit_p then
      kind = 'parallel'
    elseif claim.limit_m and not claim.warns and (counts.m + m > claim.limit_m
        or (claim.r > 0 and counts.m >= claim.limit_m)) then
      kind = 'budget'
    end
    if kind ~= '' then
      refused = n
    end
  end
end

local answer = {refused, kind, now}
for _, claim in ipairs(claims) do
  local counts = claim.counts
  if refused == 0 then
    if (claim.limit_r or claim.limit_t) and (claim.r > 0 or claim.t > 0) then
      count_window(claim.counts_key, counts, claim.r, claim.t, now)
    end
    if claim.limit_p and claim.r > 0 then
      redis.call('ZADD', claim.slots_key, now + lease, id)
      redis.call('PEXPIRE', claim.slots_key, lease + SLACK)
      claim.slots = claim.slots + 1
    end
    if claim.limit_m and tonumber(claim.m) > 0 then
      count_money(claim.counts_key, counts, claim.m, claim.period, now)
    end
  end
  if not claim.limit_m then
    counts.m, counts.s = 0, 0
  end
  for _, value in ipairs({counts.r, counts.t, counts.w, claim.slots, counts.m, counts.s}) do
    answer[#answer + 1] = value
  end
end
return answer
