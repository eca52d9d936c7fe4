-- ARGV[8]: key.
local key = ARGV[8]

return edit(function()
  local found = call('HMGET', variables, 'v' .. key, 'm' .. key)
  local outdated = is_outdated(found[2])
  local result = {found[1] and not outdated and is_alive(found[2], at) and 1 or 0}
  commit(result)
  if found[1] and not outdated then
    call('HDEL', variables, 'v' .. key)
    call('HSET', variables, 'm' .. key, now .. GONE)
  end
  return done(result)
end)
