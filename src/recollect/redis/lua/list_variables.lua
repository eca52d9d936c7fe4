-- Returns key, value and expires_at of each variable.
return look(function(root)
  local at, key = now(), part(root, 'v')
  local names, metas = described(key, 'm')
  local alive, fields = {}, {}
  for i, name in ipairs(names) do
    if is_alive(metas[i], at) then
      alive[#alive + 1] = name
      alive[#alive + 1] = false
      alive[#alive + 1] = metas[i]:match(' (.+)$')
      fields[#fields + 1] = 'v' .. name
    end
  end
  for i, value in ipairs(fields_of(key, fields)) do
    alive[i * 3 - 1] = value
  end
  return alive
end)
