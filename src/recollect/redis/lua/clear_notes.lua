-- Drop all notes; those that were written after an edit that arrives late stay.
return edit(function()
  local notes = part(root, 'n')
  local count, stay = call('LLEN', notes), {}
  if late then
    for _, note in ipairs(call('LRANGE', notes, 0, -1)) do
      if tonumber(note:match('^%S+')) > at then
        stay[#stay + 1] = note
      end
    end
  end
  return {count - #stay}, function()
    call('DEL', notes)
    for _, note in ipairs(stay) do
      call('RPUSH', notes, note)
    end
  end
end)
