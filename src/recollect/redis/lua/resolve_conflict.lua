-- ARGV from 8: id, 'ours' or 'theirs', '1' if another text takes the place of both, that text.
-- Returns {name} and what is told of a block, if there is one then.
local id, keeps, has_other = ARGV[8], ARGV[9], ARGV[10] == '1'

-- What is told of the block once our text, or the other one, is in place.
local function replaced(current, text)
  if not text then
    return {}
  end
  local version, order = succession(current, math.huge)
  return {version, order, now, text}
end

return edit(function()
  local conflicts = part(root, 'x')
  local name, text = unpack(call('HMGET', conflicts, 'b' .. id, 't' .. id))
  if not name then
    return false, MISSING
  end
  if has_other then
    text = ARGV[11]
  end
  local current = block(name)
  local replaces = has_other or keeps == 'ours'
  local after = replaces and replaced(current, text) or current or {}
  return {name, unpack(after)}, function()
    call('HDEL', conflicts, 'm' .. id, 'b' .. id, 't' .. id)
    if replaces and text then
      write_block(name, text, after[1], after[2])
    elseif replaces then
      drop_block(name, current)
    end
  end
end)
