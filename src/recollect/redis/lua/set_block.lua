-- ARGV from 8: name, text, the version it must have or '', blocks in the scope at most.
local name, text, if_version, at_most = ARGV[8], ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11])

return edit(function()
  local meta = call('HGET', root, 'm' .. name)
  local current = meta and {split(meta)}
  if if_version and if_version ~= (current and current[1] or 0) then
    return false, CHANGED, block(name)
  end
  local version, order = succession(current, at_most)
  if not version then
    return false, FULL
  end
  return {version, order, now}, function()
    write_block(name, text, version, order)
  end
end, function()
  return block(name)
end)
