-- ARGV from 8: name, text, bytes of the whole at most, blocks in the scope at most.
local name, text, max_bytes, at_most = ARGV[8], ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11])

return edit(function()
  local current = block(root, name)
  local whole_text = current and current[4] .. text or text
  if #whole_text > max_bytes then
    return refused(TOO_LONG)
  end
  local version, order = succession(current, at_most)
  if not version then
    return refused(FULL)
  end
  commit({version, order, now})
  write_block(name, whole_text, version, order)
  return done({version, order, now, whole_text})
end, function()
  return block(root, name)
end)
