-- ARGV from 8: id, description, checkpoints in the scope at most. Returns {created_at}.
local id, at_most = ARGV[8], tonumber(ARGV[10])

return edit(function()
  read_all(own)
  local known = numbers(root)
  local highest = tonumber(call('HGET', index, 'h')) or 0
  local number = call('HGET', index, 'n' .. id)
  if not number then
    highest = highest + 1
    number = whole(highest)
    known[#known + 1] = number
  end
  return {now}, function()
    for _, name in ipairs(COPIED) do
      if call('COPY', own(name), copy(root, number, name), 'REPLACE') == 0 then
        call('DEL', copy(root, number, name))
      end
    end
    call('HSET', index, 'n' .. id, number, 'm' .. number, now .. ' ' .. id, 'd' .. number, ARGV[9])
    while #known > at_most do
      local oldest = table.remove(known, 1)
      drop_copy(oldest, call('HGET', index, 'm' .. oldest):match('^%S+ (.*)$'))
    end
    call('HSET', index, 'l', table.concat(known, ' '), 'h', whole(highest))
  end
end)
