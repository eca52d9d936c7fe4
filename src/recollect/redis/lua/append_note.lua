-- ARGV from 8: text, notes in the scope at most.
return edit(function()
  local notes = part(root, 'n')
  call('LLEN', notes)
  return {now}, function()
    call('RPUSH', notes, now .. ' ' .. ARGV[8])
    call('LTRIM', notes, -ARGV[9], -1)
  end
end)
