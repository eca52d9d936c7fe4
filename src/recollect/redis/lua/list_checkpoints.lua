-- Returns {"created_at id", description} for each checkpoint, oldest first.
return look(function(root)
  local found = {}
  for i, number in ipairs(numbers(root)) do
    found[i] = call('HMGET', part(root, 'c'), 'm' .. number, 'd' .. number)
  end
  return found
end)
