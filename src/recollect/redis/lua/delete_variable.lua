-- ARGV[8]: key.
local key = ARGV[8]

return edit(function()
  local found = call('HMGET', variables, 'v' .. key, 'm' .. key)
  if not found[1] or is_outdated(found[2]) then
    return {0}
  end
  return {is_alive(found[2], at) and 1 or 0}, function()
    call('HDEL', variables, 'v' .. key)
    call('HSET', variables, 'm' .. key, now .. GONE)
  end
end)
