-- A change of one scope.
-- KEYS: the tenant's hash, the operation, the root of the scope.
-- ARGV: the epoch that the caller knows of the tenant, or ''; one to begin with if there is none; the instant of the edit, or ''
-- for the time here; how many microseconds ago it was made; the time to live of the scope in milliseconds,
-- '0' for ever, '' if it is not a session; the digest of the edit; the name of the scope; the edit's own.
--
-- An edit reads all it needs first, so that a key of a wrong type is noticed before anything is written, and says
-- what it returns, and how it writes. Then the operation is listed, and recorded: that is the first write, which is
-- refused if there is no memory, and then nothing has changed. What follows cannot fail.

local OPERATION_TTL = 3600000

local root = KEYS[3]
local epoch, created = unpack(call('HMGET', KEYS[1], 'e', 's' .. ARGV[7]))
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
if is_session or not created then
  created = call('HGET', root, 'c')
end
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

-- Begin the tenant, and the scope, if this is the first that is written there.
local function begin()
  if not epoch then
    epoch = ARGV[2]
    call('HSET', KEYS[1], 'e', epoch)
  end
  if not created then
    sweep()
    created = now
    call('HSET', root, 'c', created)
    call('HSET', KEYS[1], 's' .. ARGV[7], created)
  end
end

-- Keep a session that there is: also an edit that is refused is a use of it.
local function use(write)
  if is_session and created then
    if ARGV[3] ~= '' then
      write('HSET', root, 'u', whole(at + ARGV[4]))
    end
    keep(root, ARGV[5], write)
  end
end

-- The reply to an edit that was made before: what it returned then, or what `again` says.
local function repeated(made, again)
  local digest, result = made:match('^(%x*)\n(.*)$')
  use(redis.pcall)
  if digest ~= '' and ARGV[6] ~= '' and digest ~= ARGV[6] then
    return opening(TAKEN, epoch)[1]
  end
  local now_is = again and again()
  if now_is then
    return table.concat(add(opening(OK, epoch), now_is))
  end
  return opening(OK, epoch)[1] .. result
end

-- Have the operation found when its scope is forgotten. Once in a while those go whose record has gone.
local function list_operation()
  local operations = part(root, 'o')
  if call('RPUSH', operations, KEYS[2]) % 64 == 0 then
    for _, key in ipairs(call('LRANGE', operations, 0, 127)) do
      if key == KEYS[2] or call('EXISTS', key) == 1 then
        break
      end
      call('LPOP', operations)
    end
  end
end

-- Make an edit, unless it was made before.
-- `make` returns the result and what writes it; or false, why it refuses, and some detail.
-- `again` returns the result of an edit that is repeated, if there is one that is not on record.
local function edit(make, again)
  if is_behind(ARGV[1], epoch) then
    return opening(EMPTIED, epoch)[1]
  end
  if is_session and not created then
    call('DEL', KEYS[2]) -- what was made in a session that has ended is gone
  end
  local result, write, detail = make()
  if not result then
    local made = call('GET', KEYS[2])
    if made then
      return repeated(made, again)
    end
    use(redis.pcall)
    return table.concat(add(opening(write, epoch), detail or {}))
  end
  -- Of a block, all but the text is recorded: {version, order, updated_at}.
  local record = table.concat(add({ARGV[6], '\n'}, again and {unpack(result, 1, 3)} or result))
  list_operation()
  if not call('SET', KEYS[2], record, 'PX', OPERATION_TTL, 'NX') then
    return repeated(call('GET', KEYS[2]), again)
  end
  begin()
  if write then
    write()
  end
  use(call)
  return table.concat(add(opening(OK, epoch), result))
end
