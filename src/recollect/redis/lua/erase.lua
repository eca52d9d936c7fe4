-- Drop all scopes of a tenant, or of one of its sessions; or count what is in them.
-- KEYS: the tenant's hash, the operation: made again, it returns what it returned first.
-- ARGV: '1' to drop, '0' to count; now, or '' for the time here; the time to live of sessions in milliseconds, '0' for
-- ever; what the names of the scopes end with, '' for all; the epoch to begin with if there is none.
-- Returns the counts of blocks, variables, notes, checkpoints, tasks, conflicts; replies with the epoch that follows,
-- and the one before as the last of these.

local KEPT = 100
local OPERATION_TTL = 3600000

local made = call('GET', KEYS[2])
if made then
  return made
end

local drops = ARGV[1] == '1'
local now = ARGV[2]
if now == '' then
  local time = call('TIME')
  now = whole(time[1] * 1000000 + time[2])
end
local epoch = call('HGET', KEYS[1], 'e')
local counts = {0, 0, 0, 0, 0, 0}

local function count(i, more)
  counts[i] = counts[i] + more
end

local function count_scope(root)
  count(1, #described(root, 'm'))
  local _, metas = described(part(root, 'v'), 'm')
  for _, meta in ipairs(metas) do
    count(2, is_alive(meta, tonumber(now)) and 1 or 0)
  end
  count(3, call('LLEN', part(root, 'n')))
  count(4, #numbers(root))
  count(5, call('HEXISTS', part(root, 't'), 'j'))
  count(6, #described(part(root, 'x'), 'm'))
end

local function drop(keys)
  for first = 1, #keys, 1000 do
    call('UNLINK', unpack(keys, first, math.min(first + 999, #keys)))
  end
end

local function drop_scope(root, field)
  drop(call('LRANGE', part(root, 'o'), 0, -1))
  drop(keys_of(root))
  call('HDEL', KEYS[1], field)
end

-- Have those who know of it drop it, too: what was forgotten when, the last few times. Of a session a digest.
local function note()
  local base, times = (epoch or ARGV[5]):match('^([^.]*)%.?(%d*)$')
  local next_epoch = base .. '.' .. whole((tonumber(times) or 0) + 1)
  local known, kept = call('HGET', KEYS[1], 'g') or '', {}
  for each in known:gmatch('[^;]+') do
    kept[#kept + 1] = each
  end
  local what = ARGV[4] == '' and '*' or redis.sha1hex(base .. ARGV[4])
  kept[#kept + 1] = whole((tonumber(times) or 0) + 1) .. ' ' .. now .. ' ' .. what
  local first = math.max(#kept - KEPT + 1, 1)
  call('HSET', KEYS[1], 'e', next_epoch, 'g', table.concat(kept, ';', first))
  return next_epoch
end

for _, field in ipairs(call('HKEYS', KEYS[1])) do
  local name = field:match('^s(.*)$')
  if name and (ARGV[4] == '' or name:sub(-#ARGV[4]) == ARGV[4]) then
    local root = KEYS[1] .. ':s:' .. name .. ':b'
    if ARGV[2] == '' or not has_ended(root, ARGV[3], ARGV[2]) then
      count_scope(root)
    end
    if drops then
      drop_scope(root, field)
    end
  end
end
local before = epoch or ''
if drops then
  epoch = note()
end
counts[#counts + 1] = before
local reply = table.concat(add(opening(OK, epoch), counts))
if drops then
  call('SET', KEYS[2], reply, 'PX', OPERATION_TTL)
end
return reply
