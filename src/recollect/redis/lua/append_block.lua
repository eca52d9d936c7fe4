-- ARGV from 8: name, text, bytes of the whole at most, blocks in the scope at most.
local name, text, max_bytes, at_most = ARGV[8], ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11])

return edit(function()
  local current = block(name)
  if current then
    text = current[4] .. text
  end
  if #text > max_bytes then
    return false, TOO_LONG
  end
  local version, order = succession(current, at_most)
  if not version then
    return false, FULL
  end
  return {version, order, now, text}, function()
    write_block(name, text, version, order)
  end
end, function()
  return block(name)
end)
