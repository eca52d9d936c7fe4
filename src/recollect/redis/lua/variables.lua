-- Edits of variables. One that was deleted leaves behind when that was, so that an edit that was made before
-- and arrives late does not bring it back; such remains go when the scope is full.

local variables = part(root, 'v')

-- When such a one ceased to be: before all time.
local GONE = ' -100000000000000000'

-- Whether a variable was written, deleted or cleared after an edit that arrives late.
local function is_outdated(meta)
  if not late then
    return false
  end
  local written = meta and span(meta) or -math.huge
  return math.max(written, tonumber(call('HGET', variables, 'c')) or -math.huge) > at
end

-- How many there are, and what is left of others.
local function census()
  local names, metas = described(variables, 'm')
  local alive, dead = 0, {}
  for i, name in ipairs(names) do
    if is_alive(metas[i], at) then
      alive = alive + 1
    else
      dead[#dead + 1] = name
    end
  end
  return alive, dead
end
