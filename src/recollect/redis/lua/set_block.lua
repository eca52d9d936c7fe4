-- ARGV from 8: name, text, the version it must have or '', blocks in the scope at most.
local name, text, if_version, at_most = ARGV[8], ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11])

return edit(function()
  local current = block(root, name)
  if if_version and if_version ~= (current and current[1] or 0) then
    return refused(CHANGED, current)
  end
  local version, order = succession(current, at_most)
  if not version then
    return refused(FULL)
  end
  commit({version, order, now})
  write_block(name, text, version, order)
  return done({version, order, now})
end, function()
  return block(root, name)
end)
