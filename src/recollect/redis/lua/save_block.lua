-- ARGV from 8: id of the conflict, name, '1' if there is a text and '0' to delete the block, the text, the
-- version it was made from or '', the version it had.
-- Returns {'block', version, order, updated_at}, {'conflict', at}, or {'none'}: the text is the caller's.
local id, name, kept, text, base = ARGV[8], ARGV[9], ARGV[10] == '1', ARGV[11], ARGV[12]
local conflicts = part(root, 'x')

local function keep_both()
  local meta = call('HGET', conflicts, 'm' .. id)
  local number = meta and meta:match('^%d+') or whole((tonumber(call('HGET', conflicts, 'h')) or 0) + 1)
  local result = {'conflict', now}
  commit(result)
  if not meta then
    call('HSET', conflicts, 'h', number)
  end
  call('HSET', conflicts, 'm' .. id, number .. ' ' .. now .. ' ' .. (base == '' and '-' or base), 'b' .. id, name)
  if kept then
    call('HSET', conflicts, 't' .. id, text)
  else
    call('HDEL', conflicts, 't' .. id)
  end
  return done(result)
end

return edit(function()
  local current = block(root, name)
  if kept and current and current[4] == text then
    local result = {'block', current[1], current[2], current[3]}
    commit(result)
    return done(result)
  end
  local is_newer
  if base == '' then
    is_newer = current and tonumber(current[3]) > at
  else
    is_newer = tonumber(base) ~= (current and current[1] or 0)
  end
  if (kept or current) and is_newer then
    return keep_both()
  end
  if not kept then
    commit({'none'})
    drop_block(name, current)
    return done({'none'})
  end
  local version, order = succession(current, math.huge)
  version = math.max(version, tonumber(ARGV[13]))
  local result = {'block', version, order, now}
  commit(result)
  write_block(name, text, version, order)
  return done(result)
end)
