-- ARGV from 8: key, value, time to live in microseconds or '', variables in the scope at most.
local key, value, ttl, at_most = ARGV[8], ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11])

return edit(function()
  local found = call('HMGET', variables, 'v' .. key, 'm' .. key)
  if is_outdated(found[2]) then
    return {}
  end
  local alive, dead = 0, {}
  if not found[1] and call('HLEN', variables) >= 2 * at_most then
    alive, dead = census()
    if alive >= at_most then
      return false, FULL
    end
  end
  local expires = ttl and ending(at + ttl) or '-'
  return {}, function()
    for _, name in ipairs(dead) do
      call('HDEL', variables, 'v' .. name, 'm' .. name)
    end
    call('HSET', variables, 'v' .. key, value, 'm' .. key, now .. ' ' .. expires)
  end
end)
