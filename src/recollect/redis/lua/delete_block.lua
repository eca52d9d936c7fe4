-- ARGV[8]: name.
return edit(function()
  local current = block(ARGV[8])
  return {current and 1 or 0}, function()
    drop_block(ARGV[8], current)
  end
end)
