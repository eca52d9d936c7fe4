-- Returns the names of the scopes of the tenant.
return take(function()
  local names = {}
  for _, field in ipairs(call('HKEYS', KEYS[1])) do
    local name = field:match('^s(.*)$')
    if name and is_there(KEYS[1] .. ':s:' .. name .. ':b', name:match('/.')) then
      names[#names + 1] = name
    end
  end
  return names
end)
