-- ARGV[8]: id.
return edit(function()
  local number = call('HGET', index, 'n' .. ARGV[8])
  if not number then
    return {0}
  end
  local rest = {}
  for _, other in ipairs(numbers(root)) do
    if other ~= number then
      rest[#rest + 1] = other
    end
  end
  return {1}, function()
    drop_copy(number, ARGV[8])
    call('HSET', index, 'l', table.concat(rest, ' '))
  end
end)
