-- ARGV[8]: id.
return edit(function()
  local number = call('HGET', index, 'n' .. ARGV[8])
  local result = {number and 1 or 0}
  commit(result)
  if number then
    local rest = {}
    for _, other in ipairs(numbers(root)) do
      if other ~= number then
        rest[#rest + 1] = other
      end
    end
    drop_copy(number, ARGV[8])
    call('HSET', index, 'l', table.concat(rest, ' '))
  end
  return done(result)
end)
