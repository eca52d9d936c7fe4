-- Returns now, and each after its length: the hashes of blocks, variables, task and conflicts; the notes; "created_at id"
-- and description of each checkpoint.
return take(function(root)
  local found = {now()}
  for _, name in ipairs({'b', 'v', 't', 'x'}) do
    collect(found, call('HGETALL', part(root, name)))
  end
  collect(found, call('LRANGE', part(root, 'n'), 0, -1))
  local checkpoints = {}
  for _, number in ipairs(numbers(root)) do
    for _, value in ipairs(call('HMGET', part(root, 'c'), 'm' .. number, 'd' .. number)) do
      checkpoints[#checkpoints + 1] = value
    end
  end
  collect(found, checkpoints)
  return found
end)
