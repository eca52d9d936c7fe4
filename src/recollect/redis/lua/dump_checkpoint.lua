-- ARGV[5]: id. Returns "created_at id" and description, and each after its length: the hashes of blocks, variables and
-- task; the notes. Nothing if there is no such checkpoint.
return take(function(root)
  local number = call('HGET', part(root, 'c'), 'n' .. ARGV[5])
  if not number then
    return {}
  end
  local found = call('HMGET', part(root, 'c'), 'm' .. number, 'd' .. number)
  for _, name in ipairs({'b', 'v', 't'}) do
    collect(found, call('HGETALL', copy(root, number, name)))
  end
  collect(found, call('LRANGE', copy(root, number, 'n'), 0, -1))
  return found
end)
