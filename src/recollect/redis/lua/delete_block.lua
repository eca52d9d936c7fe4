-- ARGV[8]: name.
return edit(function()
  local current = block(root, ARGV[8])
  local result = {current and 1 or 0}
  commit(result)
  drop_block(ARGV[8], current)
  return done(result)
end)
