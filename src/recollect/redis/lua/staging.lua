-- What is staged: scopes of one load, which nobody sees. They go by themselves if nobody publishes them.
-- ARGV[8]: the load. The name of the scope is that of the edit's own.

local STAGED_TTL = 3600000

local function staged_root(name)
  return KEYS[1] .. ':l:' .. ARGV[8] .. ':' .. name .. ':b'
end

local staged = staged_root(ARGV[7])
local next_argument = 9

local function argument()
  next_argument = next_argument + 1
  return ARGV[next_argument - 1]
end

-- As many arguments as the next one says.
local function arguments()
  local count = tonumber(argument())
  local found = {}
  for i = 1, count do
    found[i] = argument()
  end
  return found
end

-- Write values to a key, in parts: Lua cannot unpack more than some thousands.
local function fill(command, key, values)
  call('DEL', key)
  for first = 1, #values, 1000 do
    call(command, key, unpack(values, first, math.min(first + 999, #values)))
  end
  call('PEXPIRE', key, STAGED_TTL)
end

-- The fields of variables that are given as key, value and microseconds to live or '-', from an instant on.
local function variable_fields(given, start)
  local fields = {}
  for i = 1, #given, 3 do
    local left = given[i + 2]
    local expires = left == '-' and left or ending(start + left)
    for _, value in ipairs({'v' .. given[i], given[i + 1], 'm' .. given[i], whole(start) .. ' ' .. expires}) do
      fields[#fields + 1] = value
    end
  end
  return fields
end

local function done()
  return table.concat(add(opening(OK, epoch), {}))
end

local function refused(why)
  return table.concat(add(opening(why, epoch), {}))
end
