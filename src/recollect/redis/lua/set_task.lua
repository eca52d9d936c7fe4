-- ARGV from 8: constant part, status, step, percent. Returns {updated_at}, or the fields of a later one, or
-- {'gone'} if it was dropped later.
return edit(function()
  local found, outdated = current()
  if outdated then
    return found[1] and found or {'gone'}
  end
  return {now}, function()
    call('HSET', task, 'j', ARGV[8], 's', ARGV[9], 'c', ARGV[10], 'p', ARGV[11], 'u', now, 'w', now)
  end
end)
