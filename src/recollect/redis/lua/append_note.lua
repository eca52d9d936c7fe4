-- ARGV from 8: text, notes in the scope at most.
return edit(function()
  local notes = part(root, 'n')
  call('LLEN', notes)
  commit({now})
  call('RPUSH', notes, now .. ' ' .. ARGV[8])
  call('LTRIM', notes, -ARGV[9], -1)
  return done({now})
end)
