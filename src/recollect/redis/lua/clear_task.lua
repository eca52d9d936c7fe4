-- Drop the task, unless it was written after an edit that arrives late.
return edit(function()
  local found, outdated = current()
  local result = {found[1] and not outdated and 1 or 0}
  commit(result)
  if not outdated then
    call('HDEL', task, unpack(FIELDS))
    call('HSET', task, 'w', now)
  end
  return done(result)
end)
