-- A change of one scope.
-- KEYS: the tenant's hash, the operation, the root of the scope.
-- ARGV: the epoch that the caller knows of the tenant, or ''; one to begin with; the instant of the edit, or ''
-- for the time here; how many microseconds ago it was made; the time to live of the scope in milliseconds,
-- '0' for ever, '' if it is not a session; the digest of the edit; the name of the scope; the edit's own.
--
-- An edit reads all it needs first, so that a key of a wrong type is noticed before anything is written. Then
-- it commits to its result: that is the first write, which is refused if there is no memory, and then
-- nothing has changed. What follows cannot fail.

local OPERATION_TTL = 3600000

local root = KEYS[3]
local epoch = call('HGET', KEYS[1], 'e')
local is_session = ARGV[5] ~= ''
local late = ARGV[4] ~= '0'

local now = ARGV[3]
if now == '' then
  local time = call('TIME')
  now = whole(time[1] * 1000000 + time[2] - ARGV[4])
end
local at = tonumber(now)

if is_session and ARGV[3] ~= '' and has_ended(root, ARGV[5], at + ARGV[4]) then
  for _, key in ipairs(keys_of(root)) do
    call('DEL', key)
  end
end
local created = call('HGET', root, 'c')
if is_session then
  numbers(root)
end

-- Forget scopes that have ended by themselves: a few whenever one begins.
local function sweep()
  for _, field in ipairs(call('HRANDFIELD', KEYS[1], 4)) do
    local name = field:match('^s(.*)$')
    if name and call('EXISTS', KEYS[1] .. ':s:' .. name .. ':b') == 0 then
      call('HDEL', KEYS[1], field)
    end
  end
end

local function commit(result)
  call('SET', KEYS[2], ARGV[6] .. '\n' .. cmsgpack.pack(result), 'PX', OPERATION_TTL)
  if not epoch then
    epoch = ARGV[2]
    call('HSET', KEYS[1], 'e', epoch)
  end
  if not created then
    sweep()
    call('HSET', root, 'c', now)
    call('HSET', KEYS[1], 's' .. ARGV[7], now)
  end
end

local function done(result)
  if is_session then
    if ARGV[3] ~= '' then
      call('HSET', root, 'u', whole(at + ARGV[4]))
    end
    keep(root, ARGV[5], call)
  end
  return {OK, epoch or '', result}
end

local function refused(why, detail)
  return {why, epoch or '', detail or false}
end

-- Make an edit, unless it was made before. `again` says what it returns then, if not what it returned first.
local function edit(make, again)
  if ARGV[1] ~= '' and ARGV[1] ~= epoch then
    return {EMPTIED, epoch or ''}
  end
  local made = call('GET', KEYS[2])
  if not made then
    return make()
  end
  local digest, result = made:match('^(%x*)\n(.*)$')
  if digest ~= '' and ARGV[6] ~= '' and digest ~= ARGV[6] then
    return {TAKEN, epoch or ''}
  end
  result = cmsgpack.unpack(result)
  return done(again and again(result) or result)
end
