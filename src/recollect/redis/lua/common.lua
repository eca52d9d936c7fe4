-- What all scripts share. Values are opaque bytes; what is counted or compared is in fields of its own.
--
-- A scope is several keys, named after its root, `...:b`:
--   b  hash, there as soon as anything was written: c = created at; v = highest version of blocks that are
--      gone; u = used at, if the clock is the caller's; per block t<name> = text, m<name> = "version order updated_at"
--   v  hash: c = when all were cleared; per variable v<key> = value, m<key> = "written_at expires_at",
--      expires_at "-" for never; one without a value is gone
--   t  hash, the task: j = what never changes of it, s = status, c = step, p = percent, u = updated at,
--      w = written at; without j there is none
--   n  list of notes, each "at text"
--   c  hash of checkpoints: h = highest number, l = the numbers there are, in order; n<id> = number;
--      per number m<number> = "created_at id", d<number> = description
--   c:<number>:b, v, t, n  copies of the keys of those names
--   x  hash of conflicts: h = highest number; per id m<id> = "number at base", b<id> = name of the block,
--      t<id> = our text, if we had any
--   o  list of the keys of operations, among them all that are on record
-- Instants are microseconds since 1970.

local call = redis.call

local OK, EMPTIED, TAKEN, CHANGED, MISSING, FULL, TOO_LONG = 0, 1, 2, 3, 4, 5, 6

-- The first microsecond of year 10000.
local END = 253402300800000000

local SCOPE = {'b', 'v', 't', 'n', 'c', 'x', 'o'}
local COPIED = {'b', 'v', 't', 'n'}

local function part(root, name)
  return root:sub(1, -2) .. name
end

local function copy(root, number, name)
  return part(root, 'c') .. ':' .. number .. ':' .. name
end

-- A number as text: tostring() would round it.
local function whole(number)
  return string.format('%.0f', number)
end

-- Add values to a reply: a line with their lengths, '-' for what is not there, and then themselves. A reply is one
-- long text, which drivers read in a fraction of the time that an array takes them.
local function add(reply, values)
  local lengths, head = {}, #reply + 1
  reply[head] = ''
  for i, value in ipairs(values) do
    if value == false then
      lengths[i] = '-'
    else
      if type(value) == 'number' then
        value = whole(value)
      end
      lengths[i] = #value
      reply[#reply + 1] = value
    end
  end
  reply[head] = table.concat(lengths, ' ') .. '\n'
  return reply
end

-- The first line of a reply: what became of it, and the epoch of the tenant.
local function opening(status, epoch)
  return {status .. ' ' .. (epoch or '') .. '\n'}
end

-- Whether the caller knows another epoch than that of the tenant, or does not know that something was forgotten.
local function is_behind(known, epoch)
  if known == '' then
    return epoch and epoch:find('.', 1, true) ~= nil
  end
  return known ~= epoch
end

-- HMGET of any number of fields: Lua cannot unpack more than some thousands.
local function fields_of(key, fields)
  local found = {}
  for first = 1, #fields, 1000 do
    local last = math.min(first + 999, #fields)
    for _, value in ipairs(call('HMGET', key, unpack(fields, first, last))) do
      found[#found + 1] = value
    end
  end
  return found
end

-- The names of the fields that begin with a letter, without it, and what the fields hold.
local function described(key, letter)
  local names, fields = {}, {}
  for _, field in ipairs(call('HKEYS', key)) do
    if field:sub(1, 1) == letter then
      names[#names + 1] = field:sub(2)
      fields[#fields + 1] = field
    end
  end
  return names, fields_of(key, fields)
end

-- Whether a session has not been used for its time to live, by the clock of the caller. By that of the server
-- its keys expire by themselves.
local function has_ended(root, ttl, at)
  local used = tonumber(call('HGET', root, 'u'))
  return used ~= nil and ttl ~= '0' and at - used >= ttl * 1000
end

-- The numbers of the checkpoints of a scope, oldest first.
local function numbers(root)
  local found = {}
  for number in (call('HGET', part(root, 'c'), 'l') or ''):gmatch('%d+') do
    found[#found + 1] = number
  end
  return found
end

-- All keys of a scope.
local function keys_of(root)
  local keys = {}
  for _, name in ipairs(SCOPE) do
    keys[#keys + 1] = part(root, name)
  end
  for _, number in ipairs(numbers(root)) do
    for _, name in ipairs(COPIED) do
      keys[#keys + 1] = copy(root, number, name)
    end
  end
  return keys
end

-- Have all keys of a scope live for so many milliseconds from now; '0': for ever.
local function keep(root, ttl, write)
  for _, key in ipairs(keys_of(root)) do
    local done
    if ttl == '0' then
      done = write('PERSIST', key)
    else
      done = write('PEXPIRE', key, ttl)
    end
    if type(done) == 'table' then
      return -- a replica that only reads: whoever writes keeps it
    end
  end
end

-- When a variable ceases to be: '-' for never, which is also what no calendar reaches.
local function ending(expires)
  return expires < END and whole(expires) or '-'
end

-- "written_at expires_at" of a variable; no second value if it lives for ever.
local function span(meta)
  local written, expires = meta:match('^(%-?%d+) (.+)$')
  return tonumber(written), tonumber(expires)
end

local function is_alive(meta, at)
  if not meta then
    return false
  end
  local _, expires = span(meta)
  return expires == nil or at < expires
end
