-- Returns {key, value, expires_at} for each variable.
return look(function(root)
  local at, key = now(), part(root, 'v')
  local names, metas = described(key, 'm')
  local alive, fields = {}, {}
  for i, name in ipairs(names) do
    if is_alive(metas[i], at) then
      alive[#alive + 1] = {name, false, metas[i]:match(' (.+)$')}
      fields[#fields + 1] = 'v' .. name
    end
  end
  for i, value in ipairs(fields_of(key, fields)) do
    alive[i][2] = value
  end
  return alive
end)
