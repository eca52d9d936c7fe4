-- ARGV from 8: id of the conflict, name, '1' if there is a text and '0' to delete the block, the text, the
-- version it was made from or '', the version it had.
-- Returns {'block', version, order, updated_at}, {'conflict', at}, or {'none'}: the text is the caller's.
local id, name, has_text, text, base = ARGV[8], ARGV[9], ARGV[10] == '1', ARGV[11], ARGV[12]

local function keep_both()
  local conflicts = part(root, 'x')
  local meta = call('HGET', conflicts, 'm' .. id)
  local number = meta and meta:match('^%d+')
  local next_number = whole((tonumber(call('HGET', conflicts, 'h')) or 0) + 1)
  return {'conflict', now}, function()
    if not number then
      call('HSET', conflicts, 'h', next_number)
    end
    meta = (number or next_number) .. ' ' .. now .. ' ' .. (base == '' and '-' or base)
    call('HSET', conflicts, 'm' .. id, meta, 'b' .. id, name)
    if has_text then
      call('HSET', conflicts, 't' .. id, text)
    else
      call('HDEL', conflicts, 't' .. id)
    end
  end
end

return edit(function()
  local current = block(name)
  if has_text and current and current[4] == text then
    return {'block', current[1], current[2], current[3]}
  end
  if not has_text and not current then
    return {'none'}
  end
  local is_newer
  if base == '' then
    is_newer = current and tonumber(current[3]) > at
  else
    is_newer = tonumber(base) ~= (current and current[1] or 0)
  end
  if is_newer then
    return keep_both()
  end
  if not has_text then
    return {'none'}, function()
      drop_block(name, current)
    end
  end
  local version, order = succession(current, math.huge)
  version = math.max(version, tonumber(ARGV[13]))
  return {'block', version, order, now}, function()
    write_block(name, text, version, order)
  end
end)
