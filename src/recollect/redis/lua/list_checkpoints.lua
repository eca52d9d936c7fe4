-- Returns "created_at id" and description of each checkpoint, oldest first.
return look(function(root)
  local found = {}
  for _, number in ipairs(numbers(root)) do
    for _, value in ipairs(call('HMGET', part(root, 'c'), 'm' .. number, 'd' .. number)) do
      found[#found + 1] = value
    end
  end
  return found
end)
