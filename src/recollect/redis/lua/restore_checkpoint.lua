-- ARGV[8]: id. Returns {created_at, description}.

-- The highest version of the blocks in a key.
local function newest_of(key)
  local newest = 0
  local _, metas = described(key, 'm')
  for _, meta in ipairs(metas) do
    newest = math.max(newest, (split(meta)))
  end
  return newest
end

local function renew_blocks(newest)
  local names, metas = described(root, 'm')
  for i, name in ipairs(names) do
    local _, order = split(metas[i])
    call('HSET', root, 'm' .. name, whole(newest + 1) .. ' ' .. whole(order) .. ' ' .. now)
  end
  call('HSET', root, 'c', created, 'v', whole(newest))
end

-- Let variables live for as long as they had left when they were copied.
local function renew_variables(copied)
  local variables = own('v')
  local names, metas = described(variables, 'm')
  for i, name in ipairs(names) do
    local _, expires = span(metas[i])
    if expires and expires <= copied then
      call('HDEL', variables, 'v' .. name, 'm' .. name)
    else
      local until_then = expires and ending(at + (expires - copied)) or '-'
      call('HSET', variables, 'm' .. name, now .. ' ' .. until_then)
    end
  end
  call('HSET', variables, 'c', now)
end

return edit(function()
  local number = call('HGET', index, 'n' .. ARGV[8])
  if not number then
    return false, MISSING
  end
  local copied, description = unpack(call('HMGET', index, 'm' .. number, 'd' .. number))
  copied = copied:match('^%S+')
  read_all(own)
  read_all(function(name) return copy(root, number, name) end)
  local newest = tonumber(call('HGET', root, 'v')) or 0
  newest = math.max(newest, newest_of(root), newest_of(copy(root, number, 'b')))
  return {copied, description}, function()
    for _, name in ipairs(COPIED) do
      if call('COPY', copy(root, number, name), own(name), 'REPLACE') == 0 then
        call('DEL', own(name))
      end
    end
    renew_blocks(newest)
    renew_variables(tonumber(copied))
    call('HSET', own('t'), 'w', now)
  end
end)
