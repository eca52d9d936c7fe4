-- ARGV from 8: status, step, percent, each after a '1', or '0' if it stays. Returns the fields.
return edit(function()
  local found, outdated = current()
  if not found[1] then
    return {}
  end
  if outdated then
    return found
  end
  for i = 2, 4 do
    if ARGV[i + 6]:sub(1, 1) == '1' then
      found[i] = ARGV[i + 6]:sub(2)
    end
  end
  found[5] = now
  return found, function()
    call('HSET', task, 's', found[2], 'c', found[3], 'p', found[4], 'u', now, 'w', now)
  end
end)
