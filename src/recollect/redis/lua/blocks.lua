-- Blocks. One is told as {version, order, updated_at, text}.

local function split(meta)
  local version, order, updated = meta:match('^(%d+) (%d+) (%-?%d+)$')
  return tonumber(version), tonumber(order), updated
end

local function block(name)
  local found = call('HMGET', root, 't' .. name, 'm' .. name)
  if not found[1] then
    return false
  end
  local version, order, updated = split(found[2])
  return {version, order, updated, found[1]}
end

-- The version and the order of what comes after a block, false for none; nothing if there is no room for it.
local function succession(current, at_most)
  if current then
    return current[1] + 1, current[2]
  end
  local names, metas = described(root, 'm')
  if #names >= at_most then
    return nil
  end
  local last = -1
  for _, meta in ipairs(metas) do
    local _, order = split(meta)
    last = math.max(last, order)
  end
  return (tonumber(call('HGET', root, 'v')) or 0) + 1, last + 1
end

local function write_block(name, text, version, order)
  call('HSET', root, 't' .. name, text, 'm' .. name, whole(version) .. ' ' .. whole(order) .. ' ' .. now)
end

local function drop_block(name, current)
  if current then
    call('HDEL', root, 't' .. name, 'm' .. name)
    if current[1] > (tonumber(call('HGET', root, 'v')) or 0) then
      call('HSET', root, 'v', whole(current[1]))
    end
  end
end
