-- Drop all variables; those that were written after an edit that arrives late stay.
return edit(function()
  local names, metas = described(variables, 'm')
  local cleared = tonumber(call('HGET', variables, 'c')) or -math.huge
  local count, gone = 0, {}
  for i, name in ipairs(names) do
    if not late or span(metas[i]) <= at then
      gone[#gone + 1] = name
      if is_alive(metas[i], at) then
        count = count + 1
      end
    end
  end
  return {count}, function()
    for _, name in ipairs(gone) do
      call('HDEL', variables, 'v' .. name, 'm' .. name)
    end
    if not late or cleared < at then
      call('HSET', variables, 'c', now)
    end
  end
end)
