-- Drop the task, unless it was written after an edit that arrives late.
return edit(function()
  local found, outdated = current()
  if outdated then
    return {0}
  end
  return {found[1] and 1 or 0}, function()
    call('HDEL', task, unpack(FIELDS))
    call('HSET', task, 'w', now)
  end
end)
